#!/bin/sh
# unpack.sh SUITE FOLDER PACKAGE…: unpacks Debian packages and what they depend on into FOLDER/root. Nothing is installed.
# SUITE is a Debian suite, whose packages bring all of their libraries, or `host`: then the packages are of the machine's own suite,
# and what the machine has installed already is left out.
# Needs apt-get and dpkg-deb, but not root. The package index, the cache and the log stay in FOLDER while it runs.
set -eu
suite=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
shift 2
apt=$folder/apt
root=$folder/root
rm -rf "$apt"
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$root/usr"
trap 'rm -rf "$apt"' EXIT

# The machine's own settings may run commands that clean its cache, so only those of connections are taken.
apt-config dump | grep '^Acquire::' >"$apt/apt.conf" || true
cat >>"$apt/apt.conf" <<END
Dir::Etc::Parts "/dev/null";
Dir::Etc::Main "/dev/null";
Dir::State "$apt";
Dir::State::Lists "$apt/lists";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$apt/cache";
Dir::Log "$apt";
APT::Install-Recommends "false";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Debug::NoLocking "true";
END
if [ "$suite" != host ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v -e security -e updates | head -n 1)
    if [ -z "$mirror" ]; then
        echo "error: apt has no mirror of Debian: see /etc/apt/sources.list" >&2
        exit 1
    fi
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$apt/sources.list"
    : >"$apt/status"
    cat >>"$apt/apt.conf" <<END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "-";
Dir::Etc::Preferences "-";
Dir::Etc::PreferencesParts "-";
Dir::State::status "$apt/status";
END
fi
export APT_CONFIG="$apt/apt.conf"

loudly() {
    "$@" >"$apt/log" 2>&1 || {
        cat "$apt/log" >&2
        exit 1
    }
}

loudly apt-get update -qq
loudly apt-get install --print-uris --reinstall -qq -y "$@"
bytes=$(awk '$1 ~ /:\/\// { sum += $3 } END { print sum + 0 }' "$apt/log")
count=$(grep -c '://' "$apt/log" || true)
echo "  downloading $count packages, $((bytes / 1000000 + 1)) MB"
loudly apt-get install --download-only --reinstall -qq -y "$@"
# `/bin` and the like are links into `/usr`, as on the machine itself.
for name in bin sbin lib lib64; do
    mkdir -p "$root/usr/$name"
    [ -e "$root/$name" ] || ln -s "usr/$name" "$root/$name"
done
for package in "$apt"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --no-same-owner --keep-directory-symlink -C "$root"
done
# What a package's installation would have linked.
for name in iptables ip6tables; do
    if [ -e "$root/usr/sbin/$name-nft" ] && [ ! -e "$root/usr/sbin/$name" ]; then
        ln -s "$name-nft" "$root/usr/sbin/$name"
    fi
done

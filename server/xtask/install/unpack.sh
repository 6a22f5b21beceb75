#!/bin/sh
# unpack.sh SUITE FOLDER PACKAGE…: unpacks Debian packages and what they depend on into FOLDER/root. Nothing is installed.
# SUITE is a Debian suite, whose packages bring all of their libraries, or `host` (see apt.sh).
# Needs apt-get and dpkg-deb, but not root. The package index, the cache and the log stay in FOLDER while it runs.
set -eu
suite=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
shift 2
root=$folder/root
mkdir -p "$root/usr"
. "$(dirname "$0")/apt.sh"
private_apt "$suite" "$folder/apt" deb

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

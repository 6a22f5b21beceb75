#!/bin/sh
# neovim.sh SUITE FOLDER: puts the Neovim of another Debian suite into FOLDER, beside the system and not into it.
# The package index, the packages and their libraries stay in FOLDER; the programs are pointed at those libraries.
# Needs apt-get, dpkg-deb and patchelf. Leaves FOLDER/nvim, which runs in place.
set -eu
suite=$1
folder=$2
mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v -e security -e updates | head -n 1)
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/root/usr/bin" "$folder/root/usr/lib"
folder=$(cd "$folder" && pwd)
apt=$folder/apt
root=$folder/root
: >"$apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$apt/sources.list"
cat >"$apt/apt.conf" <<END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "-";
Dir::Etc::Preferences "-";
Dir::Etc::PreferencesParts "-";
Dir::State "$apt";
Dir::State::Lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Log "$apt";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
END
APT_CONFIG=$apt/apt.conf
export APT_CONFIG
apt-get update -qq
apt-get install -qq -y --download-only -o Debug::NoLocking=1 -o Dpkg::Post-Invoke::= neovim >"$apt/log" 2>&1 || {
    cat "$apt/log" >&2
    exit 1
}
for name in bin sbin lib lib64; do
    mkdir -p "$root/usr/$name"
    [ -e "$root/$name" ] || ln -s "usr/$name" "$root/$name"
done
for package in "$apt"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"
done
libraries=$root/usr/lib/$(uname -m)-linux-gnu
program=$(readlink -f "$root/usr/bin/nvim")
case $program in
"$root"/*) ;;
*) program=$root$(readlink "$root/etc/alternatives/nvim" 2>/dev/null || echo /usr/bin/nvim) ;;
esac
loader=$(find "$libraries/" -maxdepth 1 -name 'ld-linux-*.so.*' | head -n 1)
patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$program"
cat >"$folder/nvim" <<END
#!/bin/sh
VIMRUNTIME=$root/usr/share/nvim/runtime exec "$program" --cmd "set rtp+=$root/usr/lib/nvim" "\$@"
END
chmod +x "$folder/nvim"
rm -rf "$apt"
"$folder/nvim" --version | head -n 1

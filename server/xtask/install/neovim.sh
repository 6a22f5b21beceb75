#!/bin/sh
# neovim.sh SUITE FOLDER: puts the Neovim of another Debian suite into FOLDER, beside the system and not into it.
# Its libraries come along, and the program is pointed at them. Leaves FOLDER/nvim, which runs in place.
# Needs what unpack.sh needs, and patchelf (PATCHELF, default: the one on the PATH).
set -eu
suite=$1
folder=$2
"$(dirname "$0")/unpack.sh" "$suite" "$folder" neovim
folder=$(cd "$folder" && pwd)
root=$folder/root
libraries=$root/usr/lib/$(uname -m)-linux-gnu
program=$(readlink -f "$root/usr/bin/nvim")
case $program in
"$root"/*) ;;
*) program=$root$(readlink "$root/etc/alternatives/nvim" 2>/dev/null || echo /usr/bin/nvim) ;;
esac
loader=$(find "$libraries/" -maxdepth 1 -name 'ld-linux-*.so.*' | head -n 1)
"${PATCHELF:-patchelf}" --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$program"
cat >"$folder/nvim" <<END
#!/bin/sh
VIMRUNTIME=$root/usr/share/nvim/runtime exec "$program" --cmd "set rtp+=$root/usr/lib/nvim" "\$@"
END
chmod +x "$folder/nvim"
# It opens its log first, which must not be in the user's home folder.
XDG_STATE_HOME=$folder/state "$folder/nvim" --version | head -n 1

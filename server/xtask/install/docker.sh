#!/bin/sh
# docker.sh SUITE FOLDER: puts the Docker of another Debian suite into FOLDER, beside the system and not into it.
# Its libraries come along, and the programs are pointed at them. Leaves FOLDER/bin, which goes in front of a PATH.
# Needs what unpack.sh needs, and patchelf (PATCHELF, default: the one on the PATH).
set -eu
suite=$1
folder=$2
"$(dirname "$0")/unpack.sh" "$suite" "$folder" docker.io docker-cli containerd runc
folder=$(cd "$folder" && pwd)
root=$folder/root
libraries=$root/usr/lib/$(uname -m)-linux-gnu
loader=$(find "$libraries/" -maxdepth 1 -name 'ld-linux-*.so.*' | head -n 1)
mkdir -p "$folder/bin"
# `docker-init` goes into containers, where there is no library, so it is static already.
for name in containerd containerd-shim-runc-v2 docker docker-init docker-proxy runc dockerd; do
    for place in bin sbin; do
        program=$root/usr/$place/$name
        [ -e "$program" ] || continue
        program=$(readlink -f "$program")
        if [ "$name" != docker-init ]; then
            "${PATCHELF:-patchelf}" --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$program"
        fi
        ln -sf "$program" "$folder/bin/$name"
    done
done
"$folder/bin/dockerd" --version

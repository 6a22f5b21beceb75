#!/bin/sh
# Makes the images the Docker tests use, without a registry: make-images.sh DOCKER_HOST
# Needs the docker client and a static busybox (BUSYBOX, default /bin/busybox).
set -eu

export DOCKER_HOST="$1"
busybox=${BUSYBOX:-/bin/busybox}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Absolute links, as in the official image: whoever follows them outside the container finds another program.
root=$work/root
mkdir -p "$root/bin" "$root/etc" "$root/home/app" "$root/tmp" "$root/var"
chmod 1777 "$root/tmp"
chown 1000:1000 "$root/home/app"
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s /bin/busybox "$root/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\napp:x:1000:\nother:x:1001:\n' >"$root/etc/group"

import() { # NAME FOLDER [CHANGE...]
    name=$1 folder=$2
    shift 2
    tar -C "$folder" -c . | docker import "$@" - "pipelens-test/$name:latest" >/dev/null
}

import busybox "$root" -c 'ENV PATH=/bin' -c 'CMD ["sh"]'
import entrypoint "$root" -c 'ENV PATH=/bin' -c 'ENTRYPOINT ["false"]' -c 'CMD ["argument"]'
import user "$root" -c 'ENV PATH=/bin' -c 'USER 1000:1000' -c 'ENV HOME=/home/app'
import volumes "$root" -c 'ENV PATH=/bin' -c 'VOLUME /data'
import username "$root" -c 'ENV PATH=/bin' -c 'USER app:other'

mkdir -p "$work/noshell/bin"
cp "$busybox" "$work/noshell/bin/true"
import noshell "$work/noshell" -c 'ENV PATH=/bin' -c 'CMD ["true"]'

# Services: one that says where it listens, one that says when it is healthy, one with nothing but itself.
mkdir -p "$work/web/srv"
cp -R "$root/." "$work/web"
echo served >"$work/web/srv/index.html"
import web "$work/web" -c 'ENV PATH=/bin' -c 'EXPOSE 53/udp' -c 'EXPOSE 9000' -c 'EXPOSE 8080/tcp' \
    -c 'CMD ["sh", "-c", "echo starting; sleep 0.3; exec httpd -f -p 8080 -h /srv"]'
import healthy "$work/web" -c 'ENV PATH=/bin' -c 'HEALTHCHECK CMD test -e /tmp/healthy' \
    -c 'CMD ["sh", "-c", "mkdir /www; httpd -p 8081 -h /www; sleep 0.3; echo served >/www/index.html; touch /tmp/healthy; exec sleep 1000"]' ||
    echo "skipped: healthy, for Podman imports no health check"
import echo "$root" -c 'ENV PATH=/bin' -c 'ENTRYPOINT ["echo", "entry"]' -c 'CMD ["own"]'
mkdir -p "$work/noshell-web/bin" "$work/noshell-web/srv"
cp "$busybox" "$work/noshell-web/bin/httpd"
echo alone >"$work/noshell-web/srv/index.html"
import noshell-web "$work/noshell-web" -c 'ENV PATH=/bin' -c 'EXPOSE 8082' \
    -c 'CMD ["httpd", "-f", "-p", "8082", "-h", "/srv"]'

# Nothing but a shell and what the tests look with: no `tar`, no `mkdir`.
mkdir -p "$work/bare/bin"
cp "$busybox" "$work/bare/bin/busybox"
for applet in sh cat sleep; do ln -s /bin/busybox "$work/bare/bin/$applet"; done
import bare "$work/bare" -c 'ENV PATH=/bin'

# The shells of the common distributions, each as `sh`, where this machine has them.
for shell in dash bash; do
    program=$(command -v "$shell") || continue
    root=$work/$shell
    cp -R "$work/root" "$root"
    rm "$root/bin/sh"
    cp "$program" "$root/bin/sh"
    for library in $(ldd "$program" | grep -o '/[^ ]*'); do
        mkdir -p "$root$(dirname "$library")"
        cp "$library" "$root$library"
    done
    import "$shell" "$root" -c 'ENV PATH=/bin'
done

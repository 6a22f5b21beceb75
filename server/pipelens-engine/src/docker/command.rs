//! How a command, its variables and its secrets reach a container without leaving a trace in it. Knows no engine.
//!
//! Whatever is given to a container at its creation becomes part of the image that is committed from it. So all a container is
//! created with is [`SUPERVISOR`], the same for every step: it carries out one command after another, each of which it is told by
//! one line on standard input. The line sets the variables and becomes the step's shell. Nothing but `sh` is needed in the
//! image, and only a command that is too long for an argument is written anywhere: to `/dev/shm`, which is memory and belongs
//! to no layer.
//!
//! Starting a container costs two hundred times what starting a process costs, so the steps of a line share one. A step must not
//! be able to tell. Processes: `kill -KILL -1` until the kernel says that there is nobody left. Variables, folder, limits, mask:
//! each step's shell is a new child. The line itself is read by that child, so that the supervisor's memory never holds a secret
//! of an earlier step. What lives outside the filesystem and yet outlives processes (`/dev`, `/dev/shm`, System V memory, the
//! files the engine mounts) is compared with how it was; the supervisor reports a difference, and the next step gets a new container.
//! Where no step is next nothing is compared nor waited for, and the container ends by itself: the engine needs longer for that
//! than for anything but the start, and nobody has to wait for it, since the report has come.
//!
//! Standard input stays open on our side for as long as we live. Beside each command a second shell of ours waits at its end:
//! a line asks for TERM to every process, the end of the stream (we were killed, the connection broke) ends the container.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::error::EngineError;
use crate::runner::RunContext;

/// `kill -1` reaches every process of the container but its init and the sender, so the supervisor handles what it can. Its own
/// standard error is shut, else shells announce there that a command was killed.
/// The watcher is a grandchild, so that the step's shell has no child it did not start; ending `$$` ends the container.
/// `SHLVL`, `PWD` and `OLDPWD` would tell that the step's shell is not the first one.
/// The report goes to both streams: each is complete only when its own report has come.
pub(super) const SUPERVISOR: &str = r#"exec 4>&2 2>/dev/null
trap : HUP INT QUIT PIPE ALRM TERM USR1 USR2
IFS= read -r pipelens_mark || exit 125
pipelens_where=$PWD pipelens_began=
pipelens_traces() {
    for pipelens_file in /etc/hosts /etc/hostname /etc/resolv.conf /proc/sysvipc/msg /proc/sysvipc/sem /proc/sysvipc/shm; do
        [ -r "$pipelens_file" ] && while IFS= read -r pipelens_text; do echo "$pipelens_text"; done <"$pipelens_file"
    done
    echo /dev/* /dev/.[!.]* /dev/..?* /dev/shm/* /dev/shm/.[!.]* /dev/shm/..?* /dev/mqueue/*
}
pipelens_kills() {
    pipelens_count=
    for pipelens_file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
        [ -r "$pipelens_file" ] && while read -r pipelens_name pipelens_text; do
            [ "$pipelens_name" = oom_kill ] && pipelens_count=$pipelens_text
        done <"$pipelens_file"
    done
}
while read -r pipelens_then; do
    [ "$pipelens_then$pipelens_began" = next ] && pipelens_began=$(pipelens_traces)
    pipelens_kills
    pipelens_killed=$pipelens_count
    (
        IFS= read -r pipelens_line || kill -KILL $$
        exec 3<&0 </dev/null 2>&4 4>&-
        ( ( while read -r _ <&3; do kill -TERM -1; done; kill -KILL $$ ) >/dev/null 2>&1 & )
        exec 3<&-
        eval "unset pipelens_line SHLVL PWD OLDPWD; $pipelens_line"
    )
    pipelens_code=$?
    pipelens_state=quiet pipelens_memory=enough pipelens_tries=0
    while kill -KILL -1; do
        pipelens_tries=$((pipelens_tries + 1))
        [ $pipelens_tries$pipelens_then != 1end ] && [ $pipelens_tries -lt 300000 ] || break
    done
    [ $pipelens_tries -lt 300000 ] || pipelens_state=busy
    cd -P "$pipelens_where" && [ $pipelens_state$pipelens_then = quietnext ] &&
        [ "$(pipelens_traces)" = "$pipelens_began" ] && pipelens_state=clean
    pipelens_kills
    [ "$pipelens_count" = "$pipelens_killed" ] || pipelens_memory=short
    pipelens_report="$pipelens_mark $pipelens_code $pipelens_state $pipelens_memory"
    printf '\000%s\n' "$pipelens_report"
    printf '\000%s\n' "$pipelens_report" >&4
    [ "$pipelens_then" = end ] && exit $pipelens_code
done"#;

/// What becomes of a container behind a command, in the supervisor's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Another command may come, which must not be able to tell that this one was there.
    Next,
    /// It waits until somebody has looked at its files.
    Wait,
    /// It ends.
    End,
}

impl Then {
    pub(super) fn line(self) -> &'static [u8] {
        match self {
            Self::Next => b"next\n",
            Self::Wait => b"wait\n",
            Self::End => b"end\n",
        }
    }
}

/// What the watcher reads as "ask them to end".
pub(super) const TERM_LINE: &[u8] = b"TERM\n";

/// The kernel takes no longer argument (`MAX_ARG_STRLEN`, its final zero included).
const LONGEST_ARGUMENT_BYTES: usize = 128 * 1024 - 1;

/// Names some shells make read-only or change by themselves: they are given by `env`, behind the shell's back.
const SHELL_OWNED: [&str; 12] = [
    "UID",
    "EUID",
    "PPID",
    "BASHOPTS",
    "SHELLOPTS",
    "BASH_VERSINFO",
    "RANDOM",
    "SECONDS",
    "LINENO",
    "OPTIND",
    "HISTCMD",
    "IFS",
];

/// The line that makes a child of the supervisor the step's shell.
#[derive(Debug)]
pub(super) struct StepCommand {
    pub(super) line: Bytes,
}

impl StepCommand {
    pub(super) fn of(context: &RunContext) -> Result<Self, EngineError> {
        let step = context.step();
        let mut line = String::new();
        let mut by_env = String::new();
        for (name, value) in context.variables()? {
            if is_plain(name) {
                write!(line, "export {name}={}; ", quoted(value)).ok();
            } else if context.secrets.contains_key(name) {
                // An argument of `env` could be seen in a list of processes.
                let reason = "the name of a secret is made of letters, digits and `_`, and no shell's own";
                return Err(EngineError::BadVariable { name: name.to_owned(), reason });
            } else {
                write!(by_env, " {}", quoted(&format!("{name}={value}"))).ok();
            }
        }
        let env = if by_env.is_empty() { String::new() } else { format!("env{by_env} ") };
        let cmd = quoted(&step.cmd);
        if step.cmd.len() < LONGEST_ARGUMENT_BYTES {
            writeln!(line, "exec {env}sh -c {cmd}").ok();
        } else {
            writeln!(line, "printf %s {cmd} >/dev/shm/cmd || kill -KILL $$; exec {env}sh /dev/shm/cmd").ok();
        }
        // It costs a process.
        if line.contains(NEWLINE) {
            line.insert_str(0, NEWLINE_VARIABLE);
        }
        Ok(Self { line: line.into() })
    }
}

/// How a quoted text writes a line end.
const NEWLINE: &str = r#"'"$pipelens_n"'"#;
/// A line cannot hold a line end; `$pipelens_n` stands for it between quotes.
pub(super) const NEWLINE_VARIABLE: &str = "pipelens_n=$(printf '\\nx'); pipelens_n=${pipelens_n%x}; ";

/// Quotes a text for the shell, on one line.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''").replace('\n', NEWLINE))
}

/// Whether every shell can set and export it.
fn is_plain(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
        && !SHELL_OWNED.contains(&name)
        && name != "_"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_one_line() {
        assert_eq!(quoted("it's\n$HOME"), r#"'it'\''s'"$pipelens_n"'$HOME'"#);
    }

    #[test]
    fn names_a_shell_cannot_set_are_told_apart() {
        assert!(is_plain("PATH") && is_plain("_a1"));
        assert!(!is_plain("a.b") && !is_plain("1a") && !is_plain("UID") && !is_plain("_"));
    }
}

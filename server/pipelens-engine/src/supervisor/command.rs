//! The line that starts a command, with its variables and secrets in it.

use std::fmt::Write as _;

use bytes::Bytes;

use pipelens_core::shell::is_name;

use crate::error::EngineError;
use crate::step_context::StepContext;

/// The kernel's limit for an argument (`MAX_ARG_STRLEN`, including the final zero).
const LONGEST_ARGUMENT_BYTES: usize = 128 * 1024 - 1;

/// Names that some shells make read-only or change by themselves: they are set by `env`, not by the shell.
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

/// Git refuses a folder that another user owns: a step may have another user than the one whose result it starts from.
const TRUST_FOLDERS: [(&str, &str); 3] =
    [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")];

/// Returns the variables with which git trusts the folders of a step that gets the project's history.
pub(crate) fn trust_folders(context: &StepContext) -> Result<&'static [(&'static str, &'static str)], EngineError> {
    let is_needed = context.history.is_some() && !context.variables()?.contains_key("GIT_CONFIG_COUNT");
    Ok(if is_needed { &TRUST_FOLDERS } else { &[] })
}

/// Returns the line that turns a child of the supervisor into the step's shell.
#[derive(Debug)]
pub(crate) struct StepCommand {
    pub(crate) line: Bytes,
}

impl StepCommand {
    pub(crate) fn of(context: &StepContext) -> Result<Self, EngineError> {
        let step = context.step();
        let mut line = String::new();
        let mut by_env = String::new();
        for (name, value) in trust_folders(context)?.iter().copied().chain(context.variables()?) {
            if is_plain(name) {
                write!(line, "export {name}={}; ", quoted(value)).ok();
            } else if context.secrets.contains_key(name) {
                // Arguments of `env` are visible in process lists.
                let reason =
                    "a secret's name must consist of letters, digits and `_`, and must not be reserved by shells";
                return Err(EngineError::BadVariable { name: name.to_owned(), reason });
            } else {
                write!(by_env, " {}", quoted(&format!("{name}={value}"))).ok();
            }
        }
        let env = if by_env.is_empty() { String::new() } else { format!("env{by_env} ") };
        let cmd = quoted(&step.cmd);
        let shell = step.shell.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        if step.cmd.len() < LONGEST_ARGUMENT_BYTES {
            writeln!(line, "exec {env}{shell} -c {cmd}").ok();
        } else {
            writeln!(line, "printf %s {cmd} >/dev/shm/cmd || kill -KILL $$; exec {env}{shell} /dev/shm/cmd").ok();
        }
        // `env` costs a process.
        if line.contains(NEWLINE) {
            line.insert_str(0, NEWLINE_VARIABLE);
        }
        Ok(Self { line: line.into() })
    }
}

/// A line break in a quoted string.
const NEWLINE: &str = r#"'"$pipelens_n"'"#;
/// A line cannot contain a line break; `$pipelens_n` takes its place between quotes.
pub(crate) const NEWLINE_VARIABLE: &str = "pipelens_n=$(printf '\\nx'); pipelens_n=${pipelens_n%x}; ";

/// Quotes a string for the shell, on one line.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''").replace('\n', NEWLINE))
}

/// Whether every shell can set and export a variable with this name.
fn is_plain(name: &str) -> bool {
    is_name(name) && !SHELL_OWNED.contains(&name) && name != "_"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_string_is_one_line() {
        assert_eq!(quoted("it's\n$HOME"), r#"'it'\''s'"$pipelens_n"'$HOME'"#);
    }

    #[test]
    fn names_that_a_shell_cannot_set_are_recognised() {
        assert!(is_plain("PATH") && is_plain("_a1"));
        assert!(!is_plain("a.b") && !is_plain("1a") && !is_plain("UID") && !is_plain("_"));
    }
}

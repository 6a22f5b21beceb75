//! Which line of a command has failed, as far as the command itself tells.
//!
//! A shell does not report the line. A trap that records it would change what a command prints when a signal ends it, and dash has no `$LINENO`
//! in Debian, busybox counts one line too few, and bash says 1 in a trap on `EXIT`. So only what follows from the command and from its exit code
//! is told: the one line that can have failed. If there are several, or if anything is uncertain, none is told.

use super::dialect::{ASKS_FOR_BASH, Dialect, Shell, ends_at_failure};
use super::reader::{MAX_BYTES, Reader};
use super::variables::is_name;

/// Commands that cannot fail if their words are plain.
const SAFE: [&str; 8] = ["echo", ":", "true", "export", "unset", "umask", "set", "printf"];
/// Words that make it uncertain where a command ends.
const UNCERTAIN: [&str; 9] = ["trap", "kill", "eval", ".", "source", "return", "alias", "wait", "shopt"];
/// Above this, the shell itself may have been ended by a signal: HUP, INT, KILL, TERM.
const ENDED_FROM_OUTSIDE: [i64; 4] = [129, 130, 137, 143];

/// How a command has failed.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    pub command: &'a str,
    /// The program that ran it, with its options.
    pub shell: &'a [String],
    pub code: i64,
    /// The last line that `set -x` has printed, without `+ `, if it has.
    pub traced: Option<&'a str>,
}

/// One command at the top level of the text.
#[derive(Debug)]
struct Part<'a> {
    text: &'a str,
    /// From 1.
    line: usize,
    is_background: bool,
}

/// Returns the line that has failed, from 1, if only one can have.
pub fn failed_line(failed: Failed<'_>) -> Option<usize> {
    let parts = parts(failed)?;
    if failed.code == 0 || ENDED_FROM_OUTSIDE.contains(&failed.code) {
        return None;
    }
    let words = || failed.command.split(|end: char| end.is_whitespace() || ";&|()`{}\"".contains(end));
    if words().any(|word| UNCERTAIN.contains(&word)) {
        return None;
    }
    let sets = |part: &Part<'_>, option: char, name: &str| {
        is_call(part.text, "set") && switches_on(part.text.split_ascii_whitespace().skip(1), option, name)
    };
    let has_option = |option: char, name: &str| {
        switches_on(failed.shell.iter().skip(1).map(String::as_str), option, name)
            || parts.iter().any(|part| sets(part, option, name))
    };
    // Whether options change inside of another command cannot be followed.
    if words().filter(|word| *word == "set").count() != parts.iter().filter(|part| is_call(part.text, "set")).count() {
        return None;
    }
    if parts.iter().any(|part| is_call(part.text, "set") && part.text.contains('+')) {
        return None;
    }
    let is_traced = has_option('x', "xtrace");
    let ends_early = ends_at_failure(failed.shell) || parts.iter().any(|part| sets(part, 'e', "errexit"));
    let needs_values = has_option('u', "nounset");
    let last = parts.len().checked_sub(1)?;
    let can_fail = |(at, part): (usize, &Part<'_>)| {
        if part.is_background || is_definition(part.text) {
            return false;
        }
        let leaves =
            part.text.split(|end: char| !end.is_ascii_alphanumeric()).any(|word| matches!(word, "exit" | "exec"));
        if leaves {
            return exit_code(part.text).is_none_or(|code| code == failed.code);
        }
        let expands = part.text.contains(['$', '`']);
        let asks = part.text.contains(":?") || (needs_values && expands);
        asks || ((at == last || ends_early) && !is_safe(part.text))
    };
    let mut failing = parts.iter().enumerate().filter(|part| can_fail(*part)).map(|(_, part)| part.line);
    let first = failing.next()?;
    if failing.all(|line| line == first) {
        return Some(first);
    }
    let traced = unquoted(failed.traced.filter(|_| is_traced && ends_early)?);
    let mut meant = parts.iter().filter(|part| unquoted(part.text) == traced);
    let line = meant.next()?.line;
    meant.next().is_none().then_some(line)
}

/// Returns the commands of the text, if every shell that may run it reads it alike.
fn parts(failed: Failed<'_>) -> Option<Vec<Part<'_>>> {
    if failed.command.len() > MAX_BYTES || failed.command.contains(ASKS_FOR_BASH) {
        return None;
    }
    let shells: &[Shell] = Dialect::of(failed.shell)?.shells();
    let mut readings = shells.iter().filter_map(|shell| {
        let mut reader = Reader::new(failed.command, *shell);
        reader.commands = Some(Vec::new());
        reader.program().ok()?;
        (!reader.is_doubtful).then_some(reader.commands)?
    });
    let ranges = readings.next()?;
    if readings.any(|other| other != ranges) {
        return None;
    }
    let (mut line, mut at) = (1, 0);
    let parts = ranges.into_iter().map(|range| {
        line += failed.command.get(at..range.start).unwrap_or_default().matches('\n').count();
        at = range.start;
        let rest = failed.command.get(range.end..).unwrap_or_default().trim_start_matches([' ', '\t']);
        Part { text: range.of(failed.command).trim(), line, is_background: rest.starts_with('&') }
    });
    Some(parts.collect())
}

/// Whether words switch an option on, by its letter or its name.
fn switches_on<'w>(mut words: impl Iterator<Item = &'w str>, option: char, name: &str) -> bool {
    words.any(|word| word == name || (word.starts_with('-') && !word.starts_with("--") && word.contains(option)))
}

fn is_call(text: &str, name: &str) -> bool {
    text.split_ascii_whitespace().next() == Some(name)
}

/// Whether a command only defines a function.
fn is_definition(text: &str) -> bool {
    let head = text.split('(').next().unwrap_or_default().trim_end();
    is_name(head) && text.get(head.len()..).is_some_and(|rest| rest.trim_start().starts_with("()"))
        || is_call(text, "function")
}

/// Whether a command cannot fail, at least not without a message of the shell.
fn is_safe(text: &str) -> bool {
    if text.contains(['$', '`']) && (text.contains("$(") || text.contains('`') || text.contains("${")) {
        return false;
    }
    if text.contains(['|', '>', '<', ';', '(', '\n']) || text.contains("&&") {
        return false;
    }
    let first = text.split_ascii_whitespace().next().unwrap_or_default();
    let is_assignment = first.split_once('=').is_some_and(|(name, _)| is_name(name));
    SAFE.contains(&first) || (is_assignment && !text.contains([' ', '\t']))
}

/// Returns the code with which `exit` ends the shell, if the command is nothing else.
fn exit_code(text: &str) -> Option<i64> {
    let code: i64 = text.strip_prefix("exit ")?.trim().parse().ok()?;
    Some(code.rem_euclid(256))
}

/// Returns words as every shell prints them when it traces.
fn unquoted(text: &str) -> String {
    let plain: String = text.chars().filter(|character| !matches!(character, '\'' | '"' | '\\')).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(shell: &str, code: i64, command: &str) -> Option<usize> {
        traced(shell, code, command, None)
    }

    fn traced(shell: &str, code: i64, command: &str, traced: Option<&str>) -> Option<usize> {
        let shell: Vec<String> = shell.split(' ').map(str::to_owned).collect();
        failed_line(Failed { command, shell: &shell, code, traced })
    }

    #[test]
    fn without_an_option_the_last_command_decides() {
        assert_eq!(line("sh", 1, "make\ncd x\nmake test"), Some(3));
        assert_eq!(line("bash", 1, "make\n\nif a; then\n  b\nfi\n"), Some(3));
        assert_eq!(line("sh", 2, "cat <<E\nx\nE\nmake \\\n  all # why\n"), Some(4));
        assert_eq!(line("sh", 1, "make\nsleep 1 &"), None);
        assert_eq!(line("python3", 1, "a\nb"), None);
    }

    #[test]
    fn a_command_that_may_leave_is_told_by_its_code_or_not_at_all() {
        let command = "if a; then\n  exit 3\nfi\nmake";
        assert_eq!(line("sh", 1, command), None);
        assert_eq!(line("sh", 3, "a || exit 3\nmake"), None);
        assert_eq!(line("sh", 3, "make\nexit 3"), Some(2));
        assert_eq!(line("sh", 2, "exit 3\nmake"), None);
        assert_eq!(line("sh", 1, "echo ${A:?}\nmake"), None);
        assert_eq!(line("sh", 1, "set -u\necho $A\nmake"), None);
        assert_eq!(line("sh", 1, "trap x EXIT\nmake"), None);
        assert_eq!(line("sh", 1, ". ./env\nmake"), None);
        assert_eq!(line("sh", 137, "make\nmake test"), None);
    }

    #[test]
    fn a_shell_that_ends_at_a_failure_has_one_line_that_can_fail_or_several() {
        assert_eq!(line("sh", 1, "set -e\necho building\nmake\necho done"), Some(3));
        assert_eq!(line("sh", 1, "set -e\necho building\nmake"), Some(3));
        assert_eq!(line("bash -euo pipefail", 1, "A=1\nmake\nmake test"), None);
        assert_eq!(line("sh -e", 1, "f() {\n  make\n}\necho a\nf"), Some(5));
        assert_eq!(line("sh -e", 1, "set +e\nmake\nmake test"), None);
        assert_eq!(line("sh", 1, "make && set -e\na\nb"), None);
    }

    #[test]
    fn a_trace_tells_which_of_several_lines_it_was() {
        let command = "set -ex\nmake all\nmake \"the test\"\necho done";
        assert_eq!(traced("sh", 2, command, Some("make the test")), Some(3));
        assert_eq!(traced("bash", 2, command, Some("make 'the test'")), Some(3));
        assert_eq!(traced("sh", 2, command, Some("something else")), None);
        assert_eq!(traced("sh -e", 2, "make all\nmake test\nls", Some("make test")), None);
        assert_eq!(traced("sh -ex", 2, "make\nls\nmake", Some("make")), None);
    }
}

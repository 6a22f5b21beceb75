//! Variables with names that shells drop, such as `discovery.type`: a program gets them from `env`. Edits command lines, and runs nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pipelens_core::shell::is_name;

/// What the shell runs itself, or what starts something else than a program.
const OWN_WORDS: [&str; 43] = [
    ".", ":", "[", "alias", "bg", "break", "cd", "continue", "done", "echo", "elif", "esac", "eval", "exit", "export",
    "false", "fg", "fi", "for", "function", "getopts", "hash", "in", "jobs", "kill", "local", "printf", "pwd", "read",
    "readonly", "return", "set", "shift", "source", "test", "times", "trap", "true", "type", "ulimit", "umask",
    "unset", "wait",
];
/// A command follows these.
const BEFORE_A_COMMAND: [&str; 10] = ["!", "do", "elif", "else", "exec", "if", "then", "until", "while", "{"];

/// Returns the words that give a program the variables that no shell passes on; empty if there are none.
pub(crate) fn prefix<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut prefix = String::new();
    for (name, value) in variables.filter(|(name, _)| !is_name(name)) {
        let begin = if prefix.is_empty() { "env " } else { "" };
        write!(prefix, "{begin}{} ", quoted(&format!("{name}={value}"))).ok();
    }
    prefix
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Writes `prefix` before every program that a command line names plainly.
pub(crate) fn with_prefix(cmd: &str, prefix: &str) -> String {
    if prefix.is_empty() {
        return cmd.to_owned();
    }
    let functions = functions(cmd);
    let mut line = String::new();
    let mut done = 0;
    for start in programs(cmd) {
        let word = word_at(cmd, start);
        if functions.contains(word) {
            continue;
        }
        line.push_str(cmd.get(done..start).unwrap_or_default());
        line.push_str(prefix);
        done = start;
    }
    line.push_str(cmd.get(done..).unwrap_or_default());
    line
}

/// Returns where programs are named.
fn programs(cmd: &str) -> Vec<usize> {
    let bytes = cmd.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut is_command) = (0, true);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' => at += 1,
            // What follows is text for a program, or may be.
            b'<' if bytes.get(at + 1) == Some(&b'<') => break,
            b'\\' => {
                is_command = is_command && bytes.get(at + 1) == Some(&b'\n');
                at += 2;
            }
            // `>&2` and `&>file` are redirections.
            b'&' if at > 0 && matches!(bytes.get(at - 1), Some(b'>' | b'<')) || bytes.get(at + 1) == Some(&b'>') => {
                at += 1
            }
            b'\n' | b';' | b'&' | b'|' | b'(' | b')' => {
                is_command = true;
                at += 1;
            }
            b'#' if at == 0 || bytes.get(at - 1).is_some_and(u8::is_ascii_whitespace) => at = line_end(cmd, at),
            b'\'' | b'"' | b'`' | b'$' => {
                is_command = false;
                at = end_of_quoted(bytes, at);
            }
            _ if !is_command => at += 1,
            _ => {
                let word = word_at(cmd, at);
                let next = at + word.len();
                if word == "case" {
                    // Its patterns look like commands.
                    break;
                } else if word.is_empty() {
                    is_command = false;
                    at += 1;
                } else if BEFORE_A_COMMAND.contains(&word) {
                    at = next;
                } else if bytes.get(next) == Some(&b'=') {
                    at = end_of_value(bytes, next + 1);
                } else {
                    let ends =
                        bytes.get(next).is_none_or(|byte| byte.is_ascii_whitespace() || b";&|)<>".contains(byte));
                    if ends && !OWN_WORDS.contains(&word) {
                        found.push(at);
                    }
                    is_command = false;
                    at = next;
                }
            }
        }
    }
    found
}

fn word_at(cmd: &str, start: usize) -> &str {
    let rest = cmd.get(start..).unwrap_or_default();
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_-./+:!{[".contains(character);
    let end = rest.find(|character| !is_plain(character)).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

fn line_end(cmd: &str, at: usize) -> usize {
    cmd.get(at..).and_then(|rest| rest.find('\n')).map_or(cmd.len(), |end| at + end)
}

/// Returns where the value of an assignment ends.
fn end_of_value(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\'' | b'"' | b'`' | b'$' => at = end_of_quoted(bytes, at),
            b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' => break,
            _ => at += 1,
        }
    }
    at
}

/// Returns where a quoted string or an expansion ends.
fn end_of_quoted(bytes: &[u8], start: usize) -> usize {
    let close = match (bytes.get(start), bytes.get(start + 1)) {
        (Some(b'$'), Some(b'(')) => b')',
        (Some(b'$'), Some(b'{')) => b'}',
        (Some(b'$'), _) => return start + 1,
        (Some(quote), _) => *quote,
        (None, _) => return start,
    };
    let is_expansion = bytes.get(start) == Some(&b'$');
    let mut at = start + if is_expansion { 2 } else { 1 };
    while let Some(byte) = bytes.get(at) {
        match byte {
            _ if *byte == close => return at + 1,
            b'\\' if close != b'\'' => at += 2,
            b'$' if close != b'\'' && matches!(bytes.get(at + 1), Some(b'(' | b'{')) => at = end_of_quoted(bytes, at),
            b'\'' | b'"' | b'`' if is_expansion => at = end_of_quoted(bytes, at),
            b'(' if close == b')' => at = end_of_parenthesis(bytes, at),
            _ => at += 1,
        }
    }
    at
}

fn end_of_parenthesis(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b')' => return at + 1,
            b'(' => at = end_of_parenthesis(bytes, at),
            b'\'' | b'"' | b'`' => at = end_of_quoted(bytes, at),
            _ => at += 1,
        }
    }
    at
}

/// Returns the names of the functions that a command line defines.
fn functions(cmd: &str) -> BTreeSet<&str> {
    let before = cmd.match_indices("()").filter_map(|(at, _)| cmd.get(..at));
    before
        .filter_map(|before| before.trim_end().rsplit(|it: char| !(it.is_ascii_alphanumeric() || it == '_')).next())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_shells_drop_need_a_program() {
        let variables = [("A_1", "x"), ("discovery.type", "single node"), ("a-b", "it's")];
        assert_eq!(prefix(variables.into_iter()), r"env 'discovery.type=single node' 'a-b=it'\''s' ");
        assert_eq!(prefix([("A", "x.y")].into_iter()), "");
    }

    #[test]
    fn every_plain_program_gets_them_and_the_shells_own_words_do_not() {
        let check = |cmd: &str, expected: &str| {
            assert_eq!(with_prefix(cmd, "env a.b=c "), expected.replace('^', "env a.b=c "), "{cmd}");
            assert_eq!(with_prefix(cmd, ""), cmd);
        };
        check("env | grep -q single-node && sleep 60", "^env | ^grep -q single-node && ^sleep 60");
        check("exec /usr/bin/java -jar x.jar", "exec ^/usr/bin/java -jar x.jar");
        check("cd /srv; X=1 Y='a b' serve >log 2>&1 &\nwait", "cd /srv; X=1 Y='a b' ^serve >log 2>&1 &\nwait");
        check(
            "if test -e x; then run 'a; b' \"$(c; d)\"; else ! other; fi",
            "if test -e x; then ^run 'a; b' \"$(c; d)\"; else ! ^other; fi",
        );
        check("f() { server; }; f", "f() { ^server; }; f");
        check("\"$JAVA\" -version; $X y # z; w", "\"$JAVA\" -version; $X y # z; w");
        check("cat <<E\nrun this\nE\n", "^cat <<E\nrun this\nE\n");
        check("while :; do (serve); done", "while :; do (^serve); done");
        check("run; case $1 in\na) b ;;\nesac", "^run; case $1 in\na) b ;;\nesac");
        check("a \\\n  b && \\\n  c", "^a \\\n  b && \\\n  ^c");
    }
}

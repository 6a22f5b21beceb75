//! What can be told about a command without parsing it: most are a few words, and they are checked at every keystroke.

use super::bash_only::is_telling;

/// Tells whether a command is only lines of words, in which nothing can be open or out of place. `false` means nothing.
pub(super) fn is_simple(command: &str) -> bool {
    command.lines().all(is_simple_line)
}

fn is_simple_line(line: &str) -> bool {
    let mut bytes = line.bytes();
    let mut is_quoted = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' | b'`' => return false,
            // `$name` only: a bracket makes it something that has to be closed.
            b'$' if !is_name_start(bytes.clone().next()) => return false,
            // A quoted word is split at its blanks too, and may hold what only bash reads.
            b'+' if bytes.clone().next() == Some(b'=') => return false,
            _ if is_quoted => {}
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {}
            b' ' | b'\t' | b'-' | b'_' | b'.' | b'/' | b':' | b'=' | b',' | b'@' | b'%' | b'+' | b'$' => {}
            _ => return false,
        }
    }
    !is_quoted && !line.split([' ', '\t']).any(|word| is_reserved(word) || is_telling(word))
}

/// Tells whether a word opens, closes or divides something at the start of a command.
fn is_reserved(word: &str) -> bool {
    matches!(
        word,
        "if" | "then"
            | "elif"
            | "else"
            | "fi"
            | "for"
            | "while"
            | "until"
            | "select"
            | "do"
            | "done"
            | "case"
            | "esac"
            | "in"
            | "function"
            | "time"
            | "coproc"
    )
}

fn is_name_start(byte: Option<u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

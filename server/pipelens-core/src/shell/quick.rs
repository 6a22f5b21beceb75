//! What can be told about a command without parsing it: most are a few words, and they are checked at every keystroke.

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
            _ if is_quoted => {}
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {}
            b' ' | b'\t' | b'-' | b'_' | b'.' | b'/' | b':' | b'=' | b',' | b'@' | b'%' | b'+' | b'$' => {}
            _ => return false,
        }
    }
    !is_quoted && !line.split([' ', '\t']).any(is_reserved)
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

/// Returns how deep a command may be nested at most: what opens and is not closed yet, whether quoted or not.
pub(super) fn depth(command: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut rest = command;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(if end == 0 { first.len_utf8() } else { end });
        match word {
            "(" | "{" | "if" | "for" | "while" | "until" | "select" | "case" | "elif" => depth += 1,
            ")" | "}" | "fi" | "done" | "esac" => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
        rest = after;
    }
    deepest
}

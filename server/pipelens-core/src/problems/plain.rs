//! A line of output as a person sees it: without colours, and without what a carriage return has overwritten.

use std::borrow::Cow;

/// What follows is cut: no tool writes such lines for people.
const MAX_LINE_BYTES: usize = 4_096;

/// Returns the visible text of a line.
pub(super) fn plain(line: &str) -> Cow<'_, str> {
    let line = last_written(cut(line));
    if !line.bytes().any(|byte| byte == 0x1b || byte == 0x08) {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{8}' => {
                text.pop();
            }
            other => text.push(other),
        }
    }
    Cow::Owned(text)
}

fn cut(line: &str) -> &str {
    if line.len() <= MAX_LINE_BYTES {
        return line;
    }
    let mut end = MAX_LINE_BYTES;
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.get(..end).unwrap_or_default()
}

/// Returns what a terminal shows of a line with carriage returns.
fn last_written(line: &str) -> &str {
    let line = line.trim_end_matches(['\r', '\n']);
    line.rsplit('\r').next().unwrap_or(line)
}

/// Goes past an escape sequence: `[…m`, `]…` up to its terminator, or one character.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => {
            rest.find(|character| ('@'..='~').contains(character));
        }
        Some(']' | 'P' | '_' | '^' | 'X') => {
            while let Some(character) = rest.next() {
                match character {
                    '\u{7}' => return,
                    '\u{1b}' => {
                        rest.next();
                        return;
                    }
                    _ => {}
                }
            }
        }
        Some('(' | ')' | '#' | '%') => {
            rest.next();
        }
        Some(_) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_links_and_what_was_overwritten_are_left_out() {
        assert_eq!(plain("\u{1b}[1m\u{1b}[91merror\u{1b}[0m: x"), "error: x");
        assert_eq!(plain("a\u{1b}]8;;https://x\u{7}link\u{1b}]8;;\u{1b}\\ b"), "alink b");
        assert_eq!(plain("10 %\r100 %\ra.c:1:2: error: x\r"), "a.c:1:2: error: x");
        assert_eq!(plain(&"é".repeat(5_000)).len(), MAX_LINE_BYTES);
        assert_eq!(plain("\u{1b}["), "");
    }
}

//! JSON: one entry a line; a list of plain values stays on one line where it fits.

use super::space::{FormatStyle, set_space};
use crate::text::{TextEdit, TextRange};

/// A list of values longer than this goes over several lines.
const MAX_LINE: usize = 80;

/// Indentation may make text that many times as long; what people write stays below three.
const MAX_GROWTH: usize = 8;
/// A short text may grow more than that.
const SHORT: usize = 64 * 1024;

/// Returns `None` where the text would become too long.
pub(super) fn edits(text: &str, style: FormatStyle) -> Option<Vec<TextEdit>> {
    let tokens = tokens(text);
    let mut edits = Vec::new();
    let mut depth: usize = 0;
    let mut bytes_left = SHORT + text.len() * MAX_GROWTH;
    // How many of the open brackets are written on one line.
    let mut open: Vec<bool> = Vec::new();
    let mut previous: Option<TextRange> = None;
    for (index, token) in tokens.iter().enumerate() {
        let first = byte(text, *token);
        let is_closing = matches!(first, b'}' | b']');
        let is_inline = open.last().copied().unwrap_or_default();
        if is_closing {
            depth = depth.saturating_sub(1);
            open.pop();
        }
        let before = previous.map(|token| byte(text, token));
        let gap = TextRange::new(previous.map_or(0, |token| token.end), token.start);
        let line = || format!("\n{}", " ".repeat(depth * style.indent));
        let wanted = match (before, first) {
            (None, _) if text.starts_with('\u{feff}') => "\u{feff}".to_owned(),
            (None, _) | (_, b',' | b':') | (Some(b'{'), b'}') | (Some(b'['), b']') => String::new(),
            (Some(b':'), _) => " ".to_owned(),
            (Some(b','), _) if is_inline => " ".to_owned(),
            (Some(_), _) if is_inline => String::new(),
            (Some(_), _) => line(),
        };
        bytes_left = bytes_left.checked_sub(wanted.len())?;
        set_space(text, gap, &wanted, &mut edits);
        if matches!(first, b'{' | b'[') {
            depth += 1;
            open.push(first == b'[' && fits_on_a_line(text, tokens.get(index..).unwrap_or_default()));
        }
        previous = Some(*token);
    }
    if let Some(last) = previous {
        set_space(text, TextRange::new(last.end, text.len()), "\n", &mut edits);
    }
    Some(edits)
}

fn byte(text: &str, token: TextRange) -> u8 {
    text.as_bytes().get(token.start).copied().unwrap_or_default()
}

/// Tells whether the list that starts the tokens holds plain values only, and few.
fn fits_on_a_line(text: &str, tokens: &[TextRange]) -> bool {
    let mut length = 0;
    for token in tokens.iter().skip(1) {
        match byte(text, *token) {
            b']' => return length <= MAX_LINE,
            b'{' | b'[' => return false,
            _ => length += token.end - token.start + 1,
        }
        if length > MAX_LINE {
            return false;
        }
    }
    false
}

/// Splits checked JSON: a bracket, a comma and a colon are tokens, and so is a whole text, number or word.
fn tokens(text: &str) -> Vec<TextRange> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut offset = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    while let Some(byte) = bytes.get(offset).copied() {
        let start = offset;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                offset += 1;
                continue;
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' => offset += 1,
            b'"' => {
                offset += 1;
                while let Some(inner) = bytes.get(offset).copied().filter(|inner| *inner != b'"') {
                    offset += if inner == b'\\' { 2 } else { 1 };
                }
                offset = (offset + 1).min(bytes.len());
            }
            _ => {
                let is_word = |byte: &u8| !b" \t\r\n{}[],:\"".contains(byte);
                offset += bytes.get(offset..).unwrap_or_default().iter().take_while(|byte| is_word(byte)).count();
            }
        }
        tokens.push(TextRange::new(start, offset));
    }
    tokens
}

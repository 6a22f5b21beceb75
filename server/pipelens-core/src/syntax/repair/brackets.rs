//! Finds the missing bracket in JSON-like text: indentation shows where its author meant it to be.

use super::candidate::Candidate;
use crate::text::{LineIndex, TextEdit, TextRange};

struct Open {
    offset: usize,
    closer: char,
    /// The indentation of its line.
    indent: usize,
}

/// Tells whether a whole text is in brackets, as in JSON.
pub(super) fn is_bracketed(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '['])
}

/// Returns the closers of the brackets that are open at the end of the text, innermost last. `None`: they do not match.
pub(super) fn open_closers(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut open = Vec::new();
    let mut position = 0;
    while let Some(found) =
        bytes.get(position..)?.iter().position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'))
    {
        position += found + 1;
        match bytes.get(position - 1)? {
            b'"' => position += text_length(bytes.get(position..)?),
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            closer => {
                open.pop().filter(|expected| expected == closer)?;
            }
        }
    }
    Some(open)
}

/// Returns the length of a quoted string with its closing quote; one that is never closed ends with its line.
fn text_length(bytes: &[u8]) -> usize {
    let mut position = 0;
    while let Some(found) = memchr::memchr3(b'"', b'\\', b'\n', bytes.get(position..).unwrap_or_default()) {
        position += found + 1;
        if bytes.get(position - 1) != Some(&b'\\') {
            return position;
        }
        position += 1;
    }
    bytes.len()
}

/// Closes the first bracket whose block has ended by indentation while it is still open. Only where the whole text is in
/// brackets, as in JSON.
pub(super) fn lost_bracket(text: &str, lines: &LineIndex) -> Option<Candidate> {
    if !is_bracketed(text) {
        return None;
    }
    let mut open: Vec<Open> = Vec::new();
    let mut end_above = 0;
    for line in 0..lines.line_count() {
        let range = lines.line_range(line);
        let content = text.get(range.start..range.end)?.trim_end();
        let bare = content.trim_start_matches(['\u{feff}', ' ', '\t']);
        let Some(first) = bare.chars().next() else { continue };
        let indent = content.len() - bare.len();
        if let Some(innermost) = open.last()
            && (indent < innermost.indent || (indent == innermost.indent && first != innermost.closer))
        {
            let comma = if matches!(first, ',' | '}' | ']') { "" } else { "," };
            return Some(close(innermost.offset, &innermost.closer.to_string(), comma, end_above));
        }
        follow(content, range.start, indent, &mut open)?;
        end_above = range.start + content.len();
    }
    let closers: String = open.iter().rev().map(|bracket| bracket.closer).collect();
    open.last().map(|innermost| close(innermost.offset, &closers, "", end_above))
}

/// Notes what a line opens and closes. `None`: it closes what was never opened.
fn follow(content: &str, start: usize, indent: usize, open: &mut Vec<Open>) -> Option<()> {
    let mut is_text = false;
    let mut is_escaped = false;
    for (position, character) in content.char_indices() {
        let offset = start + position;
        match character {
            _ if std::mem::take(&mut is_escaped) => {}
            '\\' if is_text => is_escaped = true,
            '"' => is_text = !is_text,
            _ if is_text => {}
            '{' => open.push(Open { offset, closer: '}', indent }),
            '[' => open.push(Open { offset, closer: ']', indent }),
            '}' | ']' => {
                open.pop().filter(|bracket| bracket.closer == character)?;
            }
            _ => {}
        }
    }
    Some(())
}

fn close(offset: usize, closers: &str, comma: &str, place: usize) -> Candidate {
    Candidate {
        edits: vec![TextEdit { range: TextRange::at(place), new_text: format!("{closers}{comma}") }],
        range: TextRange::new(offset, offset + 1),
        message: format!("This bracket is never closed. Add `{closers}`."),
        fix: Some(format!("Add `{closers}{comma}`")),
        is_safe: false,
    }
}

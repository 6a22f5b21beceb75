//! What other YAML parsers accept although the specification does not: a closing bracket in the column of its key.

use crate::text::{LineIndex, TextEdit, TextRange};

/// A line that ends with an opening bracket and is not closed yet.
struct Open {
    indent: usize,
    len: usize,
}

/// Returns the edits that indent every such bracket. Nothing changes but blanks between two tokens.
pub(super) fn closing_brackets(text: &str, lines: &LineIndex) -> Vec<TextEdit> {
    let mut edits = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut block: Option<usize> = None;
    for line in 0..lines.line_count() {
        let content = lines.line_range(line).of(text).trim_end();
        let visible = content.trim_start_matches(' ');
        if visible.is_empty() {
            continue;
        }
        let indent = content.len() - visible.len();
        // Lines of a block scalar are text.
        if block.is_some_and(|header| indent > header) {
            continue;
        }
        block = is_block_header(visible).then_some(indent);
        let is_closing = visible.starts_with([']', '}']);
        while open.pop_if(|outer| indent < outer.indent || (indent == outer.indent && !is_closing)).is_some() {}
        if is_closing && let Some(opener) = open.pop_if(|outer| indent <= outer.len && outer.indent <= indent) {
            let range = TextRange::at(lines.line_start(line));
            edits.push(TextEdit { range, new_text: " ".repeat(opener.len + 1) });
        }
        if visible.ends_with(['[', '{']) {
            open.push(Open { indent, len: content.len() });
        }
    }
    edits
}

fn is_block_header(visible: &str) -> bool {
    let before_comment = visible.split(" #").next().unwrap_or_default().trim_end();
    let word = before_comment.rsplit(' ').next().unwrap_or_default();
    word.starts_with(['|', '>']) && word.len() <= 3 && before_comment.len() > word.len()
}

//! Merge conflicts: our side stays; the markers and the other side are blanked.

use super::repaired::Repaired;
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::patch::Patch;
use crate::text::{LineIndex, TextEdit, TextRange};

/// Blanks the markers and the other side of every conflict. `false`: there is none.
pub(super) fn blank(text: &str, lines: &LineIndex, patch: &mut Patch, result: &mut Repaired) -> bool {
    if !text.contains("<<<<<<< ") {
        return false;
    }
    let mut start: Option<TextRange> = None;
    let mut is_theirs = false;
    let mut edits = Vec::new();
    for line in 0..lines.line_count() {
        let range = lines.line_range(line);
        let content = range.of(text).trim_end();
        let range = TextRange::new(range.start, range.start + content.len());
        let is_end = start.is_some() && content.starts_with(">>>>>>>");
        let is_mark = if content.starts_with("<<<<<<< ") {
            start = Some(range);
            let message = "This is a merge conflict. Choose one side and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`.";
            result.findings.push(Diagnostic::new(Code::Syntax, range, message));
            true
        } else {
            is_end || (start.is_some() && content == "=======")
        };
        is_theirs |= start.is_some() && content == "=======";
        if is_mark || is_theirs {
            edits.push(TextEdit { range, new_text: String::new() });
        }
        if start.is_some() {
            result.repaired_lines.insert(line);
        }
        if is_end {
            (start, is_theirs) = (None, false);
        }
    }
    *patch = Patch::of(edits);
    !patch.is_empty()
}

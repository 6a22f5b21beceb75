//! White space: how much is wanted, and edits that change it.

use crate::text::{TextEdit, TextRange};

/// How far one level is indented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormatStyle {
    pub indent: usize,
}

impl Default for FormatStyle {
    fn default() -> Self {
        Self { indent: 2 }
    }
}

pub(super) fn slice(text: &str, range: TextRange) -> Option<&str> {
    text.get(range.start..range.end)
}

/// Adds an edit that replaces white space, unless it is already as wanted.
pub(super) fn set_space(text: &str, range: TextRange, wanted: &str, edits: &mut Vec<TextEdit>) {
    if slice(text, range) != Some(wanted) {
        edits.push(TextEdit { range, new_text: wanted.to_owned() });
    }
}

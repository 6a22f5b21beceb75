//! One line of a broken text, as repairs look at it.

use crate::text::{LineIndex, TextEdit, TextRange};

/// One line without its line break.
#[derive(Clone, Copy)]
pub(super) struct Line<'text> {
    pub(super) start: usize,
    pub(super) content: &'text str,
    /// The non-blank line above.
    pub(super) above: &'text str,
    pub(super) below: Below,
}

/// How the next non-blank line of text in brackets is indented. In other texts this means nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Below {
    Deeper,
    Same,
    Unknown,
}

pub(super) fn content<'text>(text: &'text str, lines: &LineIndex, line: usize) -> &'text str {
    let range = lines.line_range(line);
    range.of(text).trim_end()
}

pub(super) fn blanks(content: &str) -> &str {
    content.get(..content.len() - content.trim_start_matches([' ', '\t']).len()).unwrap_or_default()
}

impl Line<'_> {
    pub(super) fn end(self) -> usize {
        self.start + self.content.len()
    }

    /// What a person sees of it.
    pub(super) fn visible(self) -> TextRange {
        TextRange::new(self.start + blanks(self.content).len(), self.end())
    }

    pub(super) fn append(self, added: &str) -> TextEdit {
        TextEdit { range: TextRange::at(self.end()), new_text: added.to_owned() }
    }

    /// Where the value after `key: ` starts, relative to the line.
    pub(super) fn value_start(self) -> Option<usize> {
        let colon = self.content.find(": ")?;
        let value = self.content.get(colon + 1..)?;
        Some(colon + 1 + value.len() - value.trim_start().len())
    }
}

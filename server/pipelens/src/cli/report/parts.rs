//! What several formats have in common.

use serde::Serialize;

use crate::cli::checked::Source;
use crate::terminal;

/// Returns a report as a document of its own.
pub(super) fn json_document(report: &impl Serialize) -> String {
    terminal::inert_json(&(serde_json::to_string_pretty(report).unwrap_or_default() + "\n")).into_owned()
}

/// Lines and columns count from 1, columns in characters; offsets from 0, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) offset: usize,
}

impl Place {
    pub(super) fn new(source: Source<'_>, offset: usize) -> Self {
        let line = source.line_index.line(offset);
        let before = source.text.get(source.line_index.line_start(line)..offset).unwrap_or_default();
        Self { line: line + 1, column: before.chars().count() + 1, offset }
    }
}

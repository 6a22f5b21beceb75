//! Edits that make a broken text readable, and the way back from a place in the mended text to the original.

use crate::text::{TextEdit, TextRange, apply_edits};

/// A set of edits, all in terms of the original text, sorted and without overlap.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patch {
    edits: Vec<TextEdit>,
}

impl Patch {
    /// Adds an edit. One that covers earlier edits replaces them; one at the same place goes behind them.
    pub(crate) fn add(&mut self, edit: TextEdit) {
        self.edits.retain(|old| edit.range.is_empty() || !edit.range.contains_range(old.range));
        let place = self.edits.partition_point(|old| old.range.start <= edit.range.start);
        self.edits.insert(place, edit);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    pub(crate) fn apply(&self, text: &str) -> String {
        apply_edits(text, &self.edits)
    }

    pub(crate) fn original_range(&self, range: TextRange) -> TextRange {
        if self.edits.is_empty() {
            return range;
        }
        TextRange::new(self.original_offset(range.start), self.original_offset(range.end))
    }

    /// Maps an offset of the mended text back. Inside inserted text it is the place of the insertion.
    pub(crate) fn original_offset(&self, offset: usize) -> usize {
        let mut behind: usize = 0;
        let mut consumed = 0;
        for edit in &self.edits {
            let start = edit.range.start - consumed + behind;
            if offset < start {
                break;
            }
            let end = start + edit.new_text.len();
            if offset < end {
                // Blanks that replace blanks keep their columns.
                return (edit.range.start + (offset - start)).min(edit.range.end);
            }
            behind = end;
            consumed = edit.range.end;
        }
        offset - behind + consumed
    }
}

//! Edits that make a broken text parse, and the mapping from places in the repaired text back to the original.

use crate::text::{TextEdit, TextRange, apply_edits};

/// A set of edits, all in terms of the original text, sorted and without overlap.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patch {
    edits: Vec<TextEdit>,
    /// Where the new text of each edit starts in the repaired text.
    starts: Vec<usize>,
}

impl Patch {
    /// Adds an edit. One that covers earlier edits replaces them; one at the same place goes after them.
    pub(crate) fn add(&mut self, edit: TextEdit) {
        self.edits.retain(|old| edit.range.is_empty() || !edit.range.contains_range(old.range));
        let place = self.edits.partition_point(|old| old.range.start <= edit.range.start);
        self.edits.insert(place, edit);
        self.find_starts();
    }

    /// Returns a patch with further insertions, each after those that are at its place.
    pub(crate) fn with_insertions(&self, added: impl IntoIterator<Item = TextEdit>) -> Self {
        let mut edits = self.edits.clone();
        edits.extend(added);
        edits.sort_by_key(|edit| edit.range.start);
        Self::of(edits)
    }

    /// Starts with edits that are sorted and do not overlap.
    pub(crate) fn of(edits: Vec<TextEdit>) -> Self {
        let mut patch = Self { edits, starts: Vec::new() };
        patch.find_starts();
        patch
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

    /// Maps an offset in the repaired text back. Inside inserted text it is the place of the insertion.
    pub(crate) fn original_offset(&self, offset: usize) -> usize {
        let after = self.starts.partition_point(|start| *start <= offset);
        let last = after.checked_sub(1).and_then(|before| self.edits.get(before).zip(self.starts.get(before)));
        let Some((edit, start)) = last else { return offset };
        let inside = offset - start;
        match inside.checked_sub(edit.new_text.len()) {
            // Blanks that replace blanks keep their columns.
            None => (edit.range.start + inside).min(edit.range.end),
            Some(after) => edit.range.end + after,
        }
    }

    fn find_starts(&mut self) {
        self.starts.clear();
        let (mut inserted, mut removed) = (0, 0);
        for edit in &self.edits {
            self.starts.push(edit.range.start + inserted - removed);
            inserted += edit.new_text.len();
            removed += edit.range.end - edit.range.start;
        }
    }
}

//! The edits of one message, each of which refers to the text after the one before it.

use lsp_types::{Position, Range, TextDocumentContentChangeEvent};
use pipelens_core::text::LineIndex;
use ropey::{Rope, RopeSlice};

use super::positions::{Encoding, TextMap, Units, to_u32};

/// A rope costs more than it saves for fewer edits.
const MANY: usize = 4;

/// Returns the text after the edits. Positions outside the text are moved to the nearest position inside it.
pub(crate) fn apply(text: &str, changes: Vec<TextDocumentContentChangeEvent>, encoding: Encoding) -> String {
    if changes.len() >= MANY {
        return apply_many(text, changes, encoding);
    }
    changes.into_iter().fold(text.to_owned(), |text, change| apply_one(&text, change, encoding))
}

/// What an edit does to the positions in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edit {
    replaced: Range,
    /// Where the new text ends.
    end: Position,
}

impl Edit {
    /// Returns a range after the edit. What was replaced shrinks to its start.
    pub(crate) fn moved(&self, range: Range) -> Range {
        // What is typed at the start of a range is in front of it.
        let start = self.moved_position(range.start);
        // What is typed at its end is not part of it.
        let is_after = self.replaced.start >= range.end && range.end > range.start;
        let end = if is_after { range.end } else { self.moved_position(range.end) };
        Range::new(start, end.max(start))
    }

    fn moved_position(&self, position: Position) -> Position {
        let Range { start, end } = self.replaced;
        if position < start {
            return position;
        }
        if position < end {
            return start;
        }
        if position.line > end.line {
            return Position::new(position.line - end.line + self.end.line, position.character);
        }
        Position::new(self.end.line, position.character - end.character + self.end.character)
    }
}

/// Returns what the edits of one message do to positions. A new text as a whole is an edit of the lines that differ.
pub(crate) fn edits(before: &str, changes: &[TextDocumentContentChangeEvent], encoding: Encoding) -> Vec<Edit> {
    let mut text = before;
    let mut edits = Vec::new();
    for change in changes {
        match change.range {
            Some(replaced) => edits.push(Edit { replaced, end: end_of(replaced.start, &change.text, encoding) }),
            None => {
                edits.push(difference(text, &change.text));
                text = &change.text;
            }
        }
    }
    edits
}

/// Returns the position at the end of a text that is inserted.
fn end_of(start: Position, text: &str, encoding: Encoding) -> Position {
    let index = LineIndex::new(text);
    let last = index.line(text.len());
    let tail = text.get(index.line_start(last)..).unwrap_or_default();
    let length = match encoding {
        Encoding::Utf8 => tail.len(),
        Encoding::Utf16 => tail.encode_utf16().count(),
        Encoding::Utf32 => tail.chars().count(),
    };
    let (lines, length) = (to_u32(last), to_u32(length));
    Position::new(start.line + lines, if lines == 0 { start.character + length } else { length })
}

/// Returns the edit that replaces the lines which differ.
fn difference(before: &str, after: &str) -> Edit {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let rest = old.len().min(new.len()) - same;
    let same_end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
    let line = |number: usize| Position::new(to_u32(number), 0);
    Edit { replaced: Range::new(line(same), line(old.len() - same_end)), end: line(new.len() - same_end) }
}

fn apply_one(text: &str, change: TextDocumentContentChangeEvent, encoding: Encoding) -> String {
    let Some(range) = change.range else { return change.text };
    let index = LineIndex::new(text);
    let units = Units::new(text);
    let range = TextMap::new(text, &index, &units, encoding).offsets(range);
    [text.get(..range.start).unwrap_or_default(), &change.text, text.get(range.end..).unwrap_or_default()].concat()
}

/// Looking for the lines of the whole text at each edit would take the square of the time.
fn apply_many(text: &str, changes: Vec<TextDocumentContentChangeEvent>, encoding: Encoding) -> String {
    let mut rope = Rope::from_str(text);
    for change in changes {
        let Some(range) = change.range else {
            rope = Rope::from_str(&change.text);
            continue;
        };
        let [start, end] = [range.start, range.end].map(|position| char_at(&rope, position, encoding));
        // Both positions are inside the rope, so neither call fails. A range that ends before it starts is empty.
        if rope.try_remove(start..end.max(start)).is_ok() {
            rope.try_insert(start, &change.text).ok();
        }
    }
    rope.into()
}

fn char_at(rope: &Rope, position: Position, encoding: Encoding) -> usize {
    let Some(line) = rope.get_line(position.line as usize) else { return rope.len_chars() };
    let line_end = line.chars_at(line.len_chars()).reversed().take_while(|it| matches!(it, '\r' | '\n')).count();
    let content: RopeSlice<'_> = line.slice(..line.len_chars() - line_end);
    let wanted = position.character as usize;
    let inside = match encoding {
        Encoding::Utf8 => content.byte_to_char(wanted.min(content.len_bytes())),
        Encoding::Utf16 => content.utf16_cu_to_char(wanted.min(content.len_utf16_cu())),
        Encoding::Utf32 => wanted.min(content.len_chars()),
    };
    rope.line_to_char(position.line as usize) + inside
}

#[cfg(test)]
mod tests {
    use lsp_types::Range;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_move_with_edits_before_them() {
        let range = |line, start, end| Range::new(Position::new(line, start), Position::new(line, end));
        let change =
            |range, text: &str| TextDocumentContentChangeEvent { range, range_length: None, text: text.to_owned() };
        let moved = |change| {
            let edits = edits("a\nb\nsome word\n", &[change], Encoding::Utf16);
            edits.iter().fold(range(2, 5, 9), |range, edit| edit.moved(range))
        };
        assert_eq!(moved(change(Some(range(0, 0, 0)), "x\ny\n")), range(4, 5, 9));
        assert_eq!(moved(change(Some(range(2, 0, 4)), "𝄞")), range(2, 3, 7));
        assert_eq!(moved(change(Some(range(2, 5, 5)), "x\nyz")), range(3, 2, 6));
        assert_eq!(moved(change(Some(range(2, 9, 9)), "!")), range(2, 5, 9));
        assert_eq!(moved(change(Some(range(2, 4, 9)), "")), range(2, 4, 4));
        assert_eq!(moved(change(Some(range(3, 0, 0)), "x")), range(2, 5, 9));
        assert_eq!(moved(change(None, "a\nnew\nb\nsome word\n")), range(3, 5, 9));
        assert_eq!(moved(change(None, "some word\n")), range(0, 5, 9));
    }

    fn text() -> impl Strategy<Value = String> {
        let parts = prop_oneof![
            Just("a"),
            Just("é"),
            Just("🧪"),
            Just("\n"),
            Just("\r"),
            Just("\r\n"),
            Just("\u{2028}"),
            Just(" ")
        ];
        proptest::collection::vec(parts, 0..30).prop_map(|parts| parts.concat())
    }

    fn change() -> impl Strategy<Value = TextDocumentContentChangeEvent> {
        let position = || {
            (0u32..8, prop_oneof![0u32..12, Just(u32::MAX)]).prop_map(|(line, character)| Position { line, character })
        };
        let range = prop_oneof![9 => (position(), position()).prop_map(|(start, end)| Some(Range { start, end })), 1 => Just(None)];
        (range, text()).prop_map(|(range, text)| TextDocumentContentChangeEvent { range, range_length: None, text })
    }

    proptest! {
        #[test]
        fn many_edits_have_the_same_result_as_one_after_another(
            before in text(),
            changes in proptest::collection::vec(change(), 0..8),
            encoding in proptest::sample::select(vec![Encoding::Utf8, Encoding::Utf16, Encoding::Utf32]),
        ) {
            let each = changes.iter().cloned().fold(before.clone(), |text, change| apply_one(&text, change, encoding));
            prop_assert_eq!(apply_many(&before, changes, encoding), each);
        }
    }
}

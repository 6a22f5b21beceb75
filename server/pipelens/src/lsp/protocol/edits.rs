//! The edits of one message, each of which refers to the text after the one before it.

use lsp_types::{Position, TextDocumentContentChangeEvent};
use pipelens_core::text::LineIndex;
use ropey::{Rope, RopeSlice};

use super::positions::{Encoding, TextMap, Units};

/// A rope costs more than it saves for fewer edits.
const MANY: usize = 4;

/// Returns the text after the edits. Positions outside the text are moved to the nearest position inside it.
pub(crate) fn apply(text: &str, changes: Vec<TextDocumentContentChangeEvent>, encoding: Encoding) -> String {
    if changes.len() >= MANY {
        return apply_many(text, changes, encoding);
    }
    changes.into_iter().fold(text.to_owned(), |text, change| apply_one(&text, change, encoding))
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
    };
    rope.line_to_char(position.line as usize) + inside
}

#[cfg(test)]
mod tests {
    use lsp_types::Range;
    use proptest::prelude::*;

    use super::*;

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
            is_utf8: bool,
        ) {
            let encoding = if is_utf8 { Encoding::Utf8 } else { Encoding::Utf16 };
            let each = changes.iter().cloned().fold(before.clone(), |text, change| apply_one(&text, change, encoding));
            prop_assert_eq!(apply_many(&before, changes, encoding), each);
        }
    }
}

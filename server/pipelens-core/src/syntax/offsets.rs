//! Where each character of a scalar's value is in its source, in every style: quotes, escapes, folded lines, indentation.
//!
//! A value has the characters of its source in the same order; styles differ in what they do to white space, quotes and escapes. So the
//! characters are matched one by one, and white space is matched with the white space between the same characters.

use crate::text::{Spanned, TextRange};

/// The characters and the white space of a value, each with its place in the source.
#[derive(Debug)]
pub(crate) struct Offsets {
    /// In order of the value.
    places: Vec<Stretch>,
    value_len: usize,
    /// Where the source starts in its text.
    start: usize,
    quote: Option<char>,
}

/// Characters of a value: one, however it is written, or several that are next to each other in the source as they are in the value, a byte each.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// The first one's offset in the value.
    offset: usize,
    characters: usize,
    place: TextRange,
}

impl Stretch {
    fn after(&self) -> usize {
        self.offset + self.characters
    }

    /// Returns the places of those from one offset up to another.
    fn part(&self, start: usize, end: usize) -> TextRange {
        if self.characters == 1 {
            return self.place;
        }
        let at = |offset: usize| self.place.start + offset.clamp(self.offset, self.after()) - self.offset;
        TextRange::new(at(start), at(end))
    }

    /// Takes in the next character, if it is written like the others.
    fn goes_on(&mut self, offset: usize, place: TextRange) -> bool {
        let is_next = offset == self.after() && place.start == self.place.end;
        let are_bytes = self.place.end - self.place.start == self.characters && place.end == place.start + 1;
        if is_next && are_bytes {
            self.characters += 1;
            self.place.end = place.end;
        }
        is_next && are_bytes
    }
}

/// What one character of a value was written as.
#[derive(Debug, Clone, Copy)]
struct Unit {
    character: char,
    place: TextRange,
}

impl Unit {
    /// A line break cannot be marked, unless it is written as an escape.
    fn visible(&self) -> TextRange {
        let is_line_end = matches!(self.character, '\n' | '\r') && self.place.end == self.place.start + 1;
        if is_line_end { TextRange::at(self.place.start) } else { self.place }
    }
}

impl Offsets {
    /// Finds a value in its text. `None`: the text there means something else.
    pub(crate) fn of(text: &str, written: &Spanned<String>) -> Option<Self> {
        let offsets = Self::new(text.get(written.range.start..written.range.end)?, &written.value)?;
        Some(Self { start: written.range.start, ..offsets })
    }

    fn new(source: &str, value: &str) -> Option<Self> {
        // Quotes around it are part of the source only, so the first reading that has the characters of the value is the right one.
        let (quote, places) = matched(plain(source), value)
            .map(|places| (None, places))
            .or_else(|| Some((Some('\''), matched(single_quoted(source).into_iter(), value)?)))
            .or_else(|| Some((Some('"'), matched(double_quoted(source).into_iter(), value)?)))?;
        Some(Self { places, value_len: value.len(), start: 0, quote })
    }

    /// Tells whether a source can stand for a value.
    pub(crate) fn says(source: &str, value: &str) -> bool {
        Self::new(source, value).is_some()
    }

    /// Returns the quote around the source.
    pub(crate) fn quote(&self) -> Option<char> {
        self.quote
    }

    /// Returns where a part of the value is, from its first to its last character.
    pub(crate) fn source(&self, range: TextRange) -> Option<TextRange> {
        let end = range.end.max(range.start + 1);
        let first = self.places.partition_point(|stretch| stretch.after() <= range.start);
        let after = self.places.partition_point(|stretch| stretch.offset < end);
        let start = self.places.get(first).map(|stretch| {
            let first = stretch.offset.max(range.start);
            stretch.part(first, first + 1)
        });
        let last = self.places.get(..after).and_then(<[_]>::last);
        let last = last.map(|stretch| stretch.part(stretch.after().min(end) - 1, end));
        let found = match (start, last) {
            (Some(start), Some(end)) if !range.is_empty() => Some(start.cover(end)),
            (Some(start), _) => Some(TextRange::at(start.start)),
            (None, Some(end)) if range.start <= self.value_len => Some(TextRange::at(end.end)),
            (None, _) => None,
        };
        found.map(|range| self.in_text(range))
    }

    fn in_text(&self, range: TextRange) -> TextRange {
        TextRange::new(self.start + range.start, self.start + range.end)
    }

    /// Returns the places of a part of the value that are next to each other in the source, so none of them crosses a line break.
    pub(crate) fn stretches(&self, range: TextRange) -> Vec<TextRange> {
        let first = self.places.partition_point(|stretch| stretch.after() <= range.start);
        let after = self.places.partition_point(|stretch| stretch.offset < range.end);
        let mut stretches: Vec<TextRange> = Vec::new();
        let places = self.places.get(first..after).unwrap_or_default().iter();
        for place in places.map(|stretch| stretch.part(range.start, range.end)).filter(|place| !place.is_empty()) {
            match stretches.last_mut() {
                Some(last) if last.end == place.start => last.end = place.end,
                Some(_) | None => stretches.push(place),
            }
        }
        stretches.into_iter().map(|range| self.in_text(range)).collect()
    }
}

fn plain(source: &str) -> impl Iterator<Item = Unit> {
    let unit = |(start, character): (usize, char)| Unit {
        character,
        place: TextRange::new(start, start + character.len_utf8()),
    };
    source.char_indices().map(unit)
}

fn single_quoted(source: &str) -> Vec<Unit> {
    let inner = inside(source, '\'');
    let mut rest = inner.of(source).char_indices().peekable();
    let mut units = Vec::new();
    while let Some((offset, character)) = rest.next() {
        let start = inner.start + offset;
        let is_doubled = character == '\'' && rest.next_if(|(_, next)| *next == '\'').is_some();
        let end = start + character.len_utf8() + usize::from(is_doubled);
        units.push(Unit { character, place: TextRange::new(start, end) });
    }
    units
}

fn double_quoted(source: &str) -> Vec<Unit> {
    let inner = inside(source, '"');
    let mut units = Vec::new();
    let mut start = inner.start;
    while let Some(character) = source.get(start..inner.end).and_then(|rest| rest.chars().next()) {
        let rest = source.get(start..inner.end).unwrap_or_default();
        let (character, length) = match character {
            '\\' => escape(rest),
            other => (Some(other), other.len_utf8()),
        };
        let place = TextRange::new(start, start + length);
        units.extend(character.map(|character| Unit { character, place }));
        start += length;
    }
    units
}

/// Reads what starts with a backslash: its character, if it stands for one, and its length.
fn escape(rest: &str) -> (Option<char>, usize) {
    let hex =
        |from: usize, digits: usize| rest.get(from..from + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let numeric = |digits: usize| (hex(2, digits).and_then(char::from_u32), 2 + digits);
    match rest.chars().nth(1) {
        Some('x') => numeric(2),
        Some('u') => match (hex(2, 4), rest.get(6..8), hex(8, 4)) {
            // JSON writes what is beyond four digits as a pair.
            (Some(high @ 0xD800..=0xDBFF), Some("\\u"), Some(low @ 0xDC00..=0xDFFF)) => {
                (char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 12)
            }
            _ => numeric(4),
        },
        Some('U') => numeric(8),
        Some('n' | 'N' | 'L' | 'P') => (Some('\n'), 2),
        Some('t' | '\t') => (Some('\t'), 2),
        Some('r') => (Some('\r'), 2),
        Some('_') => (Some('\u{a0}'), 2),
        Some('0') => (Some('\0'), 2),
        Some('a') => (Some('\u{7}'), 2),
        Some('b') => (Some('\u{8}'), 2),
        Some('v') => (Some('\u{b}'), 2),
        Some('f') => (Some('\u{c}'), 2),
        Some('e') => (Some('\u{1b}'), 2),
        // A line that goes on without a space.
        Some('\n') => (None, 2),
        Some(other) => (Some(other), 1 + other.len_utf8()),
        None => (None, 1),
    }
}

/// The part between the quotes.
fn inside(source: &str, quote: char) -> TextRange {
    let is_quoted = source.len() >= 2 && source.starts_with(quote) && source.ends_with(quote);
    if is_quoted { TextRange::new(1, source.len() - 1) } else { TextRange::at(0) }
}

/// Matches character by character. White space in the value is matched with what is between the same two characters, one for one as far as possible.
fn matched(units: impl Iterator<Item = Unit>, value: &str) -> Option<Vec<Stretch>> {
    let mut places: Vec<Stretch> = Vec::new();
    let mut add = |offset: usize, place: TextRange| {
        if !places.last_mut().is_some_and(|last| last.goes_on(offset, place)) {
            places.push(Stretch { offset, characters: 1, place });
        }
    };
    let mut rest = units.peekable();
    let mut last_end = rest.peek().map_or(0, |unit| unit.place.start);
    for (offset, character) in value.char_indices() {
        if character.is_whitespace() {
            let space = rest.next_if(|unit| unit.character.is_whitespace());
            let place = space.map_or(TextRange::at(last_end), |unit| unit.visible());
            last_end = place.end;
            add(offset, place);
            continue;
        }
        while rest.next_if(|unit| unit.character.is_whitespace()).is_some() {}
        let unit = rest.next().filter(|unit| unit.character == character)?;
        last_end = unit.place.end;
        add(offset, unit.place);
    }
    rest.all(|unit| unit.character.is_whitespace()).then_some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the part of the source that stands for a part of the value.
    fn found<'s>(source: &'s str, value: &str, part: &str) -> &'s str {
        let start = value.find(part).unwrap();
        let range = Offsets::new(source, value).unwrap().source(TextRange::new(start, start + part.len())).unwrap();
        &source[range.start..range.end]
    }

    #[test]
    fn values_of_every_style_are_found_in_their_source() {
        assert_eq!(found("echo fi", "echo fi", "fi"), "fi");
        assert_eq!(found("'it''s fi'", "it's fi", "'s"), "''s");
        assert_eq!(found("'it''s fi'", "it's fi", "fi"), "fi");
        assert_eq!(found(r#""a \"b\" \u00e9 fi""#, "a \"b\" é fi", "é"), r"\u00e9");
        assert_eq!(found(r#""a\nfi""#, "a\nfi", "fi"), "fi");
        assert_eq!(found(r#""\ud83d\ude00 fi""#, "😀 fi", "fi"), "fi");
        assert_eq!(found("if a\n      then\n\n      fi", "if a\nthen\n\nfi\n", "fi"), "fi");
        assert_eq!(found("a\n    b\n\n    fi", "a b\nfi\n", "fi"), "fi");
        assert_eq!(found("\"$A\" \"b\"", "\"$A\" \"b\"", "\"b\""), "\"b\"");
        assert_eq!(found("\"a \\\n   b fi\"", "a b fi", "fi"), "fi");
    }

    #[test]
    fn a_value_that_does_not_match_its_source_is_not_found() {
        assert!(Offsets::new("echo a", "echo b").is_none());
        assert!(Offsets::new("echo a b", "echo a").is_none());
        assert!(Offsets::new("", "a").is_none());
    }

    #[test]
    fn the_end_of_a_value_is_the_end_of_its_last_character() {
        let offsets = Offsets::new("'a b'", "a b").unwrap();
        assert_eq!(offsets.source(TextRange::at(3)), Some(TextRange::at(4)));
    }

    #[test]
    fn a_token_never_crosses_a_line_break() {
        let (source, value) = ("echo \"a\n    b\"", "echo \"a b\"");
        let stretches = Offsets::new(source, value).unwrap().stretches(TextRange::new(5, 10));
        let texts: Vec<_> = stretches.iter().map(|range| source[range.start..range.end].trim_end()).collect();
        assert_eq!(texts, ["\"a", "b\""]);
    }
}

//! Positions in text: byte ranges, lines, and the edits that change it. Knows no UTF-16 and no protocol.

/// A half-open range of byte offsets, on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TextRange {
    pub start: usize,
    pub end: usize,
}

impl TextRange {
    /// Makes a range; an end before the start becomes an empty range at the start.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }

    /// Makes the empty range at an offset.
    pub fn at(offset: usize) -> Self {
        Self { start: offset, end: offset }
    }

    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Tells whether the offset is inside or at either end, as a cursor is.
    pub fn touches(self, offset: usize) -> bool {
        self.start <= offset && offset <= self.end
    }

    pub fn contains_range(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Returns this part of `text`; nothing if the text has no such part.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// Returns the first line that has something in it, without the white space around it.
    pub fn first_line(self, text: &str) -> Self {
        let content = self.of(text).trim_start();
        let start = self.end - content.len();
        Self::new(start, start + content.lines().next().unwrap_or_default().trim_end().len())
    }

    /// Returns the smallest range that holds both.
    pub fn cover(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A value and the place it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    pub value: T,
    pub range: TextRange,
}

impl<T> Spanned<T> {
    pub fn new(value: T, range: TextRange) -> Self {
        Self { value, range }
    }
}

/// Where each line of the text starts. `\n`, `\r\n` and a lone `\r` end a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LineIndex {
    starts: Vec<usize>,
    len: usize,
}

impl LineIndex {
    pub fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        let is_end = |offset: &usize| bytes.get(*offset) != Some(&b'\r') || bytes.get(offset + 1) != Some(&b'\n');
        starts.extend(memchr::memchr2_iter(b'\n', b'\r', bytes).filter(is_end).map(|offset| offset + 1));
        Self { starts, len: bytes.len() }
    }

    pub fn line_count(&self) -> usize {
        self.starts.len()
    }

    /// Returns the zero-based line of an offset; past the end, the last line.
    pub fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// Returns where a line starts; past the last line, the end of the text.
    pub fn line_start(&self, line: usize) -> usize {
        self.starts.get(line).copied().unwrap_or(self.len)
    }

    /// Returns the range of a line, including its line break.
    pub fn line_range(&self, line: usize) -> TextRange {
        TextRange::new(self.line_start(line), self.line_start(line + 1))
    }
}

/// What differs between two texts: everything before and after is the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) old: TextRange,
    /// The length of what replaced it.
    pub(crate) new_len: usize,
}

impl Change {
    pub(crate) fn between(old: &str, new: &str) -> Self {
        let (a, b) = (old.as_bytes(), new.as_bytes());
        let mut start = common(a.iter().zip(b));
        while !old.is_char_boundary(start) {
            start -= 1;
        }
        let rest = a.len().min(b.len()) - start;
        let mut same = common(a.iter().rev().zip(b.iter().rev()).take(rest));
        while !old.is_char_boundary(a.len() - same) {
            same -= 1;
        }
        Self { old: TextRange::new(start, a.len() - same), new_len: b.len() - same - start }
    }

    /// Returns where what replaced it ends, in the new text.
    pub(crate) fn new_end(self) -> usize {
        self.old.start + self.new_len
    }

    /// Returns an offset after the change, as it is in the new text.
    pub(crate) fn moved(self, offset: usize) -> usize {
        offset - (self.old.end - self.old.start) + self.new_len
    }
}

fn common<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> usize {
    pairs.take_while(|(a, b)| a == b).count()
}

/// Returns the word around an offset, made of the characters for which `is_part` holds, if there is one.
pub(crate) fn word_at(text: &str, offset: usize, is_part: impl Fn(char) -> bool) -> Option<TextRange> {
    let is_part = |character: &char| is_part(*character);
    let before: usize = text.get(..offset)?.chars().rev().take_while(is_part).map(char::len_utf8).sum();
    let after: usize = text.get(offset..)?.chars().take_while(is_part).map(char::len_utf8).sum();
    (before + after > 0).then(|| TextRange::new(offset - before, offset + after))
}

/// A step begins with the `-` of its list entry: a cursor on it is in the step.
pub(crate) fn dash_before(text: &str, start: usize) -> usize {
    let before = text.get(..start).unwrap_or_default().trim_end_matches(' ');
    if before.ends_with('-') && before.len() < start { before.len() - 1 } else { start }
}

/// One replacement of a range by a new text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextEdit {
    pub range: TextRange,
    pub new_text: String,
}

/// Returns the text after the edits, all of which refer to the text before. Of overlapping edits, the first wins.
pub fn apply_edits(text: &str, edits: &[TextEdit]) -> String {
    let mut sorted: Vec<&TextEdit> = edits.iter().collect();
    sorted.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut result = String::with_capacity(text.len());
    let mut position = 0;
    for edit in sorted {
        let Some(kept) = text.get(position..edit.range.start) else { continue };
        result.push_str(kept);
        result.push_str(&edit.new_text);
        position = edit.range.end;
    }
    result.push_str(text.get(position..).unwrap_or_default());
    result
}

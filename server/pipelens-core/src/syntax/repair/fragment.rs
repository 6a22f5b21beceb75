//! The part of a broken text that candidates are tried on: small, so that a long file costs no more than a short one.

use std::borrow::Cow;

use super::brackets::{is_bracketed, open_closers};
use crate::syntax::parse::{ParseError, parse};
use crate::text::{LineIndex, TextEdit, TextRange, apply_edits};

/// Lines above an error that a candidate may change.
const LINES_ABOVE: usize = 3;

/// Lines around an error that can be parsed on their own, or nearly.
pub(super) struct Fragment {
    pub(super) range: TextRange,
    /// The brackets around these lines, written so that an entry may follow. They are on the first line, so that line numbers stay the same.
    opening: String,
    /// How many brackets `opening` has; `None` if the text is structured by indentation.
    depth: Option<usize>,
}

impl Fragment {
    /// Returns the lines from the start of the list entry or top-level key an error is in, to the end of the next one. The whole
    /// text if the error looks different in these lines alone.
    pub(super) fn around(text: &str, lines: &LineIndex, line: usize, error: ParseError) -> Self {
        let whole = Self { range: TextRange::new(0, text.len()), opening: String::new(), depth: None };
        let is_bracketed = is_bracketed(text);
        let view = View { text, lines };
        let first = view.first_line(line, is_bracketed);
        let last = view.last_line(line, first);
        let range = TextRange::new(lines.line_start(first), lines.line_start(last));
        if range == whole.range || (is_bracketed && first == 0) {
            return whole;
        }
        let mut fragment = Self { range, ..whole };
        if is_bracketed {
            let Some(closers) = text.get(..range.start).and_then(open_closers) else { return fragment.widened(text) };
            fragment.opening = opening(&closers);
            fragment.depth = Some(closers.len());
        }
        let is_same = fragment.patched(text, &[]).and_then(|source| parse(&source, |_, _| {})).is_some_and(|inside| {
            inside.offset.checked_sub(fragment.opening.len()).map(|offset| offset + range.start) == Some(error.offset)
        });
        if is_same { fragment } else { fragment.widened(text) }
    }

    /// Returns these lines after some edits of the whole text, or `None` if an edit is elsewhere.
    pub(super) fn patched<'text>(&self, text: &'text str, edits: &[TextEdit]) -> Option<Cow<'text, str>> {
        let source = text.get(self.range.start..self.range.end)?;
        let shifted: Option<Vec<TextEdit>> = edits.iter().map(|edit| self.shift(edit)).collect();
        let repaired = match shifted? {
            edits if edits.is_empty() => Cow::Borrowed(source),
            edits => Cow::Owned(apply_edits(source, &edits)),
        };
        Some(if self.opening.is_empty() { repaired } else { Cow::Owned(format!("{}{repaired}", self.opening)) })
    }

    /// Returns the line of the first error, counted from the first of these. Edits never add or remove a line, so lines are
    /// what progress is measured in.
    pub(super) fn first_error_line(&self, source: &str) -> Option<usize> {
        let line_of = |offset: usize| {
            let before = source.get(..offset).unwrap_or_default();
            before.bytes().filter(|byte| *byte == b'\n').count()
        };
        let Some(depth) = self.depth else { return parse(source, |_, _| {}).map(|error| line_of(error.offset)) };
        let Some(closers) = open_closers(source).filter(|closers| closers.len() <= depth) else {
            // What is still open here swallows all that follows.
            return Some(parse(source, |_, _| {}).map_or(0, |error| line_of(error.offset)));
        };
        let closing: String = closers.iter().rev().map(|closer| char::from(*closer)).collect();
        parse(&format!("{source}{closing}"), |_, _| {}).map(|error| line_of(error.offset))
    }

    fn shift(&self, edit: &TextEdit) -> Option<TextEdit> {
        let start = edit.range.start.checked_sub(self.range.start)?;
        (edit.range.end <= self.range.end).then(|| TextEdit {
            range: TextRange::new(start, edit.range.end - self.range.start),
            new_text: edit.new_text.clone(),
        })
    }

    fn widened(self, text: &str) -> Self {
        Self { range: TextRange::new(0, text.len()), opening: String::new(), depth: None }
    }
}

/// Opens the same brackets again: a list expects an item; a mapping around another bracket already has its key.
fn opening(closers: &[u8]) -> String {
    let innermost = closers.len().saturating_sub(1);
    let open = |(position, closer): (usize, &u8)| match closer {
        b']' => "[",
        _ if position == innermost => "{",
        _ => "{x: ",
    };
    closers.iter().enumerate().map(open).collect()
}

struct View<'a> {
    text: &'a str,
    lines: &'a LineIndex,
}

impl View<'_> {
    fn content(&self, line: usize) -> &str {
        let range = self.lines.line_range(line);
        range.of(self.text).trim_end()
    }

    fn is_blank(&self, line: usize) -> bool {
        self.content(line).trim_start().is_empty()
    }

    fn indent(&self, line: usize) -> usize {
        self.content(line).len() - self.content(line).trim_start().len()
    }

    /// Goes up to a line that starts an entry and is indented no more than all between it and the error.
    fn first_line(&self, line: usize, is_bracketed: bool) -> usize {
        let mut first = line.saturating_sub(LINES_ABOVE);
        let visible = (first..=line).filter(|line| !self.is_blank(*line));
        let mut limit = visible.map(|line| self.indent(line)).min().unwrap_or_default();
        while first > 0 {
            let content = self.content(first);
            let entry = content.trim_start();
            let is_entry = if is_bracketed { entry.starts_with(['{', '[']) } else { entry.starts_with("- ") };
            let is_top = !is_bracketed && !content.is_empty() && !content.starts_with([' ', '#', '-', '}', ']', '\t']);
            if (is_entry && self.indent(first) <= limit) || is_top {
                break;
            }
            first -= 1;
            if !self.is_blank(first) {
                limit = limit.min(self.indent(first));
            }
        }
        first
    }

    /// Goes down past the next entry: what comes after it cannot change what a repair of this one does.
    fn last_line(&self, line: usize, first: usize) -> usize {
        let base = self.indent(first);
        let mut last = line + 1;
        let mut boundaries = 0;
        while last < self.lines.line_count() {
            boundaries += usize::from(!self.is_blank(last) && self.indent(last) <= base);
            if boundaries == 2 {
                break;
            }
            last += 1;
        }
        last
    }
}

//! What surrounds the cursor: a key or a value, in which brackets, in which quotes, and what follows it.

mod brackets;
mod follows;
mod key;

use std::cell::OnceCell;

use super::entry::{Completion, CompletionKind};
use super::written;
use crate::analysis::Analysis;
use crate::printable::printable;
use crate::syntax::tree::Kind;
use crate::text::{TextEdit, TextRange};
use brackets::{in_brackets, open_quote};

use key::{ends_key, key_of};

pub(super) use follows::Follows;
pub(super) use key::dashes;

pub(super) struct Cursor<'a> {
    pub(super) offset: usize,
    pub(super) line_start: usize,
    /// Where keys of this block start in their line.
    pub(super) column: usize,
    /// How far the line itself is indented.
    pub(super) indentation: usize,
    /// What the line is indented with, tabs included: editors indent the further lines of an entry in the same way.
    pub(super) blanks: &'a str,
    /// The key whose value is being written.
    pub(super) key: Option<&'a str>,
    /// Whether that value is an item of a list in brackets.
    pub(super) is_list_value: bool,
    pub(super) is_list_entry: bool,
    /// Whether brackets are open.
    pub(super) is_flow: bool,
    /// The key whose value the innermost brackets are, or are an item of.
    pub(super) owner: Option<&'a str>,
    /// Whether names need quotes: everything in the document is in brackets, as in JSON.
    pub(super) is_json: bool,
    /// The quote that is open.
    pub(super) quote: Option<char>,
    /// Whether that quote is closed right after the word.
    pub(super) is_closed: bool,
    /// The word at the cursor, which an entry replaces.
    pub(super) word: TextRange,
    /// The text between the last structural character and the word.
    pub(super) before_word: &'a str,
    pub(super) follows: Follows,
    /// What has to be written before an entry: the space after a `:` or `-`, or the dash of a list.
    lead: &'static str,
    /// The nearest line above that is indented less, once it was looked for.
    pub(super) outer_line: OnceCell<Option<TextRange>>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(analysis: &'a Analysis, offset: usize) -> Option<Self> {
        let text = &analysis.text;
        let line_start = analysis.line_index.line_start(analysis.line_index.line(offset));
        let line = text.get(line_start..offset)?;
        let content = line.trim_start_matches(' ');
        if content.starts_with('#') {
            return None;
        }
        let is_json = is_in_brackets(analysis, offset);
        let before =
            if is_json { text.get(..offset)? } else { text.get(flow_line(analysis, offset, line_start)..offset)? };
        let start = before.trim_start_matches(' ');
        let block = if is_json { before } else { start.get(dashes(start)..)? };
        let brackets = in_brackets(block);
        let (bare, list_key) = brackets.as_ref().map_or((block, None), |inner| (inner.rest, inner.list_key()));
        let own_key = key_of(bare);
        let key = list_key.or(own_key.map(|(key, _)| key));
        let is_word = |character: char| character.is_alphanumeric() || "_-./:@".contains(character);
        // A colon belongs to an image's name, not to a key.
        let is_part = |character: char| is_word(character) && (key.is_some() || !":/@".contains(character));
        let value_len = bare.len() - own_key.filter(|_| list_key.is_none()).map_or(0, |(_, value)| value);
        let word_len = (before.len() - before.trim_end_matches(is_part).len()).min(value_len);
        let after = text.get(offset..)?;
        // A colon that ends a key is not a part of it.
        let is_next = |rest: &str, next: char| is_part(next) && !(next == ':' && ends_key(rest));
        let mut after_len = 0;
        while let Some(next) = after.get(after_len..).and_then(|rest| rest.chars().next()) {
            if !is_next(after.get(after_len + next.len_utf8()..).unwrap_or_default(), next) {
                break;
            }
            after_len += next.len_utf8();
        }
        let quote = open_quote(bare);
        let is_closed = quote.is_some_and(|quote| after.get(after_len..).is_some_and(|rest| rest.starts_with(quote)));
        let before_word = before.get(..before.len() - word_len)?;
        let is_dash_only =
            !is_json && brackets.is_none() && !content.is_empty() && bare.is_empty() && content.ends_with('-');
        let needs_space = quote.is_none() && (is_dash_only || (key.is_some() && before_word.ends_with(':')));
        let word_end = offset + after_len + usize::from(is_closed);
        let may_span_lines = is_json || !analysis.is_repaired;
        Some(Self {
            offset,
            line_start,
            column: line.len().saturating_sub(bare.len().min(line.len())),
            indentation: line.len() - content.len(),
            blanks: line.get(..line.len() - line.trim_start_matches([' ', '\t']).len())?,
            is_flow: brackets.is_some(),
            owner: brackets.as_ref().and_then(|inner| inner.owner),
            is_json,
            is_list_value: list_key.is_some(),
            key,
            is_list_entry: dashes(content) > 0,
            is_closed,
            quote,
            word: TextRange::new(offset - word_len, offset + after_len),
            before_word,
            follows: Follows::of(text, word_end, brackets.is_some(), may_span_lines),
            lead: if needs_space { " " } else { "" },
            outer_line: OnceCell::new(),
        })
    }

    /// Returns the cursor as it would be after the dash of a list entry.
    pub(super) fn with_dash(self) -> Self {
        let lead = "- ";
        let outer_line = OnceCell::new();
        Self { column: self.column + lead.len(), is_list_entry: true, lead, outer_line, ..self }
    }

    /// Makes an entry for the name of a key. `value` is what follows in JSON, where something has to.
    pub(super) fn key_entry(&self, label: &str, value: &str, kind: CompletionKind, documentation: &str) -> Completion {
        let value = if self.is_json { value } else { "" };
        let snippet = self.key_text(label, value);
        let mut entry = self.entry(label, written::expanded(&snippet), kind, documentation);
        entry.edit.range = self.key_range();
        entry.snippet = (snippet != entry.edit.new_text).then_some(snippet);
        entry
    }

    /// Returns a key with its colon and the start of its value, which is a snippet. An existing colon is kept.
    pub(super) fn key_text(&self, name: &str, value: &str) -> String {
        let quoted = written::escaped(&self.quoted_key(name));
        match self.follows {
            Follows::Colon => format!("{}{quoted}", self.lead),
            Follows::Entry => format!("{}{quoted}: {value}, ", self.lead),
            Follows::Nothing | Follows::Something => format!("{}{quoted}: {value}", self.lead),
        }
    }

    /// Returns what a key replaces: with the closing quote, if a colon has to follow it.
    pub(super) fn key_range(&self) -> TextRange {
        let closing = usize::from(self.is_closed && self.follows != Follows::Colon);
        TextRange::new(self.word.start, self.word.end + closing)
    }

    fn quoted_key(&self, name: &str) -> String {
        match self.quote {
            Some(quote) if self.follows != Follows::Colon || !self.is_closed => format!("{name}{quote}"),
            Some(_) => name.to_owned(),
            None if self.is_json => format!("\"{name}\""),
            None => name.to_owned(),
        }
    }

    /// Makes an entry for a string.
    pub(super) fn text_entry(&self, label: &str, kind: CompletionKind, documentation: &str) -> Completion {
        self.value_entry(
            label,
            written::text(label, self.quote, self.is_json) + self.missing_quote(),
            kind,
            documentation,
        )
    }

    /// Makes an entry for a word that is never quoted: `true`, `wait`.
    pub(super) fn bare_entry(&self, label: &str, kind: CompletionKind, documentation: &str) -> Completion {
        self.value_entry(label, label.to_owned() + self.missing_quote(), kind, documentation)
    }

    /// Makes an entry for a value.
    pub(super) fn value_entry(
        &self,
        label: &str,
        value: String,
        kind: CompletionKind,
        documentation: &str,
    ) -> Completion {
        let comma = if self.follows == Follows::Entry { ", " } else { "" };
        self.entry(label, format!("{}{value}{comma}", self.lead), kind, documentation)
    }

    fn missing_quote(&self) -> &'static str {
        match self.quote {
            Some('"') if !self.is_closed => "\"",
            Some('\'') if !self.is_closed => "'",
            Some(_) | None => "",
        }
    }

    /// Returns what comes before a snippet of several lines.
    pub(super) fn lead(&self) -> &'static str {
        self.lead
    }

    pub(super) fn entry(&self, label: &str, new_text: String, kind: CompletionKind, documentation: &str) -> Completion {
        Completion {
            label: printable(label).into_owned(),
            kind,
            documentation: documentation.to_owned(),
            edit: TextEdit { range: self.word, new_text },
            snippet: None,
        }
    }
}

/// Tells whether the whole document around the cursor is in brackets.
fn is_in_brackets(analysis: &Analysis, offset: usize) -> bool {
    let mut roots = analysis.tree.documents.iter().map(|root| analysis.tree.node(*root));
    let root = roots.rfind(|root| root.range.start <= offset);
    let is_bracket = |text: &str| text.trim_start().starts_with(['{', '[']);
    match root {
        // Text that could not be read at all.
        None => analysis.tree.documents.is_empty() && is_bracket(analysis.text.trim_start_matches('\u{feff}')),
        Some(root) => match root.kind {
            Kind::Map { is_flow, .. } | Kind::List { is_flow, .. } => is_flow,
            // What an open quote makes of brackets.
            Kind::Scalar(_) | Kind::Alias(_) => analysis.text.get(root.range.start..).is_some_and(is_bracket),
        },
    }
}

/// Returns the start of the line on which the brackets around the cursor begin; without any, of its own line.
fn flow_line(analysis: &Analysis, offset: usize, line_start: usize) -> usize {
    let is_around = |range: TextRange| range.start < line_start && offset < range.end;
    let mut nodes = analysis.tree.nodes().filter(|node| match node.kind {
        Kind::Map { is_flow, .. } | Kind::List { is_flow, .. } => is_flow && is_around(node.range),
        Kind::Scalar(_) | Kind::Alias(_) => false,
    });
    // The outermost node comes first.
    nodes.next().map_or(line_start, |node| analysis.line_index.line_start(analysis.line_index.line(node.range.start)))
}

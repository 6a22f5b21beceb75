//! What surrounds the cursor: a key or a value, in which brackets, in which quotes.

use super::entry::{Completion, CompletionKind};
use crate::analysis::Analysis;
use crate::printable::printable;
use crate::syntax::tree::Kind;
use crate::text::{TextEdit, TextRange};

pub(super) struct Cursor<'a> {
    pub(super) offset: usize,
    pub(super) line_start: usize,
    /// Where keys of this block start in their line.
    pub(super) column: usize,
    /// How far the line itself is indented.
    pub(super) indentation: usize,
    /// The key whose value is being written.
    pub(super) key: Option<&'a str>,
    /// Whether that value is an item of a list in brackets.
    pub(super) is_list_value: bool,
    pub(super) is_list_entry: bool,
    /// Whether brackets are open.
    pub(super) is_flow: bool,
    /// Whether names need quotes: everything in the document is in brackets, as in JSON.
    pub(super) is_json: bool,
    /// The quote that is open.
    pub(super) quote: Option<char>,
    /// Whether that quote is closed right after the word.
    is_closed: bool,
    /// The word at the cursor, which an entry replaces.
    pub(super) word: TextRange,
    /// The text between the last structural character and the word.
    pub(super) before_word: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(analysis: &'a Analysis, offset: usize) -> Option<Self> {
        let line_start = analysis.line_index.line_start(analysis.line_index.line(offset));
        let line = analysis.text.get(line_start..offset)?;
        let is_json = is_in_brackets(analysis, offset);
        let before = if is_json { analysis.text.get(..offset)? } else { line };
        let content = line.trim_start_matches(' ');
        let block = if is_json { before } else { content.trim_start_matches(['-', ' ']) };
        let brackets = in_brackets(block);
        let (bare, list_key) = brackets.as_ref().map_or((block, None), |inner| (inner.rest, inner.list_key));
        if bare.starts_with('#') && !is_json {
            return None;
        }
        let is_word = |character: char| character.is_alphanumeric() || "_-./:@".contains(character);
        let key = list_key.or_else(|| key_before(bare));
        // A colon belongs to an image's name, not to a key.
        let is_part = |character: char| is_word(character) && (key.is_some() || !":/@".contains(character));
        let value_len = bare.len() - list_key.map_or_else(|| value_start(bare, key), |_| 0);
        let word_len = (before.len() - before.trim_end_matches(is_part).len()).min(value_len);
        let after = analysis.text.get(offset..)?;
        let after_len: usize = after.chars().take_while(|next| is_part(*next)).map(char::len_utf8).sum();
        let quote = open_quote(bare);
        Some(Self {
            offset,
            line_start,
            column: line.len().saturating_sub(bare.len().min(line.len())),
            indentation: line.len() - content.len(),
            is_flow: brackets.is_some(),
            is_json,
            is_list_value: list_key.is_some(),
            key,
            is_list_entry: content.starts_with('-'),
            is_closed: quote.is_some_and(|quote| after.get(after_len..).is_some_and(|rest| rest.starts_with(quote))),
            quote,
            word: TextRange::new(offset - word_len, offset + after_len),
            before_word: before.get(..before.len() - word_len)?,
        })
    }

    /// Makes an entry for the name of a key.
    pub(super) fn key_entry(&self, label: &str, kind: CompletionKind, documentation: &str) -> Completion {
        self.entry(label, format!("{}: ", self.quoted(label)), kind, documentation)
    }

    /// Makes an entry for a string.
    pub(super) fn text_entry(&self, label: &str, kind: CompletionKind, documentation: &str) -> Completion {
        self.entry(label, self.quoted(label), kind, documentation)
    }

    /// Makes an entry for a word that is never quoted: `true`, `wait`.
    pub(super) fn bare_entry(&self, label: &str, kind: CompletionKind, documentation: &str) -> Completion {
        self.entry(label, label.to_owned(), kind, documentation)
    }

    /// Returns a name with the quotes that are still missing.
    pub(super) fn quoted(&self, name: &str) -> String {
        match self.quote {
            Some(_) if self.is_closed => name.to_owned(),
            Some(quote) => format!("{name}{quote}"),
            None if self.is_json => format!("\"{name}\""),
            None => name.to_owned(),
        }
    }

    /// Tells whether the quotes around the word are already closed.
    pub(super) fn is_in_closed_quotes(&self) -> bool {
        self.quote.is_some() && self.is_closed
    }

    fn entry(&self, label: &str, new_text: String, kind: CompletionKind, documentation: &str) -> Completion {
        let new_text = if self.is_in_closed_quotes() { label.to_owned() } else { new_text };
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
    root.is_some_and(|root| match root.kind {
        Kind::Map { is_flow, .. } | Kind::List { is_flow, .. } => is_flow,
        Kind::Scalar(_) | Kind::Alias(_) => false,
    })
}

fn key_before(bare: &str) -> Option<&str> {
    let (key, _) = bare.split_once(':')?;
    Some(key.trim_matches(['"', '\'', ' ']))
}

/// Returns where the value starts after `key:`.
fn value_start(bare: &str, key: Option<&str>) -> usize {
    let colon = key.and_then(|_| bare.find(':')).map(|colon| colon + 1);
    colon.unwrap_or_default()
}

/// Follows text character by character and tracks which quote is open.
#[derive(Default)]
struct Quotes {
    open: Option<char>,
    is_escaped: bool,
}

impl Quotes {
    /// Takes the next character, and tells whether it is outside of quotes and not a quote itself.
    fn is_outside(&mut self, character: char) -> bool {
        let is_escaped = std::mem::take(&mut self.is_escaped);
        match (self.open, character) {
            // A quote that is not closed yet must not swallow what comes after its line.
            (_, '\n') => self.open = None,
            (Some('"'), '\\') if !is_escaped => self.is_escaped = true,
            (Some(mark), _) if mark == character && !is_escaped => self.open = None,
            (None, '"' | '\'') => self.open = Some(character),
            (None, _) => return true,
            (Some(_), _) => {}
        }
        false
    }
}

fn open_quote(bare: &str) -> Option<char> {
    let mut quotes = Quotes::default();
    for character in bare.chars() {
        quotes.is_outside(character);
    }
    quotes.open
}

/// What the innermost open brackets contain.
struct Inner<'a> {
    /// After the bracket, or after its last comma.
    rest: &'a str,
    /// The key whose list it is.
    list_key: Option<&'a str>,
}

fn in_brackets(text: &str) -> Option<Inner<'_>> {
    let mut open: Vec<(char, usize, usize)> = Vec::new();
    let mut quotes = Quotes::default();
    for (offset, character) in text.char_indices().filter(|(_, character)| quotes.is_outside(*character)) {
        match character {
            '{' | '[' => {
                let from = open.last().map_or(0, |(_, _, from)| *from);
                open.push((character, from, offset + 1));
            }
            '}' | ']' => {
                open.pop();
            }
            ',' => {
                if let Some((_, _, from)) = open.last_mut() {
                    *from = offset + 1;
                }
            }
            _ => {}
        }
    }
    let (bracket, key_start, start) = open.last().copied()?;
    let key = text.get(key_start..).and_then(key_before);
    Some(Inner { rest: text.get(start..)?.trim_start(), list_key: if bracket == '[' { key } else { None } })
}

//! A here-document, and the line that ends it.

/// A here-document that was announced by `<<`.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// The line that ends it.
    pub(super) delimiter: String,
    /// `<<-`: tabs before a line are left out.
    may_be_indented: bool,
    /// A quoted delimiter: nothing is expanded.
    pub(super) is_literal: bool,
}

impl Document {
    /// Reads the word after the operator. Shells disagree about expansions in it.
    pub(super) fn new(word: &str, may_be_indented: bool) -> Option<Self> {
        if word.contains(['$', '`', '\n']) {
            return None;
        }
        let is_literal = word.contains(['\'', '"', '\\']);
        let mut delimiter = String::with_capacity(word.len());
        let mut quote = None;
        let mut characters = word.chars();
        while let Some(character) = characters.next() {
            match (quote, character) {
                (None, '\\') => delimiter.extend(characters.next()),
                (None, '\'' | '"') => quote = Some(character),
                (Some(open), _) if open == character => quote = None,
                (Some('"'), '\\') => return None,
                _ => delimiter.push(character),
            }
        }
        Some(Self { delimiter, may_be_indented, is_literal })
    }

    /// Returns the line without what may be before the delimiter.
    pub(super) fn stripped<'l>(&self, line: &'l str) -> &'l str {
        if self.may_be_indented { line.trim_start_matches('\t') } else { line }
    }
}

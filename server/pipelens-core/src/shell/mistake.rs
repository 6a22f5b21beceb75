//! A mistake in a command, and where the parser found it.

use brush_parser::Token;

use crate::text::TextRange;

/// A syntax error in a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) range: TextRange,
    pub(crate) message: String,
}

/// Returns the range of a token.
pub(super) fn range(command: &str, token: &Token) -> TextRange {
    let span = token.location();
    let start = byte(command, span.start.index);
    // A token's end may be past the end of the text.
    let end = byte(command, span.end.index).max(start).min(start + token.to_str().len());
    TextRange::new(start, end)
}

/// Returns the byte offset of a character; the library counts characters.
pub(super) fn byte(command: &str, index: usize) -> usize {
    command.char_indices().nth(index).map_or(command.len(), |(offset, _)| offset)
}

//! What an editor asks about a text, in the core's own words.

mod outline;

use crate::Analysis;
use crate::text::TextRange;

pub use outline::{RunPlace, Symbol, run_places, symbols};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hover {
    pub range: TextRange,
    /// Markdown.
    pub text: String,
}

/// Returns what there is to say about the key, step or reference at an offset.
pub fn hover(_analysis: &Analysis, _offset: usize) -> Option<Hover> {
    None
}

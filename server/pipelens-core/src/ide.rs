//! What an editor asks about a text, in the core's own words.

mod completion;
mod names;
mod outline;

use crate::text::TextRange;

pub use completion::{Completion, CompletionKind, completion};
pub use names::{definition, hover, references};
pub use outline::{RunPlace, Symbol, run_places, symbols};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hover {
    pub range: TextRange,
    /// Markdown.
    pub text: String,
}

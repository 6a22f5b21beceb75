//! One way to repair an error.

use crate::text::{TextEdit, TextRange};

/// One way to repair an error, in terms of the current text.
pub(super) struct Candidate {
    pub(super) edits: Vec<TextEdit>,
    /// What to point at, and what to say.
    pub(super) range: TextRange,
    pub(super) message: String,
    /// The title of a fix, if the edit is what the author would do.
    pub(super) fix: Option<String>,
    /// The author can have meant nothing else.
    pub(super) is_safe: bool,
}

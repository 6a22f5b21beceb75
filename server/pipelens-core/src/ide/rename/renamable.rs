//! What a rename would change.

use crate::text::TextRange;

/// A name that can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamable {
    /// The name under the cursor, without its quotes.
    pub range: TextRange,
    pub name: String,
}

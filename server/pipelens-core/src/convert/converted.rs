//! The result of a conversion.

/// Text in another notation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    pub text: String,
    /// One sentence for each thing the other spelling cannot express.
    pub losses: Vec<String>,
}

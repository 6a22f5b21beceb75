//! The places in the text that mean the same as the one under the cursor.

use super::names::places;
use crate::analysis::Analysis;
use crate::text::TextRange;

/// One place that refers to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Highlight {
    pub range: TextRange,
    /// The name is defined or set here.
    pub is_definition: bool,
}

/// Returns every place that refers to the name at an offset.
pub fn highlights(analysis: &Analysis, offset: usize) -> Vec<Highlight> {
    let places = places(analysis, offset).into_iter();
    places.map(|place| Highlight { range: place.range, is_definition: place.is_definition }).collect()
}

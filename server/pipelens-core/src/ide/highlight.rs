//! The places in the text that mean the same step as the one under the cursor.

use super::names::references;
use crate::analysis::Analysis;
use crate::files::FileId;
use crate::text::TextRange;

/// One place that refers to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Highlight {
    pub range: TextRange,
    /// The step's own `key`, not a place that refers to it.
    pub is_definition: bool,
}

/// Returns every place that refers to the step at an offset.
pub fn highlights(analysis: &Analysis, offset: usize) -> Vec<Highlight> {
    // The key comes first.
    let places = references(analysis, offset).into_iter().enumerate();
    let here = places.filter(|(_, place)| place.file == FileId::DOCUMENT);
    here.map(|(index, place)| Highlight { range: place.range, is_definition: index == 0 }).collect()
}

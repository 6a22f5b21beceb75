//! The places in the text that mean the same step as the one under the cursor.

use super::names::step_at;
use crate::Analysis;
use crate::text::TextRange;

/// One place that names a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Highlight {
    pub range: TextRange,
    /// The step's own `key`, not a place that refers to it.
    pub is_definition: bool,
}

/// Returns every place that names the step at an offset.
pub fn highlights(analysis: &Analysis, offset: usize) -> Vec<Highlight> {
    let Some((pipeline, position, _)) = step_at(analysis, offset) else { return Vec::new() };
    let definition = pipeline.steps.get(position).map(|step| step.key.range);
    let places = super::names::references(analysis, offset).into_iter();
    places.map(|range| Highlight { range, is_definition: Some(range) == definition }).collect()
}

//! A `wait` and the steps around it.

use crate::analysis::Analysis;
use crate::model::{Pipeline, Step};
use crate::text::TextRange;

/// A `wait` with the steps on both sides.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    /// The word.
    pub(super) range: TextRange,
    pub(super) before: &'a [Step],
    pub(super) after: &'a [Step],
    pub(super) continues_on_failure: bool,
}

/// Returns the `wait` whose word is at an offset.
pub(super) fn at(analysis: &Analysis, offset: usize) -> Option<Wait<'_>> {
    let pipelines = analysis.pipelines.iter().filter(|pipeline| pipeline.range.touches(offset));
    pipelines.into_iter().find_map(|pipeline| in_pipeline(analysis, pipeline, offset))
}

fn in_pipeline<'a>(analysis: &Analysis, pipeline: &'a Pipeline, offset: usize) -> Option<Wait<'a>> {
    let barriers = &pipeline.barriers;
    let index = barriers.iter().position(|barrier| barrier.range.touches(offset))?;
    let barrier = barriers.get(index)?;
    let written = barrier.range.of(&analysis.text);
    let range = match written.find("wait") {
        Some(start) => TextRange::new(barrier.range.start + start, barrier.range.start + start + "wait".len()),
        // An alias.
        None => barrier.range,
    };
    if !range.touches(offset) {
        return None;
    }
    let from = index.checked_sub(1).and_then(|before| barriers.get(before)).map_or(0, |before| before.after_steps);
    let until = barriers.get(index + 1).map_or(pipeline.steps.len(), |next| next.after_steps);
    Some(Wait {
        range,
        before: pipeline.steps.get(from..barrier.after_steps).unwrap_or_default(),
        after: pipeline.steps.get(barrier.after_steps..until).unwrap_or_default(),
        continues_on_failure: barrier.continue_on_failure,
    })
}

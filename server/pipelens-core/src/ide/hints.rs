//! What the text does not say and a reader wants to know: the image behind a `builds_in`, the steps a `wait` waits for.

use super::outline::first_line;
use crate::Analysis;
use crate::model::{Barrier, Pipeline};
use crate::plan::DEFAULT_IMAGE;
use crate::plan::links::Links;
use crate::text::TextRange;

/// More names than this make a line that nobody reads.
const MAX_NAMES: usize = 4;

/// A short text that an editor draws behind a place, without it being in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    pub offset: usize,
    pub label: String,
    /// Markdown: the long form.
    pub tooltip: String,
}

/// Returns the hints of a part of the text.
pub fn hints(analysis: &Analysis, range: TextRange) -> Vec<Hint> {
    let pipelines = analysis.pipelines.iter().filter(|pipeline| meets(pipeline.range, range));
    let mut hints: Vec<Hint> = pipelines
        .flat_map(|pipeline| image_hints(pipeline, range).chain(wait_hints(analysis, pipeline, range)))
        .collect();
    hints.sort_by_key(|hint| hint.offset);
    hints
}

fn image_hints(pipeline: &Pipeline, range: TextRange) -> impl Iterator<Item = Hint> {
    let links = Links::new(pipeline);
    pipeline.steps.iter().enumerate().filter_map(move |(position, step)| {
        // A plan's edge stands far from its step, in a list of numbers.
        let reference = step.builds_in.as_ref().filter(|parent| step.range.contains_range(parent.range))?;
        if !meets(reference.range, range) {
            return None;
        }
        let lineage = lineage(&links, position);
        let image = root_image(pipeline, *lineage.last()?);
        let names = lineage.iter().rev().filter_map(|step| pipeline.steps.get(*step)).map(|step| &step.key.value);
        let path = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" → ");
        Some(Hint {
            offset: reference.range.end,
            label: format!("⇠ {image}"),
            tooltip: format!("The filesystem comes from the image `{image}` through {path}."),
        })
    })
}

fn wait_hints(analysis: &Analysis, pipeline: &Pipeline, range: TextRange) -> Vec<Hint> {
    let barriers = pipeline.barriers.iter().filter(|barrier| meets(barrier.range, range));
    barriers.filter_map(|barrier| wait_hint(analysis, pipeline, barrier)).collect()
}

fn wait_hint(analysis: &Analysis, pipeline: &Pipeline, barrier: &Barrier) -> Option<Hint> {
    let earlier = pipeline.barriers.iter().map(|other| other.after_steps).filter(|end| *end < barrier.after_steps);
    let waited = pipeline.steps.get(earlier.max().unwrap_or_default()..barrier.after_steps)?;
    let all: Vec<&str> = waited.iter().map(|step| step.key.value.as_str()).collect();
    if all.is_empty() {
        return None;
    }
    let shown = all.iter().take(MAX_NAMES).copied().collect::<Vec<_>>().join(", ");
    let more = all.len().saturating_sub(MAX_NAMES);
    let label = if more == 0 { format!("for {shown}") } else { format!("for {shown} and {more} more") };
    let ending = if barrier.continue_on_failure { "to end, whatever happens" } else { "to succeed" };
    let names = all.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let tooltip = format!("Everything below waits for {names} {ending}.");
    Some(Hint { offset: first_line(analysis, barrier.range).end, label, tooltip })
}

/// Returns the ancestors a step boots from, the nearest first. A cycle ends where it closes.
pub(super) fn lineage(links: &Links, position: usize) -> Vec<usize> {
    let mut lineage = Vec::new();
    let mut step = position;
    while let Some(parent) = links.parents.get(step).copied().flatten() {
        if parent == position || lineage.contains(&parent) {
            break;
        }
        lineage.push(parent);
        step = parent;
    }
    lineage
}

/// Returns the image of a step that boots from no other.
pub(super) fn root_image(pipeline: &Pipeline, position: usize) -> &str {
    let own = pipeline.steps.get(position).and_then(|step| step.image.as_ref());
    own.or(pipeline.default_image.as_ref()).map_or(DEFAULT_IMAGE, |image| image.value.as_str())
}

fn meets(one: TextRange, other: TextRange) -> bool {
    one.start <= other.end && other.start <= one.end
}

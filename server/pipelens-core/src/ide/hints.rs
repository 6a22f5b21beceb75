//! What a reader wants to know but the text does not show: the image a `builds_in` leads to, and the steps a `wait` waits for.

use super::outline::first_line;
use crate::analysis::Analysis;
use crate::model::{Barrier, Pipeline, Step};
use crate::plan::DEFAULT_IMAGE;
use crate::plan::links::Links;
use crate::printable::{code, printable};
use crate::text::TextRange;

/// More names than this would make the line too long to read.
const MAX_NAMES: usize = 4;
/// The tooltip has room for more.
const MAX_TOOLTIP_NAMES: usize = 20;

/// A short text that an editor shows after a place, without it being in the file.
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
    let roots = links.roots();
    pipeline.steps.iter().enumerate().filter_map(move |(position, step)| {
        // A plan's edge is far from its step, in a list of numbers.
        let reference = step.builds_in.as_ref().filter(|parent| step.range.contains_range(parent.range))?;
        if !meets(reference.range, range) {
            return None;
        }
        let lineage = lineage(&links, position);
        lineage.first()?;
        let image = root_image(pipeline, roots.get(position).copied()?);
        let path = path(pipeline, &lineage);
        Some(Hint {
            offset: reference.range.end,
            label: format!("⇠ {}", printable(image)),
            tooltip: format!("The filesystem comes from the image {} through {path}.", code(image)),
        })
    })
}

fn wait_hints(analysis: &Analysis, pipeline: &Pipeline, range: TextRange) -> Vec<Hint> {
    let mut hints = Vec::new();
    let (mut start, mut end) = (0, 0);
    for barrier in &pipeline.barriers {
        if barrier.after_steps > end {
            (start, end) = (end, barrier.after_steps);
        }
        if meets(barrier.range, range) {
            hints.extend(pipeline.steps.get(start..end).and_then(|waited| wait_hint(analysis, waited, barrier)));
        }
    }
    hints
}

fn wait_hint(analysis: &Analysis, waited: &[Step], barrier: &Barrier) -> Option<Hint> {
    let all: Vec<&str> = waited.iter().map(|step| step.key.value.as_str()).collect();
    if all.is_empty() {
        return None;
    }
    let shown = all.iter().take(MAX_NAMES).map(|name| printable(name)).collect::<Vec<_>>().join(", ");
    let more = all.len().saturating_sub(MAX_NAMES);
    let label = if more == 0 { format!("for {shown}") } else { format!("for {shown} and {more} more") };
    let ending = if barrier.continue_on_failure { "to finish, even if they fail" } else { "to succeed" };
    let named: Vec<String> = all.iter().take(MAX_TOOLTIP_NAMES).map(|name| code(name)).collect();
    let names = named.join(", ");
    let more = all.len().saturating_sub(MAX_TOOLTIP_NAMES);
    let names = if more == 0 { names } else { format!("{names} and {more} more") };
    let tooltip = format!("Everything below waits for {names} {ending}.");
    Some(Hint { offset: first_line(analysis, barrier.range).end, label, tooltip })
}

/// Names the ancestors of a step from the oldest on, or the nearest of them.
pub(super) fn path(pipeline: &Pipeline, lineage: &[usize]) -> String {
    let nearest = lineage.iter().take(MAX_TOOLTIP_NAMES).rev();
    let names = nearest.filter_map(|step| pipeline.steps.get(*step)).map(|step| code(&step.key.value));
    let older = (lineage.len() > MAX_TOOLTIP_NAMES).then(|| "…".to_owned());
    older.into_iter().chain(names).collect::<Vec<_>>().join(" → ")
}

/// Returns the ancestors a step builds in, the nearest first, and at most one more than can be shown. A cycle ends where it closes.
pub(super) fn lineage(links: &Links, position: usize) -> Vec<usize> {
    let mut lineage = Vec::new();
    let mut step = position;
    while let Some(parent) = links.parents.get(step).copied().flatten() {
        if parent == position || lineage.len() > MAX_TOOLTIP_NAMES || lineage.contains(&parent) {
            break;
        }
        lineage.push(parent);
        step = parent;
    }
    lineage
}

/// Returns the image of a step that does not build in another.
pub(super) fn root_image(pipeline: &Pipeline, position: usize) -> &str {
    let own = pipeline.steps.get(position).and_then(|step| step.image.as_ref());
    own.or(pipeline.default_image.as_ref()).map_or(DEFAULT_IMAGE, |image| image.value.as_str())
}

fn meets(one: TextRange, other: TextRange) -> bool {
    one.start <= other.end && other.start <= one.end
}

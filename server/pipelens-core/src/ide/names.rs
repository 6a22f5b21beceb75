//! Names and the places that refer to them: steps, `wait`, variables and anchors.

use super::{anchors, variables, waits};
use crate::analysis::Analysis;
use crate::files::FileRange;
use crate::model::{Pipeline, Step};
use crate::text::TextRange;

/// A place that means the same as another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) range: TextRange,
    pub(super) is_definition: bool,
}

impl Place {
    fn definition(range: TextRange) -> Self {
        Self { range, is_definition: true }
    }

    fn usage(range: TextRange) -> Self {
        Self { range, is_definition: false }
    }
}

/// Returns where the name at an offset is defined: the key of a step, what sets a variable, or an anchor. From a `wait`, the steps it waits for.
pub fn definition(analysis: &Analysis, offset: usize) -> Vec<FileRange> {
    if step_at(analysis, offset).is_none()
        && let Some(wait) = waits::at(analysis, offset)
    {
        return keys(wait.before).map(FileRange::from).collect();
    }
    let defined = places(analysis, offset).into_iter().filter(|place| place.is_definition);
    defined.map(|place| place.range.into()).collect()
}

/// Returns every place that refers to the name at an offset, its definition first. From a `wait`, the steps that wait there.
pub fn references(analysis: &Analysis, offset: usize) -> Vec<FileRange> {
    places(analysis, offset).into_iter().map(|place| place.range.into()).collect()
}

/// Returns the places that refer to the name at an offset, without its definition.
pub fn uses(analysis: &Analysis, offset: usize) -> Vec<FileRange> {
    let used = places(analysis, offset).into_iter().filter(|place| !place.is_definition);
    used.map(|place| place.range.into()).collect()
}

/// Returns every place of what is at an offset, definitions first.
pub(super) fn places(analysis: &Analysis, offset: usize) -> Vec<Place> {
    if let Some((pipeline, position, _)) = step_at(analysis, offset) {
        let Some(step) = pipeline.steps.get(position) else { return Vec::new() };
        let used = naming(pipeline, &step.key.value).map(Place::usage);
        return std::iter::once(Place::definition(step.key.range)).chain(used).collect();
    }
    if let Some(wait) = waits::at(analysis, offset) {
        return std::iter::once(Place::definition(wait.range)).chain(keys(wait.after).map(Place::usage)).collect();
    }
    if let Some(mention) = variables::at(analysis, offset) {
        let same = variables::named(analysis, &[&mention.name]).into_iter().filter(|other| other.is_same(&mention));
        let mut places: Vec<Place> =
            same.map(|other| Place { range: other.range, is_definition: other.sets }).collect();
        places.sort_by_key(|place| (!place.is_definition, place.range));
        // Several steps may share a command or an `env`.
        places.dedup();
        return places;
    }
    let Some(anchor) = anchors::at(analysis, offset) else { return Vec::new() };
    std::iter::once(Place::definition(anchor.place)).chain(anchor.aliases.into_iter().map(Place::usage)).collect()
}

fn keys(steps: &[Step]) -> impl Iterator<Item = TextRange> + '_ {
    steps.iter().map(|step| step.key.range)
}

/// Returns every place that refers to a step by its key; in a plan those are edges.
pub(super) fn naming<'a>(pipeline: &'a Pipeline, key: &'a str) -> impl Iterator<Item = TextRange> + 'a {
    let names = pipeline.steps.iter().flat_map(Step::named_steps);
    names.filter(move |name| name.value == key).map(|name| name.range)
}

/// Returns the step whose key or reference is at an offset, with the range of that name.
pub(super) fn step_at(analysis: &Analysis, offset: usize) -> Option<(&Pipeline, usize, TextRange)> {
    for pipeline in analysis.pipelines.iter().filter(|pipeline| pipeline.range.touches(offset)) {
        for (position, step) in pipeline.steps.iter().enumerate() {
            if step.key.range.touches(offset) {
                return Some((pipeline, position, step.key.range));
            }
            let mut names = step.named_steps();
            let Some(name) = names.find(|name| name.range.touches(offset)) else { continue };
            let named = pipeline.steps.iter().position(|other| other.key.value == name.value)?;
            return Some((pipeline, named, name.range));
        }
    }
    None
}

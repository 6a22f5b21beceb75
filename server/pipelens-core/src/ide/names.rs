//! Names and the places that refer to them: steps, `wait`, variables and anchors.

use std::collections::HashSet;

use super::variables::Setter;
use super::{anchors, axes, variables, waits};
use crate::analysis::Analysis;
use crate::files::FileRange;
use crate::model::{Combination, Pipeline, Step};
use crate::text::{Spanned, TextRange};

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
    if analysis.language.is_some() {
        return parents(analysis, offset);
    }
    if step_at(analysis, offset).is_none()
        && let Some(wait) = waits::at(analysis, offset)
    {
        return keys(wait.before).map(FileRange::from).collect();
    }
    let defined = places(analysis, offset).into_iter().filter(|place| place.is_definition);
    defined.map(|place| place.range.into()).collect()
}

/// Returns where a program makes the steps that those at an offset start from.
fn parents(analysis: &Analysis, offset: usize) -> Vec<FileRange> {
    let mut found = Vec::new();
    for pipeline in &analysis.pipelines {
        let here = pipeline.steps.iter().filter(|step| step.range.touches(offset));
        let named = here.filter_map(|step| step.builds_in.as_ref());
        let parents = named.filter_map(|name| pipeline.steps.iter().find(|step| step.key.value == name.value));
        found.extend(parents.map(|parent| FileRange::from(parent.range)));
    }
    found.sort_unstable();
    found.dedup();
    found
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
        let used = naming(pipeline, step).map(|name| Place::usage(name.range));
        return std::iter::once(Place::definition(step.key.range)).chain(used).collect();
    }
    if let Some(wait) = waits::at(analysis, offset) {
        return std::iter::once(Place::definition(wait.range)).chain(keys(wait.after).map(Place::usage)).collect();
    }
    if let Some(axis) = axes::at(analysis, offset) {
        return axis_places(analysis, &axis);
    }
    if let Some(mention) = variables::at(analysis, offset) {
        if let Setter::Matrix(step, name) = mention.setter {
            return axis_places(analysis, &axes::Axis { step, name: &name.name.value, range: mention.range });
        }
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

fn axis_places(analysis: &Analysis, axis: &axes::Axis<'_>) -> Vec<Place> {
    let places = axes::places(analysis, axis).into_iter();
    let mut places: Vec<Place> =
        places.map(|place| Place { range: place.range, is_definition: place.is_definition }).collect();
    places.sort_by_key(|place| (!place.is_definition, place.range));
    places
}

fn keys(steps: &[Step]) -> impl Iterator<Item = TextRange> + '_ {
    steps.iter().map(|step| step.key.range)
}

/// Returns every name that refers to a step by its key, or by that of one of its combinations; in a plan those are edges.
pub(super) fn naming<'a>(pipeline: &'a Pipeline, step: &'a Step) -> impl Iterator<Item = &'a Spanned<String>> {
    let combined: HashSet<&str> = step.combinations().iter().map(|combination| combination.key.as_str()).collect();
    let names = pipeline.steps.iter().flat_map(Step::named_steps);
    names.filter(move |name| name.value == step.key.value || combined.contains(name.value.as_str()))
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
            return Some((pipeline, named(pipeline, &name.value)?, name.range));
        }
    }
    None
}

/// Returns the step that is named, by its own key or that of one of its combinations.
fn named(pipeline: &Pipeline, name: &str) -> Option<usize> {
    let step = pipeline.steps.iter().position(|step| step.key.value == name);
    let has = |step: &Step| step.combinations().iter().any(|combination| combination.key == name);
    step.or_else(|| pipeline.steps.iter().position(has))
}

/// Returns the combination of a step that a reference at a place names.
pub(super) fn combination_at<'a>(pipeline: &'a Pipeline, step: &'a Step, range: TextRange) -> Option<&'a Combination> {
    let names = || pipeline.steps.iter().flat_map(Step::named_steps).filter(|name| name.range == range);
    step.combinations().iter().find(|combination| names().any(|name| name.value == combination.key))
}

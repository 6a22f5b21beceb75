//! The axes of matrices: where each is defined, and every place that names it.

use std::collections::HashSet;

use super::anchors::Targets;
use super::variables::{self, Setter};
use crate::analysis::Analysis;
use crate::expand::expressions;
use crate::model::{Matrix, Pipeline, Step};
use crate::syntax::offsets::Offsets;
use crate::text::{Spanned, TextRange};

/// An axis that is named somewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis<'a> {
    pub(super) step: &'a Step,
    pub(super) name: &'a str,
    /// The name under the cursor, with the quotes it has.
    pub(super) range: TextRange,
}

/// How a place names an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelled {
    /// A key of the matrix or of an entry.
    Key,
    /// Inside an expression.
    Expression,
    /// As the variable of a command.
    Variable,
}

/// A place that names an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) range: TextRange,
    pub(super) is_definition: bool,
    pub(super) spelled: Spelled,
}

/// Returns the axis whose name in a matrix or an expression is at an offset.
pub(super) fn at(analysis: &Analysis, offset: usize) -> Option<Axis<'_>> {
    let mut steps = with_matrix(analysis).peekable();
    steps.peek()?;
    let targets = Targets::new(analysis);
    steps.find_map(|(step, matrix)| {
        let names = matrix.names.iter().map(|name| name.name.value.as_str());
        let key = names.clone().find_map(|name| {
            let range = matrix.places_of(name).find(|range| range.touches(offset))?;
            Some(Axis { step, name, range })
        });
        key.or_else(|| {
            let found = in_expressions(analysis, step, &targets, &|value| value.touches(offset));
            let (written, range) = found.into_iter().find(|(_, range)| around(analysis, *range).touches(offset))?;
            let name = names.clone().find(|name| *name == written)?;
            Some(Axis { step, name, range })
        })
    })
}

/// Returns every place that names an axis. Steps that share their matrix share its axes.
pub(super) fn places(analysis: &Analysis, axis: &Axis<'_>) -> Vec<Place> {
    let Some(own) = &axis.step.matrix else { return Vec::new() };
    let own: HashSet<TextRange> = own.places_of(axis.name).collect();
    let is_same = |matrix: &Matrix| matrix.places_of(axis.name).any(|range| own.contains(&range));
    let family: Vec<(&Step, &Matrix)> = with_matrix(analysis).filter(|(_, matrix)| is_same(matrix)).collect();
    let targets = Targets::new(analysis);
    let mut places = Vec::new();
    let mut variable = None;
    for (step, matrix) in &family {
        let defined = matrix.axes.iter().filter(|known| known.name.value == axis.name).map(|known| known.name.range);
        let mut defined: HashSet<TextRange> = defined.collect();
        if defined.is_empty() {
            // Only entries of `include` have it: the first one defines it.
            defined.extend(matrix.places_of(axis.name).next());
        }
        places.extend(matrix.places_of(axis.name).map(|range| Place {
            range: content(&analysis.text, range),
            is_definition: defined.contains(&range),
            spelled: Spelled::Key,
        }));
        let found = in_expressions(analysis, step, &targets, &|_| true).into_iter();
        let found = found.filter(|(name, _)| *name == axis.name);
        places.extend(found.map(|(_, range)| Place { range, is_definition: false, spelled: Spelled::Expression }));
        let known = matrix.names.iter().find(|name| name.name.value == axis.name);
        variable = variable.or(known.map(|name| name.variable.value.as_str()));
    }
    let variable: Vec<&str> = variable.into_iter().collect();
    let mentions = variables::named(analysis, &variable).into_iter();
    places.extend(mentions.filter_map(|mention| {
        let Setter::Matrix(step, _) = mention.setter else { return None };
        let is_ours = family.iter().any(|(other, _)| std::ptr::eq(*other, step));
        is_ours.then_some(Place { range: mention.range, is_definition: false, spelled: Spelled::Variable })
    }));
    // Several steps may share a matrix, a command or an image.
    let mut seen = HashSet::new();
    places.retain(|place| seen.insert(place.range));
    places
}

/// Returns the values of a matrix that are written at an offset, with the name each is of.
pub(super) fn value_at(analysis: &Analysis, offset: usize) -> Option<(&Pipeline, &Step, &str, &Spanned<String>)> {
    let touches = |value: &&Spanned<String>| !value.range.is_empty() && value.range.touches(offset);
    analysis.pipelines.iter().filter(|pipeline| pipeline.has_matrix()).find_map(|pipeline| {
        pipeline.steps.iter().find_map(|step| {
            let matrix = step.matrix.as_deref()?;
            let axes = matrix.axes.iter().flat_map(|axis| axis.values.iter().map(|value| (&axis.name, value)));
            let entries = matrix.include.iter().chain(&matrix.exclude).flat_map(|entry| &entry.values);
            let mut values = axes.chain(entries.map(|(name, value)| (name, value)));
            let (name, value) = values.find(|(_, value)| touches(value))?;
            Some((pipeline, step, name.value.as_str(), value))
        })
    })
}

fn with_matrix(analysis: &Analysis) -> impl Iterator<Item = (&Step, &Matrix)> {
    analysis.all_steps().filter_map(|step| Some((step, step.matrix.as_deref()?)))
}

/// Returns the names in the expressions of a step, with their places.
fn in_expressions<'a>(
    analysis: &Analysis,
    step: &'a Step,
    targets: &Targets,
    is_wanted: &dyn Fn(TextRange) -> bool,
) -> Vec<(&'a str, TextRange)> {
    let mut found = Vec::new();
    for value in step.replaced_values() {
        let range = targets.resolved(value.range);
        if !value.value.contains("${{") || !is_wanted(range) {
            continue;
        }
        let Some(offsets) = Offsets::of(&analysis.text, &Spanned::new(value.value.clone(), range)) else { continue };
        let names = expressions(&value.value);
        found.extend(names.filter_map(|expression| Some((expression.name, offsets.source(expression.name_range)?))));
    }
    found
}

/// Returns the expression around a name.
fn around(analysis: &Analysis, name: TextRange) -> TextRange {
    let before = analysis.text.get(..name.start).unwrap_or_default();
    let after = analysis.text.get(name.end..).unwrap_or_default();
    let start = before.rfind("${{").unwrap_or(name.start);
    let end = after.find("}}").map_or(name.end, |end| name.end + end + "}}".len());
    TextRange::new(start, end)
}

/// Returns a name without the quotes around it.
pub(super) fn content(text: &str, range: TextRange) -> TextRange {
    let written = range.of(text);
    let is_quoted = written.len() >= 2 && written.starts_with(['"', '\'']);
    if is_quoted { TextRange::new(range.start + 1, range.end - 1) } else { range }
}

//! Values: step keys, policies, runners, images, variables.

use std::collections::{BTreeMap, HashSet};

use super::cursor::Cursor;
use super::entry::{Completion, CompletionKind, Known};
use crate::analysis::Analysis;
use crate::ide::outline::first_words;
use crate::keys::{Key, POLICIES, Shape};
use crate::model::{EnvVar, Pipeline, Step};
use crate::printable::{code, markdown};
use crate::runners::RUNNERS;

/// More of a value is not shown.
const MAX_VALUE: usize = 80;

/// Returns the values a key may have.
pub(super) fn values(analysis: &Analysis, cursor: &Cursor<'_>, key: &Key, known: Known<'_>) -> Vec<Completion> {
    let named = |name: &str, doc: &str| cursor.text_entry(name, CompletionKind::Value, doc);
    match key.shape {
        Shape::Policy => POLICIES.iter().map(|policy| named(policy.name, policy.doc)).collect(),
        Shape::Runner => RUNNERS.iter().map(|runner| named(runner.name, runner.doc)).collect(),
        Shape::Bool => ["true", "false"].map(|name| cursor.bare_entry(name, CompletionKind::Value, key.doc)).to_vec(),
        Shape::Version(known) => vec![cursor.text_entry(known, CompletionKind::Value, key.doc)],
        Shape::OneOf(names) => {
            names.iter().map(|name| cursor.text_entry(name, CompletionKind::Value, key.doc)).collect()
        }
        Shape::StepKey | Shape::StepKeys => step_keys(analysis, cursor),
        Shape::Image => images(analysis, cursor, known),
        Shape::VariableName | Shape::List { of: Shape::VariableName, .. } => {
            let variables = variables(analysis, cursor).into_iter();
            variables.map(|(name, doc)| cursor.text_entry(name, CompletionKind::Variable, &doc)).collect()
        }
        Shape::Text
        | Shape::NonEmptyText
        | Shape::Name
        | Shape::Integer { .. }
        | Shape::AbsolutePath
        | Shape::Env
        | Shape::PlanEnv
        | Shape::Map(_)
        | Shape::OptionalMap(_)
        | Shape::List { .. }
        | Shape::Steps
        | Shape::Edge
        | Shape::Argument(_)
        | Shape::Anything => Vec::new(),
    }
}

fn pipeline_at<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>) -> Option<&'a Pipeline> {
    analysis.pipelines.iter().rfind(|pipeline| pipeline.range.start <= cursor.offset)
}

/// Returns the step being written: a value may come after the end of its step, but never after the start of the next one.
fn step_at<'a>(pipeline: &'a Pipeline, cursor: &Cursor<'_>) -> Option<&'a Step> {
    let steps = pipeline.all_steps();
    steps.filter(|step| step.range.start <= cursor.offset).max_by_key(|step| step.range.start)
}

fn step_keys(analysis: &Analysis, cursor: &Cursor<'_>) -> Vec<Completion> {
    let Some(pipeline) = pipeline_at(analysis, cursor) else { return Vec::new() };
    let own = step_at(pipeline, cursor).map(|step| step.range);
    let others = pipeline.steps.iter().filter(|step| Some(step.range) != own);
    others.map(|step| cursor.text_entry(&step.key.value, CompletionKind::Step, &markdown(&first_words(step)))).collect()
}

/// Images used in this file come before those that are merely on the machine.
fn images(analysis: &Analysis, cursor: &Cursor<'_>, known: Known<'_>) -> Vec<Completion> {
    let pipelines = analysis.pipelines.iter();
    let written = pipelines.flat_map(|pipeline| {
        pipeline.default_image.iter().chain(pipeline.steps.iter().filter_map(|step| step.image.as_ref()))
    });
    let others = written.filter(|image| !image.range.touches(cursor.offset)).map(|image| image.value.as_str());
    let mut offered: Vec<Completion> = Vec::new();
    let mut seen = HashSet::new();
    let here = others.map(|image| (image, "Used in this file."));
    let there = known.images.iter().map(|image| (image.as_str(), "Already on this machine, so it need not be pulled."));
    for (image, doc) in here.chain(there) {
        if seen.insert(image) {
            offered.push(cursor.text_entry(image, CompletionKind::Image, doc));
        }
    }
    offered
}

/// Returns the beginning of a value: a completion list has room for one line.
fn shortened(value: &str) -> String {
    let start: String = value.chars().take(MAX_VALUE).collect();
    if start.len() < value.len() { start + "…" } else { start }
}

/// Returns the variables a step has, with what their values are.
fn variables<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>) -> BTreeMap<&'a str, String> {
    let mut variables = BTreeMap::new();
    let Some(pipeline) = pipeline_at(analysis, cursor) else { return variables };
    let step = step_at(pipeline, cursor);
    for EnvVar { name, value } in pipeline.env.iter().chain(step.iter().flat_map(|step| &step.env)) {
        variables.insert(name.value.as_str(), code(&shortened(&value.value)));
    }
    for secret in step.iter().flat_map(|step| &step.secrets).filter(|secret| !secret.range.touches(cursor.offset)) {
        variables.insert(secret.value.as_str(), "A secret of this step.".to_owned());
    }
    variables
}

/// Returns the variables for a `$` in a command; elsewhere there is nothing to offer in a shell command.
pub(super) fn variables_in_command(analysis: &Analysis, cursor: &Cursor<'_>) -> Vec<Completion> {
    if !cursor.before_word.ends_with('$') && !cursor.before_word.ends_with("${") {
        return Vec::new();
    }
    let workspace = [("PWD", "The step's working directory.".to_owned())];
    let variables = variables(analysis, cursor).into_iter().chain(workspace);
    variables.map(|(name, doc)| cursor.bare_entry(name, CompletionKind::Variable, &doc)).collect()
}

/// Returns the names other environments of the file have: most variables are set in more than one place.
pub(super) fn new_variables(analysis: &Analysis, cursor: &Cursor<'_>) -> Vec<Completion> {
    let Some(pipeline) = pipeline_at(analysis, cursor) else { return Vec::new() };
    let own = step_at(pipeline, cursor).map_or(&pipeline.env, |step| &step.env);
    let all = pipeline.env.iter().chain(pipeline.steps.iter().flat_map(|step| &step.env));
    let own: HashSet<&str> = own.iter().map(|variable| variable.name.value.as_str()).collect();
    let others = all.filter(|variable| !own.contains(variable.name.value.as_str()));
    let names: BTreeMap<&str, &str> =
        others.map(|variable| (variable.name.value.as_str(), variable.value.value.as_str())).collect();
    let entries = names.into_iter();
    entries
        .map(|(name, value)| {
            let doc = format!("{} elsewhere in this pipeline.", code(&shortened(value)));
            cursor.key_entry(name, CompletionKind::Variable, &doc)
        })
        .collect()
}

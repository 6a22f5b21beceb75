//! Values: step keys, policies, runners, images, variables.

use std::collections::{BTreeMap, HashSet};

use super::cursor::Cursor;
use super::entry::{Completion, CompletionKind, Known};
use super::{mounts, snippet, written};
use crate::analysis::Analysis;
use crate::ide::outline::first_words;
use crate::keys::{Key, POLICIES, Place, Shape};
use crate::model::{EnvVar, Pipeline, Step};
use crate::printable::{code, markdown};
use crate::runners::RUNNERS;

/// More of a value is not shown.
const MAX_VALUE: usize = 80;

const WAIT: &str = "A barrier between the steps before and after it.";

/// Returns the entry for a barrier.
pub(super) fn wait(cursor: &Cursor<'_>) -> Completion {
    cursor.bare_entry("wait", CompletionKind::Value, WAIT)
}

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
        Shape::Shell if !cursor.is_list_value => {
            let shells = ["sh -e", "bash -euo pipefail", "sh", "bash"];
            shells.iter().map(|shell| cursor.text_entry(shell, CompletionKind::Value, key.doc)).collect()
        }
        Shape::StepKey | Shape::StepKeys => step_keys(analysis, cursor),
        Shape::Image => images(analysis, cursor, known),
        Shape::VariableName | Shape::List { of: Shape::VariableName, .. } => {
            let variables = variables(analysis, cursor).into_iter();
            // A list that has not begun yet.
            let is_item = cursor.is_list_value || cursor.is_list_entry && cursor.key.is_none();
            let entry = |(name, doc): (&str, String)| {
                if is_item || key.shape == Shape::VariableName {
                    return cursor.text_entry(name, CompletionKind::Variable, &doc);
                }
                let list = format!("[{}]", written::text(name, None, cursor.is_json));
                cursor.value_entry(name, list, CompletionKind::Variable, &doc)
            };
            variables.filter(|_| is_item || cursor.quote.is_none()).map(entry).collect()
        }
        Shape::MountPath | Shape::List { of: Shape::MountPathOrMap(_), .. } => mounts::paths(analysis, cursor, key),
        Shape::Steps if cursor.is_list_value => {
            if cursor.is_json {
                vec![snippet::flow_step(cursor, true), cursor.text_entry("wait", CompletionKind::Value, WAIT)]
            } else {
                vec![snippet::flow_step(cursor, true), wait(cursor)]
            }
        }
        Shape::List { of: Shape::Map(Place::Trigger), .. } if cursor.quote.is_none() => {
            snippet::flow_triggers(cursor, !cursor.is_list_value)
        }
        Shape::Text
        | Shape::Shell
        | Shape::NonEmptyText
        | Shape::Name
        | Shape::Integer { .. }
        | Shape::AbsolutePath
        | Shape::Env
        | Shape::PlanEnv
        | Shape::Scalar
        | Shape::Map(_)
        | Shape::OptionalMap(_)
        | Shape::TextsOrMap(_)
        | Shape::MountPathOrMap(_)
        | Shape::List { .. }
        | Shape::Steps
        | Shape::Edge
        | Shape::Argument(_)
        | Shape::Anything => Vec::new(),
    }
}

pub(super) fn pipeline_at<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>) -> Option<&'a Pipeline> {
    analysis.pipelines.iter().rfind(|pipeline| pipeline.range.start <= cursor.offset)
}

/// Returns the step being written: a value may come after the end of its step, but never after the start of the next one.
pub(super) fn step_at<'a>(pipeline: &'a Pipeline, cursor: &Cursor<'_>) -> Option<&'a Step> {
    let steps = pipeline.all_steps();
    steps.filter(|step| step.range.start <= cursor.offset).max_by_key(|step| step.range.start)
}

fn step_keys(analysis: &Analysis, cursor: &Cursor<'_>) -> Vec<Completion> {
    let Some(pipeline) = pipeline_at(analysis, cursor) else { return Vec::new() };
    let own = step_at(pipeline, cursor).map(|step| step.range);
    let others = pipeline.steps.iter().filter(move |step| Some(step.range) != own);
    let entry = |key: &str, step: &Step| cursor.text_entry(key, CompletionKind::Step, &markdown(&first_words(step)));
    let mut entries: Vec<Completion> = others.clone().map(|step| entry(&step.key.value, step)).collect();
    entries.extend(others.flat_map(|step| step.combinations().iter().map(|combination| entry(&combination.key, step))));
    entries
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
pub(super) fn shortened(value: &str) -> String {
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
            cursor.key_entry(name, "\"$0\"", CompletionKind::Variable, &doc)
        })
        .collect()
}

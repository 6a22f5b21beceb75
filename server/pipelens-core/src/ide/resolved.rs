//! What a step amounts to once everything is resolved: its image or lineage, its environment, what runs before it.

use std::collections::BTreeMap;

use super::hints::{lineage, path, root_image};
use super::outline::first_words;
use crate::analysis::Analysis;
use crate::keys::POLICIES;
use crate::model::{EnvVar, Pipeline, Step};
use crate::plan::links::Links;
use crate::printable::{code, code_block, markdown};
use crate::runners;
use crate::text::{TextRange, word_at};

/// More lines than this do not fit a hover window.
const MAX_LISTED: usize = 20;
/// A variable's value is shown up to this length.
const MAX_VALUE: usize = 60;

/// Describes a step in Markdown.
pub(super) fn describe(pipeline: &Pipeline, position: usize) -> String {
    let Some(step) = pipeline.steps.get(position) else { return String::new() };
    let links = Links::new(pipeline);
    let words = first_words(step);
    let mut parts = vec![format!("**{}**", markdown(&step.key.value))];
    if !words.is_empty() {
        parts.push(code(&words));
    }
    parts.push(boots_from(pipeline, &links, position));
    parts.extend(runs_after(pipeline, &links, position));
    parts.extend(environment(pipeline, step));
    parts.join("\n\n")
}

fn boots_from(pipeline: &Pipeline, links: &Links, position: usize) -> String {
    let ancestors = lineage(links, position);
    let image = root_image(pipeline, links.root(position));
    let key = |step: &usize| pipeline.steps.get(*step).map(|step| code(&step.key.value));
    match ancestors.split_first() {
        None => format!("Starts from the image {}.", code(image)),
        Some((parent, [])) => {
            format!("Starts from the filesystem of {}, in the image {}.", key(parent).unwrap_or_default(), code(image))
        }
        Some((parent, _)) => {
            let path = path(pipeline, &ancestors);
            let parent = key(parent).unwrap_or_default();
            format!("Starts from the filesystem of {parent}: the image {}, then {path}.", code(image))
        }
    }
}

fn runs_after(pipeline: &Pipeline, links: &Links, position: usize) -> Option<String> {
    let before = links.dependencies(position);
    let keys = before.iter().filter_map(|before| pipeline.steps.get(before.step)).map(|step| &step.key.value);
    let mut shown: Vec<String> = keys.take(MAX_LISTED).map(|key| code(key)).collect();
    if before.len() > MAX_LISTED {
        shown.push(format!("{} more", before.len() - MAX_LISTED));
    }
    (!shown.is_empty()).then(|| format!("Runs after {}.", shown.join(", ")))
}

/// Returns the environment as the command sees it: the pipeline's with the step's merged over it.
fn environment(pipeline: &Pipeline, step: &Step) -> Option<String> {
    let merged: BTreeMap<&str, &str> = pipeline
        .env
        .iter()
        .chain(&step.env)
        .map(|EnvVar { name, value }| (name.value.as_str(), value.value.as_str()))
        .collect();
    let secrets = step.secrets.iter().map(|secret| format!("{} (secret)", secret.value));
    let mut lines: Vec<String> = merged.iter().map(|(name, value)| assignment(name, value)).chain(secrets).collect();
    if lines.is_empty() {
        return None;
    }
    if lines.len() > MAX_LISTED {
        let more = lines.len() - MAX_LISTED;
        lines.truncate(MAX_LISTED);
        lines.push(format!("… {more} more"));
    }
    Some(code_block("sh", &lines))
}

/// Returns `NAME=value`, with the beginning of the value.
pub(super) fn assignment(name: &str, value: &str) -> String {
    let line = value.lines().next().unwrap_or_default();
    let short: String = line.chars().take(MAX_VALUE).collect();
    let more = if short.len() < value.len() { "…" } else { "" };
    format!("{name}={short}{more}")
}

/// Describes the policy or the runner that is named at an offset.
pub(super) fn describe_value(analysis: &Analysis, offset: usize) -> Option<(TextRange, String)> {
    let steps = analysis.pipelines.iter().flat_map(|pipeline| &pipeline.steps);
    let runner = steps.clone().filter_map(|step| step.runner.as_ref()).find(|runner| runner.range.touches(offset));
    if let Some(runner) = runner {
        return runners::find(&runner.value).map(|known| documented(known.name, known.doc, runner.range));
    }
    let cache = steps.filter_map(|step| step.cache.as_ref()).find(|cache| cache.range.touches(offset))?;
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let word = word_at(&analysis.text, offset, is_part).filter(|word| cache.range.contains_range(*word))?;
    let written = analysis.text.get(word.start..word.end)?;
    let policy = POLICIES.iter().find(|policy| policy.name == written)?;
    Some(documented(policy.name, policy.doc, word))
}

fn documented(name: &str, doc: &str, range: TextRange) -> (TextRange, String) {
    (range, format!("`{name}`\n\n{doc}"))
}

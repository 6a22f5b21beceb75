//! What each combination of a step amounts to: its image or parent, and the variables that differ.

use super::hints::root_image;
use super::resolved::{assignment, describe};
use crate::expand::expand;
use crate::model::{Combination, Pipeline, Step};
use crate::plan::links::Links;
use crate::printable::code;

/// More lines than this do not fit a hover window.
const MAX_LISTED: usize = 20;

/// Describes all combinations of a step in Markdown; nothing without a matrix.
pub(super) fn all(pipeline: &Pipeline, step: &Step) -> Option<String> {
    step.matrix.as_ref()?;
    let count = step.combinations().len();
    let head = if count == 1 { "1 combination:".to_owned() } else { format!("{count} combinations:") };
    let all: Vec<&Combination> = step.combinations().iter().collect();
    Some(format!("{head}\n\n{}", list(pipeline, step, &all)))
}

/// Describes the combinations that have a value.
pub(super) fn with_value(pipeline: &Pipeline, step: &Step, name: &str, value: &str) -> String {
    let Some(matrix) = &step.matrix else { return String::new() };
    let has = |combination: &&Combination| matrix.value(combination, name).is_some_and(|found| found.value == value);
    let found: Vec<&Combination> = matrix.combinations().iter().filter(has).collect();
    let assigned = code(&format!("{name}: {value}"));
    match found.len() {
        0 => format!("{assigned}\n\nNo combination of step {} has this value.", code(&step.key.value)),
        1 => format!("{assigned}\n\nIn 1 combination:\n\n{}", list(pipeline, step, &found)),
        many => format!("{assigned}\n\nIn {many} combinations:\n\n{}", list(pipeline, step, &found)),
    }
}

/// Describes one combination like any step.
pub(super) fn one(pipeline: &Pipeline, combination: &Combination) -> Option<String> {
    let expanded = expand(pipeline);
    let position = expanded.steps.iter().position(|step| step.key.value == combination.key)?;
    Some(describe(&expanded, position))
}

fn list(pipeline: &Pipeline, step: &Step, combinations: &[&Combination]) -> String {
    let expanded = expand(pipeline);
    let links = Links::new(&expanded);
    let is_computed = |name: &str| {
        step.env.iter().any(|variable| variable.name.value == name && variable.value.value.contains("${{"))
    };
    let positions: Vec<usize> = combinations
        .iter()
        .take(MAX_LISTED)
        .filter_map(|combination| expanded.steps.iter().position(|step| step.key.value == combination.key))
        .collect();
    let line = |position: &usize| {
        let concrete = expanded.steps.get(*position)?;
        let parent = links.parents.get(*position).copied().flatten().and_then(|parent| expanded.steps.get(parent));
        let from = match parent {
            Some(parent) => format!("on {}", code(&parent.key.value)),
            None => format!("in {}", code(root_image(&expanded, *position))),
        };
        let env = concrete.env.iter().filter(|variable| is_computed(&variable.name.value));
        let env: String = env
            .map(|variable| format!(", {}", code(&assignment(&variable.name.value, &variable.value.value))))
            .collect();
        Some(format!("- {} {from}{env}", code(&concrete.key.value)))
    };
    let mut lines: Vec<String> = positions.iter().filter_map(line).collect();
    if combinations.len() > MAX_LISTED {
        lines.push(format!("- {} more", combinations.len() - MAX_LISTED));
    }
    lines.join("\n")
}

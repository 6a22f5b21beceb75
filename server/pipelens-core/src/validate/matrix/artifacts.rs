//! Artifacts of several combinations at one path, of which a step that needs them gets only one.

use std::collections::{BTreeMap, HashSet};

use crate::diagnostic::{Code, Diagnostic};
use crate::expand::{self, Match};
use crate::findings::Findings;
use crate::model::{Pipeline, Step};
use crate::plan::names::Names;
use crate::text::{Spanned, TextRange};

/// How the variables with a combination's values begin.
const VARIABLES: &str = "MATRIX_";

pub(super) fn check(pipeline: &Pipeline, findings: &mut Findings) {
    let getting = pipeline.steps.iter().filter(|step| !step.needs_artifacts.is_empty());
    let mut getting = getting.peekable();
    if getting.peek().is_none() {
        return;
    }
    let names = Names::new(pipeline);
    for step in getting {
        let mut chosen: BTreeMap<usize, Chosen<'_>> = BTreeMap::new();
        for name in &step.needs_artifacts {
            let Some((position, combination)) = named(pipeline, &names, step, name) else { continue };
            let chosen = chosen.entry(position).or_default();
            let is_new = combination.is_none_or(|combination| chosen.combinations.insert(combination));
            chosen.is_all |= combination.is_none();
            if is_new && (chosen.is_all || chosen.combinations.len() > 1) {
                chosen.at.get_or_insert(name.range);
            }
        }
        for (position, chosen) in chosen {
            let Some((provider, at)) = pipeline.steps.get(position).zip(chosen.at) else { continue };
            let all = provider.combinations().len();
            let count = if chosen.is_all { all } else { chosen.combinations.len() };
            if count > 1 {
                findings.extend(overwritten(step, provider, count, at));
            }
        }
    }
}

/// The combinations of one step whose artifacts another gets.
#[derive(Default)]
struct Chosen<'a> {
    combinations: HashSet<&'a str>,
    is_all: bool,
    /// Where the second is named.
    at: Option<TextRange>,
}

/// Returns the step with a matrix that a name means, and the combination; `None`: all of them.
fn named<'a>(
    pipeline: &Pipeline,
    names: &Names<'a>,
    step: &Step,
    name: &Spanned<String>,
) -> Option<(usize, Option<&'a str>)> {
    if let Some((position, combination)) = names.combination(&name.value) {
        return Some((position, Some(combination.key.as_str())));
    }
    let is_all = expand::matches(pipeline, names, step, &name.value) == Match::All;
    is_all.then(|| names.get(&name.value)).flatten().map(|position| (position, None))
}

fn overwritten(step: &Step, provider: &Step, count: usize, at: TextRange) -> Option<Diagnostic> {
    if provider.artifacts_when.as_ref().is_some_and(|when| !when.value.applies(true)) {
        return None;
    }
    let path = provider.artifacts.iter().find(|path| is_same_everywhere(provider, &path.value))?;
    let (own, from, written) = (step.called(), provider.called(), &path.value);
    let message = format!(
        "{own} gets `{written}` from {count} combinations of {from}, all at the same path, so only that of the last one is left. Name one combination, or make the path depend on the values of the matrix."
    );
    let finding = Diagnostic::new(Code::OverwrittenArtifacts, at, message);
    Some(finding.with_related(path.range, "The path, the same in every combination"))
}

/// Whether every combination makes the same files at a path, as far as that is certain: what a glob matches, or what is in a folder, may have names
/// that depend on the combination.
fn is_same_everywhere(step: &Step, path: &str) -> bool {
    if path.contains(['*', '?', '[', '{']) || path.ends_with('/') {
        return false;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_file = name.trim_start_matches('.').contains('.');
    is_file || !uses_matrix(step)
}

/// Whether what a step does may depend on the combination.
fn uses_matrix(step: &Step) -> bool {
    step.cmd.as_ref().is_none_or(|cmd| cmd.value.contains(VARIABLES))
        || step.env.iter().any(|variable| expand::expressions(&variable.value.value).next().is_some())
}

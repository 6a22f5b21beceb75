//! What is wrong with individual steps: their keys, limits, folders and policies.

use std::collections::{HashMap, HashSet};

use super::paths::unexpanded;
use super::services;
use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::model::{Combination, Pipeline, Spelling, Step};
use crate::plan::names::Names;
use crate::runners::{self, RUNNERS};
use crate::text::TextRange;

pub(super) fn check(pipeline: &Pipeline, findings: &mut Findings) {
    unsupported_keys(pipeline, findings);
    for step in pipeline.all_steps() {
        findings.extend(timeout_too_long(pipeline, step));
        findings.extend(relative_workdir(step));
        findings.extend(services_on_host(step));
    }
    if matches!(pipeline.spelling, Spelling::AuthoredYaml | Spelling::AuthoredJson) {
        images_without_effect(pipeline, findings);
    }
}

/// Replaces the characters that container and image names cannot contain; keys that become equal would share those names.
pub(crate) fn safe_key(key: &str) -> String {
    let is_safe = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '-';
    key.chars().map(|character| if is_safe(character) { character } else { '-' }).collect()
}

/// What has a key: a step, or one combination of it.
#[derive(Clone, Copy)]
struct Keyed<'a> {
    step: &'a Step,
    combination: Option<&'a Combination>,
}

impl<'a> Keyed<'a> {
    fn key(self) -> &'a str {
        self.combination.map_or(&self.step.key.value, |combination| &combination.key)
    }

    /// Returns where the key comes from; of two combinations of one step, the first value in which they differ.
    fn place(self, other: Self) -> TextRange {
        let matrix = self.step.matrix.as_deref().filter(|_| std::ptr::eq(self.step, other.step));
        let Some(((own, other), matrix)) = self.combination.zip(other.combination).zip(matrix) else {
            return self.step.key.range;
        };
        let names = 0..matrix.names.len();
        let mut pairs = names.map(|name| (matrix.value_at(own, name), matrix.value_at(other, name)));
        let differing =
            pairs.find_map(|(own, other)| own.filter(|own| other.is_none_or(|other| own.value != other.value)));
        let entry = own.added_by.and_then(|index| matrix.include.get(index)).map(|entry| entry.range);
        differing.map(|value| value.range).or(entry).unwrap_or(self.step.key.range)
    }
}

fn unsupported_keys(pipeline: &Pipeline, findings: &mut Findings) {
    let mut by_key: HashMap<&str, Keyed<'_>> = HashMap::with_capacity(pipeline.steps.len());
    let mut by_name: HashMap<String, Keyed<'_>> = HashMap::with_capacity(pipeline.steps.len());
    let mut reported = HashSet::new();
    for step in &pipeline.steps {
        let own = Keyed { step, combination: None };
        // The key of a step with a matrix names all its combinations, and no container.
        match step.matrix.is_some() {
            false => unsupported_key(own, &mut by_key, &mut by_name, &mut reported, findings),
            true => match by_key.get(own.key()) {
                Some(first) => findings.push(unsupported(own, *first, true)),
                None => {
                    by_key.insert(own.key(), own);
                }
            },
        }
        for combination in step.combinations() {
            let own = Keyed { step, combination: Some(combination) };
            unsupported_key(own, &mut by_key, &mut by_name, &mut reported, findings);
        }
    }
}

fn unsupported_key<'a>(
    own: Keyed<'a>,
    by_key: &mut HashMap<&'a str, Keyed<'a>>,
    by_name: &mut HashMap<String, Keyed<'a>>,
    reported: &mut HashSet<(TextRange, TextRange)>,
    findings: &mut Findings,
) {
    let key = own.key();
    let twin = by_key.get(key).copied();
    let Some(first) = twin.or_else(|| by_name.get(&safe_key(key)).copied()) else {
        by_key.insert(key, own);
        by_name.insert(safe_key(key), own);
        return;
    };
    by_key.entry(key).or_insert(own);
    // Two values collide in every combination that has them.
    if own.combination.is_none() || reported.insert((own.place(first), first.place(own))) {
        findings.push(unsupported(own, first, twin.is_some()));
    }
}

fn unsupported(own: Keyed<'_>, first: Keyed<'_>, is_equal: bool) -> Diagnostic {
    let (key, other, range) = (own.key(), first.key(), own.place(first));
    let what_to_do = if own.combination.is_some() { "Change one of them" } else { "Rename one of them" };
    let finding = if is_equal {
        let message = format!("Two steps have the key `{key}`, but keys must be unique. {what_to_do}.");
        Diagnostic::new(Code::DuplicateStepKey, range, message)
    } else {
        let message = format!(
            "`{key}` and `{other}` would get the same container and image names, in which only letters, digits, `_` and `-` count. {what_to_do}."
        );
        Diagnostic::new(Code::CollidingStepKeys, range, message)
    };
    finding.with_related(first.place(own), format!("`{other}` is first defined here"))
}

fn timeout_too_long(pipeline: &Pipeline, step: &Step) -> Option<Diagnostic> {
    let (whole, own) = (pipeline.timeout_seconds.as_ref()?, step.timeout_seconds.as_ref()?);
    if own.value <= whole.value {
        return None;
    }
    let message = format!(
        "{} may take {} s, but its pipeline is stopped after {} s. Lower this limit or raise the pipeline's.",
        step.called(),
        own.value,
        whole.value
    );
    let finding = Diagnostic::new(Code::TimeoutTooLong, own.range, message);
    Some(finding.with_related(whole.range, "The pipeline's limit"))
}

fn relative_workdir(step: &Step) -> Option<Diagnostic> {
    let workdir = step.workdir.as_ref().filter(|workdir| !workdir.value.trim().is_empty())?;
    if workdir.value.starts_with('/') {
        return None;
    }
    let written = &workdir.value;
    if let Some(part) = unexpanded(written) {
        let message = format!(
            "`{written}` is not an absolute path: `{part}` is not replaced here, only in `cmd`. Write the path itself."
        );
        return Some(Diagnostic::new(Code::RelativeWorkdir, workdir.range, message));
    }
    let absolute = format!("/workspace/{}", written.trim_start_matches("./"));
    let message = format!(
        "`{written}` is not an absolute path, and there is no directory it could be relative to. Did you mean `{absolute}`?"
    );
    let finding = Diagnostic::new(Code::RelativeWorkdir, workdir.range, message);
    Some(finding.with_fix(format!("Change to `{absolute}`"), workdir.range, format!("\"{absolute}\"")))
}

fn services_on_host(step: &Step) -> Option<Diagnostic> {
    let runner = step.runner.as_ref()?;
    let chosen = runners::find(&runner.value).filter(|runner| !runner.takes("services"))?.name;
    let services = services::place(step)?;
    let other = RUNNERS.iter().find(|runner| runner.takes("services"))?.name;
    let message = format!(
        "{} has `services`, which the runner `{chosen}` does not support. Use the runner `{other}`, or remove `services`.",
        step.called()
    );
    let finding = Diagnostic::new(Code::ServicesOnHost, services, message)
        .with_related(runner.range, "`runner` is set here")
        .with_fix(format!("Change `{chosen}` to `{other}`"), runner.range, other);
    Some(finding)
}

fn images_without_effect(pipeline: &Pipeline, findings: &mut Findings) {
    let steps = pipeline.all_steps();
    let mut with_both =
        steps.filter_map(|step| Some((step, step.image.as_ref()?, step.builds_in.as_ref()?))).peekable();
    // Nearly every pipeline has no such step.
    if with_both.peek().is_none() {
        return;
    }
    let positions = Names::new(pipeline);
    for (step, image, parent) in with_both {
        let message = format!(
            "{} starts from the filesystem of `{}`, so its `image` has no effect. Remove `image` or `builds_in`.",
            step.called(),
            parent.value
        );
        // The reference comes first: the fix checks whether it is in the step itself.
        let finding = Diagnostic::new(Code::ImageWithoutEffect, image.range, message)
            .with_related(parent.range, "`builds_in` is set here");
        let source = positions.get(&parent.value).and_then(|position| pipeline.steps.get(position));
        findings.push(match source {
            Some(source) => {
                finding.with_related(source.key.range, format!("It starts from the filesystem of `{}`", parent.value))
            }
            None => finding,
        });
    }
}

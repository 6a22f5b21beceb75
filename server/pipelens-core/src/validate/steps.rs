//! What is wrong with steps one by one: their keys, limits, folders and policies.

use std::collections::HashMap;

use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::model::{Pipeline, Spelling, Step, Value};
use crate::plan::links::positions;
use crate::runners::{self, RUNNERS};

pub(super) fn check(pipeline: &Pipeline, findings: &mut Findings) {
    unsupported_keys(pipeline, findings);
    for step in pipeline.steps.iter().chain(&pipeline.unnamed_steps) {
        findings.extend(timeout_too_long(pipeline, step));
        findings.extend(relative_workdir(step));
        findings.extend(services_on_host(step));
    }
    if matches!(pipeline.spelling, Spelling::AuthoredYaml | Spelling::AuthoredJson) {
        images_without_effect(pipeline, findings);
    }
}

/// Replaces what container and image names cannot hold; keys that become equal would share those names.
pub(crate) fn safe_key(key: &str) -> String {
    let is_safe = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '-';
    key.chars().map(|character| if is_safe(character) { character } else { '-' }).collect()
}

fn unsupported_keys(pipeline: &Pipeline, findings: &mut Findings) {
    let mut by_key: HashMap<&str, &Step> = HashMap::with_capacity(pipeline.steps.len());
    let mut by_name: HashMap<String, &Step> = HashMap::with_capacity(pipeline.steps.len());
    for step in &pipeline.steps {
        let key = &step.key.value;
        let twin = by_key.get(key.as_str()).copied();
        let Some(first) = twin.or_else(|| by_name.get(&safe_key(key)).copied()) else {
            by_key.insert(key, step);
            by_name.insert(safe_key(key), step);
            continue;
        };
        by_key.entry(key).or_insert(step);
        let other = &first.key.value;
        let finding = if twin.is_some() {
            let message =
                format!("Two steps have the key `{key}`, so nobody can tell them apart. Give one another key.");
            Diagnostic::new(Code::DuplicateStepKey, step.key.range, message)
        } else {
            let message = format!(
                "`{key}` and `{other}` would share container and image names, where only letters, digits, `_` and `-` count. Give one another key."
            );
            Diagnostic::new(Code::CollidingStepKeys, step.key.range, message)
        };
        findings.push(finding.with_related(first.key.range, format!("`{other}` stands here first")));
    }
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
    let absolute = format!("/workspace/{}", written.trim_start_matches("./"));
    let message = format!(
        "`{written}` is not an absolute path, and a container has no other folder to start from. Did you mean `{absolute}`?"
    );
    let finding = Diagnostic::new(Code::RelativeWorkdir, workdir.range, message);
    Some(finding.with_fix(format!("Change to `{absolute}`"), workdir.range, format!("\"{absolute}\"")))
}

fn services_on_host(step: &Step) -> Option<Diagnostic> {
    let runner = step.runner.as_ref()?;
    let chosen = runners::find(&runner.value).filter(|runner| !runner.takes("services"))?.name;
    let Value::Map(arguments) = &step.runner_args.as_ref()?.value else { return None };
    let (services, _) = arguments.iter().find(|(name, value)| name.value == "services" && has_any(&value.value))?;
    let other = RUNNERS.iter().find(|runner| runner.takes("services"))?.name;
    let message = format!(
        "{} has `services`, which its runner `{chosen}` does not support. Use the runner `{other}`, or remove `services`.",
        step.called()
    );
    let finding = Diagnostic::new(Code::ServicesOnHost, services.range, message)
        .with_related(runner.range, "`runner` decides where it runs")
        .with_fix(format!("Change `{chosen}` to `{other}`"), runner.range, other);
    Some(finding)
}

fn has_any(services: &Value) -> bool {
    matches!(services, Value::Map(services) if !services.is_empty())
}

fn images_without_effect(pipeline: &Pipeline, findings: &mut Findings) {
    let steps = pipeline.steps.iter().chain(&pipeline.unnamed_steps);
    let mut with_both =
        steps.filter_map(|step| Some((step, step.image.as_ref()?, step.builds_in.as_ref()?))).peekable();
    // Nearly every pipeline: nobody to look up.
    if with_both.peek().is_none() {
        return;
    }
    let positions = positions(pipeline);
    for (step, image, parent) in with_both {
        let message = format!(
            "{} boots from what `{}` left behind, so its `image` has no effect. Remove one of the two.",
            step.called(),
            parent.value
        );
        // The reference comes first: the fix asks whether it stands in the step itself.
        let finding = Diagnostic::new(Code::ImageWithoutEffect, image.range, message)
            .with_related(parent.range, "`builds_in` decides what it boots from");
        let source = positions.get(parent.value.as_str()).and_then(|position| pipeline.steps.get(*position));
        findings.push(match source {
            Some(source) => {
                finding.with_related(source.key.range, format!("It boots from what `{}` leaves", parent.value))
            }
            None => finding,
        });
    }
}

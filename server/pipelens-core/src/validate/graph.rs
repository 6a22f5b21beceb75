//! What is wrong with how steps refer to each other.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::expand::MAX_NAMES;
use crate::findings::Findings;
use crate::model::{Pipeline, Spelling, Step};
use crate::nearest::nearest;
use crate::plan::links::{Links, MAX_CONNECTIONS};
use crate::plan::names::Names;
use crate::syntax::written::{flow_scalar, quoted};
use crate::text::{Spanned, TextRange};

/// A reference that could be resolved.
#[derive(Clone, Copy)]
struct Reference {
    to: usize,
    range: TextRange,
}

pub(super) fn check(pipeline: &Pipeline, findings: &mut Findings) {
    let positions = Names::new(pipeline);
    let links = OnceCell::new();
    let closes_cycle = |step: usize, name: &str| {
        let named = positions.get(name);
        named.is_some_and(|named| links.get_or_init(|| Links::new(pipeline)).waits_for(named, step))
    };
    let combined = pipeline.steps.iter().flat_map(Step::combinations).map(|combination| combination.key.as_str());
    let keys: Vec<&str> = pipeline.steps.iter().map(|step| step.key.value.as_str()).chain(combined).collect();
    let mut graph: Vec<Vec<Reference>> = Vec::with_capacity(pipeline.steps.len());
    for (from, step) in pipeline.steps.iter().enumerate() {
        let mut leads = Vec::new();
        let mut split: Vec<(TextRange, &str)> = Vec::new();
        for (name, verb) in references(step) {
            match positions.get(&name.value) {
                None if findings.omits(Code::UnknownStep, Severity::Error) => {}
                None if split.iter().any(|(range, _)| range.contains_range(name.range)) => {}
                None => {
                    if let Some((range, key)) = split_key(step, &positions, name) {
                        findings.push(unquoted_key(range, key));
                        split.push((range, key));
                        continue;
                    }
                    let near = near(&keys, step, name, findings).filter(|near| !closes_cycle(from, near));
                    findings.push(unknown_step(step, name, verb, near));
                }
                Some(to) if to == from => findings.push(self_reference(&step.key.value, name, verb)),
                Some(to) => match reference_across_wait(pipeline, from, to, name) {
                    Some(finding) => findings.push(finding),
                    None => leads.push(Reference { to, range: name.range }),
                },
            }
        }
        graph.push(leads);
    }
    for step in &pipeline.unnamed_steps {
        for (name, verb) in references(step).filter(|(name, _)| positions.get(&name.value).is_none()) {
            if !findings.omits(Code::UnknownStep, Severity::Error) {
                let near = near(&keys, step, name, findings);
                findings.push(unknown_step(step, name, verb, near));
            }
        }
    }
    too_many_connections(pipeline, findings);
    redundant_dependencies(pipeline, findings);
    missing_artifacts(pipeline, &positions, findings);
    cycles(pipeline, &graph, findings);
}

/// Every step after a `wait` waits for every step before it. Written out, that may be far more than the text shows.
fn too_many_connections(pipeline: &Pipeline, findings: &mut Findings) {
    let Some(barrier) = pipeline.barriers.last() else { return };
    let count = Links::new(pipeline).count();
    if count > MAX_CONNECTIONS {
        let message = format!(
            "The `wait`s of this pipeline add up to {count} dependencies; at most {MAX_CONNECTIONS} are supported. Split the pipeline, or put a single step between two waits for the others to depend on."
        );
        findings.push(Diagnostic::new(Code::TooLarge, barrier.range, message));
    }
}

/// Returns the names by which a step refers to others, each with its verb.
fn references(step: &Step) -> impl Iterator<Item = (&Spanned<String>, &'static str)> {
    let lineage = step.builds_in.iter().map(|name| (name, "builds in"));
    let order = step.depends_on.iter().map(|name| (name, "depends on"));
    let artifacts = step.needs_artifacts.iter().map(|name| (name, "needs the artifacts of"));
    lineage.chain(order).chain(artifacts).filter(|(name, _)| !name.value.trim().is_empty())
}

/// Returns the key that may be meant, as long as there is time to look.
fn near<'name>(
    keys: &[&'name str],
    step: &Step,
    name: &Spanned<String>,
    findings: &mut Findings,
) -> Option<&'name str> {
    let others = keys.iter().copied().filter(|key| *key != step.key.value);
    findings.may_compare_with(keys.len()).then(|| nearest(&name.value, others)).flatten()
}

/// Finds the key of a combination without quotes, in a list in brackets: its commas separate it.
fn split_key<'a>(step: &Step, names: &Names<'a>, first: &Spanned<String>) -> Option<(TextRange, &'a str)> {
    if !first.value.contains(" (") {
        return None;
    }
    let list = [&step.depends_on, &step.needs_artifacts].into_iter().find(|list| list.contains(first))?;
    let start = list.iter().position(|name| name.range == first.range)?;
    let mut joined = first.value.clone();
    for part in list.iter().skip(start + 1).take(MAX_NAMES) {
        joined.push_str(", ");
        joined.push_str(&part.value);
        if let Some((_, combination)) = names.combination(&joined) {
            return Some((first.range.cover(part.range), combination.key.as_str()));
        }
    }
    None
}

fn unquoted_key(range: TextRange, key: &str) -> Diagnostic {
    let message = format!(
        "A comma separates the items of a list, so `{key}` is taken for several steps, which do not exist. Put it in quotes."
    );
    Diagnostic::new(Code::UnknownStep, range, message).with_safe_fix("Put it in quotes", range, quoted(key))
}

fn unknown_step(step: &Step, name: &Spanned<String>, verb: &str, near: Option<&str>) -> Diagnostic {
    let (own, written) = (step.called(), &name.value);
    match near {
        Some(near) => {
            let message = format!("{own} {verb} `{written}`, which does not exist. Did you mean `{near}`?");
            let quoted = name.range.end - name.range.start > written.len();
            let new_text = if quoted { format!("\"{near}\"") } else { flow_scalar(near) };
            Diagnostic::new(Code::UnknownStep, name.range, message).with_fix(
                format!("Change `{written}` to `{near}`"),
                name.range,
                new_text,
            )
        }
        None => {
            let message = format!("{own} {verb} `{written}`, which does not exist. Name a step of this pipeline.");
            Diagnostic::new(Code::UnknownStep, name.range, message)
        }
    }
}

fn self_reference(own: &str, name: &Spanned<String>, verb: &str) -> Diagnostic {
    let message = format!("Step `{own}` {verb} itself, so it can never start. Name another step, or remove this.");
    Diagnostic::new(Code::SelfReference, name.range, message)
}

/// A step before a `wait` cannot wait for one after it, which waits for that step in turn.
fn reference_across_wait(pipeline: &Pipeline, from: usize, to: usize, name: &Spanned<String>) -> Option<Diagnostic> {
    let barrier = pipeline.barriers.get(pipeline.barriers.partition_point(|barrier| barrier.after_steps <= from))?;
    if to < barrier.after_steps {
        return None;
    }
    let own = pipeline.steps.get(from).map(|step| step.key.value.as_str()).unwrap_or_default();
    let message = format!(
        "Step `{own}` refers to `{}`, which comes after a later `wait` and so waits for `{own}` itself. Move one of them across the `wait`.",
        name.value
    );
    let finding = Diagnostic::new(Code::ReferenceAcrossWait, name.range, message);
    Some(finding.with_related(barrier.range, "The `wait` between them"))
}

/// A step can get only what another one hands back after it has succeeded.
fn missing_artifacts(pipeline: &Pipeline, positions: &Names<'_>, findings: &mut Findings) {
    for step in &pipeline.steps {
        for name in &step.needs_artifacts {
            let position = positions.get(&name.value);
            let Some(provider) = position.and_then(|position| pipeline.steps.get(position)) else { continue };
            let is_after_success = provider.artifacts_when.as_ref().is_none_or(|when| when.value.applies(true));
            if is_after_success && !provider.artifacts.is_empty() || provider.key.value == step.key.value {
                continue;
            }
            let (own, written) = (step.called(), &name.value);
            let (why, what_to_do) = if provider.artifacts.is_empty() {
                ("has none", "Give it `artifacts`")
            } else {
                ("copies them only after a failure", "Change its `when`")
            };
            let message = format!(
                "{own} needs the artifacts of `{written}`, which {why}. {what_to_do}, or remove it from `needs_artifacts`."
            );
            let place = provider.artifacts_when.as_ref().map_or(provider.key.range, |when| when.range);
            let finding = Diagnostic::new(Code::NoArtifacts, name.range, message);
            findings.push(finding.with_related(place, format!("The step `{written}`")));
        }
    }
}

fn redundant_dependencies(pipeline: &Pipeline, findings: &mut Findings) {
    if !matches!(pipeline.spelling, Spelling::AuthoredYaml | Spelling::AuthoredJson) {
        return;
    }
    let positions = Names::new(pipeline);
    let segments = Links::new(pipeline).barriers;
    for (step, segment) in pipeline.steps.iter().zip(segments) {
        let mut seen = HashSet::new();
        for (position_in_list, name) in step.depends_on.iter().enumerate() {
            let written = name.value.as_str();
            let position = positions.get(written);
            let is_waited_for = segment.zip(position).is_some_and(|(segment, position)| {
                segment.must_succeed && (segment.start..segment.end).contains(&position)
            });
            let why = if !seen.insert(written) {
                "is listed twice"
            } else if step.builds_in.as_ref().is_some_and(|parent| parent.value == written) {
                "is the step this one builds in, so this step waits for it anyway"
            } else if step.needs_artifacts.iter().any(|provider| provider.value == written) {
                "is in `needs_artifacts`, so this step waits for it anyway"
            } else if is_waited_for {
                "comes before a `wait`, so this step waits for it anyway"
            } else {
                continue;
            };
            if findings.omits(Code::RedundantDependency, Severity::Hint) {
                continue;
            }
            findings.push(redundant_dependency(step, position_in_list, why));
        }
    }
}

fn redundant_dependency(step: &Step, position: usize, why: &str) -> Diagnostic {
    let Some(name) = step.depends_on.get(position) else {
        return Diagnostic::new(Code::RedundantDependency, step.key.range, why);
    };
    let written = &name.value;
    let message = format!("`{written}` {why}. Remove it from `depends_on`.");
    let value = step.depends_on_value.unwrap_or(name.range);
    if value.contains_range(name.range) && step.range.contains_range(value) {
        return Diagnostic::new(Code::RedundantDependency, name.range, message);
    }
    // An alias: other steps may need what this one does not, so this step gets a list of its own.
    if step.range.contains_range(value) {
        let others = step.depends_on.iter().enumerate().filter(|(other, _)| *other != position);
        let others: Vec<String> = others.map(|(_, other)| flow_scalar(&other.value)).collect();
        let finding = Diagnostic::new(Code::RedundantDependency, value, message);
        // Without another name the whole entry goes.
        return if others.is_empty() {
            finding
        } else {
            finding.with_safe_fix(
                format!("Write the list out without `{written}`"),
                value,
                format!("[{}]", others.join(", ")),
            )
        };
    }
    let (own, place) = (step.called(), step.key.range);
    let message =
        format!("{own} inherits `depends_on`, in which `{written}` {why}. Give it a `depends_on` of its own.");
    Diagnostic::new(Code::RedundantDependency, place, message).with_related(name.range, "It is listed here")
}

/// Depth first without recursion; a reference back into the current path closes a cycle. Each step is reported once.
fn cycles(pipeline: &Pipeline, graph: &[Vec<Reference>], findings: &mut Findings) {
    let mut done = HashSet::new();
    let mut reported = HashSet::new();
    for start in 0..graph.len() {
        // The path from `start`, with the next reference to follow of each of its steps.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        let mut depth_of: HashMap<usize, usize> = HashMap::from([(start, 0)]);
        while let Some((step, next)) = path.last_mut() {
            let step = *step;
            if done.contains(&step) {
                depth_of.remove(&step);
                path.pop();
                continue;
            }
            let Some(reference) = graph.get(step).and_then(|references| references.get(*next)).copied() else {
                done.insert(step);
                continue;
            };
            *next += 1;
            if done.contains(&reference.to) {
                continue;
            }
            match depth_of.get(&reference.to) {
                None => {
                    depth_of.insert(reference.to, path.len());
                    path.push((reference.to, 0));
                }
                Some(depth) if !(reported.contains(&step) && reported.contains(&reference.to)) => {
                    let members = path.get(*depth..).unwrap_or_default();
                    reported.extend(members.iter().map(|(step, _)| *step));
                    findings.push(cycle(pipeline, graph, members, reference));
                }
                Some(_) => {}
            }
        }
    }
}

fn cycle(pipeline: &Pipeline, graph: &[Vec<Reference>], members: &[(usize, usize)], closing: Reference) -> Diagnostic {
    let key = |step: usize| pipeline.steps.get(step).map(|step| step.key.value.as_str()).unwrap_or_default();
    let names: Vec<String> =
        members.iter().map(|(step, _)| *step).chain([closing.to]).map(|step| format!("`{}`", key(step))).collect();
    let message = format!(
        "These steps wait for each other in a cycle, so none of them can start: {}. Remove one of the references.",
        names.join(" → ")
    );
    let mut finding = Diagnostic::new(Code::Cycle, closing.range, message);
    for (step, next) in members {
        let followed = graph.get(*step).and_then(|references| references.get(next.saturating_sub(1)));
        if let Some(reference) = followed.filter(|reference| reference.range != closing.range) {
            finding =
                finding.with_related(reference.range, format!("`{}` waits for `{}`", key(*step), key(reference.to)));
        }
    }
    finding
}

//! The YAML people write. What all steps have in common is written once, at the top.

use std::collections::HashMap;

use super::plan::json_value;
use crate::model::{Cache, CacheMount, CachePolicy, EnvVar, Matrix, Pipeline, Sharing, Spelling, Step};
use crate::syntax::scalar::ScalarType;
use crate::syntax::tree::{NodeId, Tree};
use crate::syntax::written::{flow_scalar, is_block, scalar};
use crate::text::{Spanned, TextRange};

/// A list longer than this gets a line for each item.
const MAX_LINE: usize = 100;

/// Writes one pipeline as a document.
pub(super) fn document(envelopes: &Envelopes<'_>, pipeline: &Pipeline, losses: &mut Vec<String>) -> String {
    let shared = shared_env(pipeline);
    let mut text = String::new();
    envelopes.comment(pipeline, &mut text, losses);
    optional(&mut text, "name", &pipeline.name);
    optional(&mut text, "default_image", &pipeline.default_image);
    number(&mut text, 0, "timeout_seconds", &pipeline.timeout_seconds);
    if let Some(fail_fast) = &pipeline.fail_fast {
        line(&mut text, 0, &format!("fail_fast: {}", fail_fast.value));
    }
    environment(&mut text, 0, &pipeline.env.iter().chain(shared.iter().copied()).collect::<Vec<_>>());
    if !pipeline.triggers.is_empty() {
        line(&mut text, 0, "triggers:");
        for trigger in &pipeline.triggers {
            line(&mut text, 2, &format!("- {}", json_value(&trigger.details)));
        }
    }
    line(&mut text, 0, "steps:");
    let mut barriers = pipeline.barriers.iter().peekable();
    for (position, step) in pipeline.steps.iter().enumerate() {
        while let Some(barrier) = barriers.next_if(|barrier| barrier.after_steps <= position) {
            wait(&mut text, barrier.continue_on_failure);
        }
        if position > 0 {
            text.push('\n');
        }
        step_entry(&mut text, step, &shared);
    }
    barriers.for_each(|barrier| wait(&mut text, barrier.continue_on_failure));
    text
}

fn wait(text: &mut String, continue_on_failure: bool) {
    line(text, 2, if continue_on_failure { "- wait: {continue_on_failure: true}" } else { "- wait" });
}

/// The entries of the envelopes in the text, by where they are.
pub(super) struct Envelopes<'a> {
    tree: &'a Tree,
    entries: HashMap<TextRange, NodeId>,
}

impl<'a> Envelopes<'a> {
    pub(super) fn of(tree: &'a Tree) -> Self {
        let items = tree.documents.iter().filter_map(|root| tree.items(tree.get(*root, "pipelines")?.value)).flatten();
        Self { tree, entries: items.map(|item| (tree.node(*item).range, *item)).collect() }
    }

    /// An envelope says more about a pipeline than an authored one can express; a comment keeps it.
    fn comment(&self, pipeline: &Pipeline, text: &mut String, losses: &mut Vec<String>) {
        if pipeline.spelling != Spelling::Envelope {
            return;
        }
        let Some(entry) = self.entries.get(&pipeline.range).copied() else { return };
        let slug = pipeline.name.as_ref().map_or("", |name| name.value.as_str());
        for key in ["name", "allow_manual"] {
            let Some(value) = self.tree.get(entry, key).and_then(|found| self.tree.scalar(found.value)) else {
                continue;
            };
            let is_usual = value.text == slug || value.text == "true" || value.resolve() == ScalarType::Null;
            if is_usual {
                continue;
            }
            let shown = value.text.replace(['\n', '\r'], " ");
            line(text, 0, &format!("# {key}: {shown}"));
            losses.push(format!(
                "A standalone pipeline cannot express `{key}` (`{shown}`) of its envelope: it is kept in a comment"
            ));
        }
    }
}

/// Returns the variables every step has with the same value; a single step shares nothing.
fn shared_env(pipeline: &Pipeline) -> Vec<&EnvVar> {
    let Some((first, rest)) = pipeline.steps.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Vec::new();
    };
    let is_everywhere =
        |variable: &&EnvVar| rest.iter().all(|step| step.env.iter().any(|other| is_same(other, variable)));
    let is_new = |variable: &&EnvVar| pipeline.env.iter().all(|other| other.name.value != variable.name.value);
    first.env.iter().filter(is_everywhere).filter(is_new).collect()
}

fn is_same(one: &EnvVar, other: &EnvVar) -> bool {
    one.name.value == other.name.value && one.value.value == other.value.value
}

fn step_entry(text: &mut String, step: &Step, shared: &[&EnvVar]) {
    line(text, 2, &format!("- key: {}", scalar(&step.key.value)));
    let plain = |text: &mut String, key: &str, value: &Option<Spanned<String>>| {
        if let Some(value) = value {
            line(text, 4, &format!("{key}: {}", scalar(&value.value)));
        }
    };
    plain(text, "label", &step.label);
    if let Some(matrix) = &step.matrix {
        matrix_entry(text, matrix);
    }
    plain(text, "image", &step.image);
    plain(text, "builds_in", &step.builds_in);
    list(text, 4, "depends_on", &step.depends_on);
    let own = step.env.iter().filter(|variable| !shared.iter().any(|other| is_same(other, variable)));
    environment(text, 4, &own.collect::<Vec<_>>());
    plain(text, "workdir", &step.workdir);
    // The project's own is not in the file.
    if let Some(shell) = step.shell.as_ref().filter(|shell| !shell.range.is_empty()) {
        let words: Vec<String> = shell.value.iter().map(|word| flow_scalar(word)).collect();
        line(text, 4, &format!("shell: [{}]", words.join(", ")));
    }
    command(text, step.cmd.as_ref().map_or("", |cmd| cmd.value.as_str()));
    list(text, 4, "secrets", &step.secrets);
    match step.artifacts_when.as_ref().map(|when| when.value) {
        Some(when) if !step.artifacts.is_empty() => {
            line(text, 4, "artifacts:");
            list(text, 6, "paths", &step.artifacts);
            line(text, 6, &format!("when: {}", when.name()));
        }
        Some(_) | None => list(text, 4, "artifacts", &step.artifacts),
    }
    list(text, 4, "needs_artifacts", &step.needs_artifacts);
    number(text, 4, "timeout_seconds", &step.timeout_seconds);
    number(text, 4, "retry", &step.retry);
    if let Some(soft_fail) = &step.soft_fail {
        line(text, 4, &format!("soft_fail: {}", soft_fail.value));
    }
    plain(text, "runner", &step.runner);
    if let Some(args) = &step.runner_args {
        line(text, 4, &format!("runner_args: {}", json_value(&args.value.plain())));
    }
    if let Some(cache) = &step.cache {
        cache_entry(text, &cache.value);
    }
    cache_mounts(text, &step.cache_mounts);
    if let Some(reuse) = &step.reuse {
        line(text, 4, &format!("reuse: {}", reuse.value.name()));
    }
    if let Some(git) = &step.git {
        line(text, 4, &format!("git: {}", git.value));
    }
}

fn cache_mounts(text: &mut String, mounts: &[CacheMount]) {
    if mounts.is_empty() {
        return;
    }
    line(text, 4, "cache_mounts:");
    for mount in mounts {
        let path = flow_scalar(&mount.path.value);
        let name = mount.name.as_ref().map(|name| format!(", name: {}", flow_scalar(&name.value)));
        let sharing = (mount.sharing != Sharing::default()).then(|| format!(", sharing: {}", mount.sharing.name()));
        if name.is_none() && sharing.is_none() {
            line(text, 6, &format!("- {path}"));
        } else {
            let rest: String = name.into_iter().chain(sharing).collect();
            line(text, 6, &format!("- {{path: {path}{rest}}}"));
        }
    }
}

fn matrix_entry(text: &mut String, matrix: &Matrix) {
    line(text, 4, "matrix:");
    let values = |values: &[Spanned<String>]| {
        let written: Vec<String> = values.iter().map(|value| flow_scalar(&value.value)).collect();
        format!("[{}]", written.join(", "))
    };
    for axis in &matrix.axes {
        line(text, 6, &format!("{}: {}", scalar(&axis.name.value), values(&axis.values)));
    }
    for (key, entries) in [("include", &matrix.include), ("exclude", &matrix.exclude)] {
        if entries.is_empty() {
            continue;
        }
        line(text, 6, &format!("{key}:"));
        for entry in entries {
            let assignments = entry.values.iter();
            let assignments: Vec<String> = assignments
                .map(|(name, value)| format!("{}: {}", flow_scalar(&name.value), flow_scalar(&value.value)))
                .collect();
            line(text, 8, &format!("- {{{}}}", assignments.join(", ")));
        }
    }
}

fn cache_entry(text: &mut String, cache: &Cache) {
    line(text, 4, "cache:");
    policy(text, 6, "", &cache.policy);
    if let Some(key) = &cache.key {
        line(text, 6, &format!("key: {}", scalar(&key.value)));
    }
}

/// Writes a policy; `dash` starts its first line if it is a list entry.
fn policy(text: &mut String, indent: usize, dash: &str, policy: &CachePolicy) {
    let name = |text: &mut String, name: &str| {
        line(text, indent - dash.len(), &format!("{dash}policy: {name}"));
    };
    match policy {
        CachePolicy::None => name(text, "none"),
        CachePolicy::Forever { env_keys } => {
            name(text, "forever");
            list(text, indent, "env_keys", env_keys);
        }
        CachePolicy::Ttl { duration_seconds, env_keys } => {
            name(text, "ttl");
            line(text, indent, &format!("duration_seconds: {duration_seconds}"));
            list(text, indent, "env_keys", env_keys);
        }
        CachePolicy::OnChange { paths } => {
            name(text, "on_change");
            list(text, indent, "paths", paths);
        }
        CachePolicy::Compose { sub_policies } => {
            name(text, "compose");
            line(text, indent, "sub_policies:");
            sub_policies.iter().for_each(|sub| self::policy(text, indent + 4, "- ", sub));
        }
    }
}

fn line(text: &mut String, indent: usize, content: &str) {
    text.push_str(&format!("{:indent$}{content}\n", ""));
}

fn optional(text: &mut String, key: &str, value: &Option<Spanned<String>>) {
    if let Some(value) = value {
        line(text, 0, &format!("{key}: {}", scalar(&value.value)));
    }
}

fn number(text: &mut String, indent: usize, key: &str, value: &Option<Spanned<u64>>) {
    if let Some(value) = value {
        line(text, indent, &format!("{key}: {}", value.value));
    }
}

fn environment(text: &mut String, indent: usize, variables: &[&EnvVar]) {
    if variables.is_empty() {
        return;
    }
    line(text, indent, "env:");
    for variable in variables {
        line(text, indent + 2, &format!("{}: {}", scalar(&variable.name.value), scalar(&variable.value.value)));
    }
}

fn list(text: &mut String, indent: usize, key: &str, items: &[Spanned<String>]) {
    if items.is_empty() {
        return;
    }
    let on_a_line = items.iter().map(|item| flow_scalar(&item.value)).collect::<Vec<_>>().join(", ");
    if on_a_line.len() <= MAX_LINE {
        line(text, indent, &format!("{key}: [{on_a_line}]"));
        return;
    }
    line(text, indent, &format!("{key}:"));
    items.iter().for_each(|item| line(text, indent + 2, &format!("- {}", scalar(&item.value))));
}

/// Writes a command: several lines as they are, after a `|`.
fn command(text: &mut String, cmd: &str) {
    if !is_block(cmd) {
        line(text, 4, &format!("cmd: {}", scalar(cmd)));
        return;
    }
    let content = cmd.trim_end_matches('\n');
    let chomping = match cmd.len() - content.len() {
        0 => "-",
        1 => "",
        _ => "+",
    };
    line(text, 4, &format!("cmd: |{chomping}"));
    // Trailing line breaks are all kept.
    let lines = cmd.strip_suffix('\n').unwrap_or(cmd).split('\n');
    for content in lines {
        line(text, if content.is_empty() { 0 } else { 6 }, content);
    }
}

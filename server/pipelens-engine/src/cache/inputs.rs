//! What a step's result depends on: the key it is kept under, and which part of it changed. Pure.

use std::collections::{BTreeMap, BTreeSet};

use pipelens_core::plan::DEFAULT_SHELL;
use pipelens_core::plan::{PlanStep, Value};
use serde::{Deserialize, Serialize};

use crate::fingerprint::digest;

/// Incremented whenever the meaning of keys changes.
const FORMAT_VERSION: &str = "2";

/// Each input, under a name the user knows, with a digest of its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs(BTreeMap<String, String>);

/// What a step starts from, as far as its key is concerned.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ground<'a> {
    ImageDigest(&'a str),
    Parent { step: &'a str, key: &'a str },
}

impl Inputs {
    pub(super) fn of(step: &PlanStep, workspace: &str, runner: &str, ground: Ground<'_>) -> Self {
        let mut inputs = Self::of_place(step, workspace, runner, ground);
        inputs.add("the working folder", &step.workdir);
        inputs.add("the command", &step.cmd);
        // `sh` adds nothing, so that results that were kept before still fit.
        if step.shell != [DEFAULT_SHELL] {
            inputs.add("the shell", &step.shell.join("\0"));
        }
        inputs.add(
            "the list of secrets",
            &step.secrets.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(","),
        );
        for (name, value) in step.env.iter() {
            inputs.add(&format!("variable `{name}`"), value);
        }
        inputs
    }

    /// Returns what has to be the same for a step to start from its last result. Its command and its variables may be others.
    pub(super) fn of_last(step: &PlanStep, workspace: &str, pipeline: &str, runner: &str, ground: Ground<'_>) -> Self {
        let mut inputs = Self::of_place(step, workspace, runner, ground);
        inputs.add("the pipeline", pipeline);
        inputs
    }

    fn of_place(step: &PlanStep, workspace: &str, runner: &str, ground: Ground<'_>) -> Self {
        let mut inputs = Self::default();
        inputs.add("the format of the cache", FORMAT_VERSION);
        inputs.add("the workspace", workspace);
        inputs.add("the key", &step.key);
        match ground {
            Ground::ImageDigest(digest) => inputs.add("the image", digest),
            Ground::Parent { step, key } => inputs.add(&format!("its parent `{step}`"), key),
        }
        if !step.cache_mounts.is_empty() {
            // Their content is no input: tools only work faster with it.
            let mounts = step.cache_mounts.iter().map(|mount| format!("{}\0{}\0", mount.path, mount.name));
            inputs.add("the cache mounts", &mounts.collect::<String>());
        }
        inputs.add("the runner", runner);
        // This includes the platform, and services by the names of their images: if a tag moves, the step is tested
        // against something else, but what it leaves is the same.
        inputs.add("the runner's arguments", &step.runner_args.as_ref().map(canonical).unwrap_or_default());
        inputs
    }

    /// Adds the artifacts of another step, whose result has this key.
    pub(super) fn add_artifacts(&mut self, provider: &PlanStep, key: &str) {
        let patterns = provider.artifacts.join("\0");
        self.add(&format!("the artifacts of `{}`", provider.key), &format!("{key}\0{patterns}"));
    }

    /// Every part of a key is hashed separately, so that one value cannot look like two.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), digest(value));
    }

    pub(super) fn extend(&mut self, parts: &BTreeMap<String, String>) {
        for (name, value) in parts {
            self.add(name, value);
        }
    }

    pub(super) fn key(&self) -> String {
        digest(self.0.iter().map(|(name, value)| format!("{name}\0{value}\0")).collect::<String>())
    }

    /// Returns what has changed; `None` if nothing has.
    pub(super) fn change_since(&self, before: &Self) -> Option<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(before.0.keys()).collect();
        let mut changes = names.into_iter().filter_map(|name| match (before.0.get(name), self.0.get(name)) {
            (Some(old), Some(new)) => (old != new).then(|| format!("{name} changed")),
            (None, Some(_)) => Some(format!("{name} is new")),
            (Some(_), None) => Some(format!("{name} was removed")),
            (None, None) => None,
        });
        let first = changes.next()?;
        let more = changes.count();
        Some(if more == 0 { first } else { format!("{first}, and {more} more") })
    }
}

/// Writes a value so that equal values become equal strings, however they were written in the file.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(value) => format!("{value:?}"),
        Value::List(values) => {
            let values: Vec<String> = values.iter().map(canonical).collect();
            format!("[{}]", values.join(","))
        }
        Value::Map(entries) => {
            let mut entries: Vec<String> =
                entries.iter().map(|(name, value)| format!("{name:?}:{}", canonical(value))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(parts: &[(&str, &str)]) -> Inputs {
        let mut inputs = Inputs::default();
        for (name, value) in parts {
            inputs.add(name, value);
        }
        inputs
    }

    #[test]
    fn a_change_is_reported_by_a_name_the_user_knows() {
        let before = inputs(&[("`Cargo.lock`", "1"), ("the command", "make")]);
        let changed = inputs(&[("`Cargo.lock`", "2"), ("the command", "make")]);
        assert_eq!(changed.change_since(&before).as_deref(), Some("`Cargo.lock` changed"));
        let more = inputs(&[("`Cargo.lock`", "2"), ("variable `A`", "")]);
        assert_eq!(more.change_since(&before).as_deref(), Some("`Cargo.lock` changed, and 2 more"));
        assert_eq!(before.change_since(&before), None);
        assert_ne!(before.key(), changed.key());
    }

    #[test]
    fn one_value_cannot_look_like_two() {
        assert_ne!(inputs(&[("a", "1\u{0}b\u{0}2")]).key(), inputs(&[("a", "1"), ("b", "2")]).key());
    }
}

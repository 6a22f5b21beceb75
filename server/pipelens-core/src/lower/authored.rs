//! The spelling people write: a mapping with `steps`, in YAML or JSON.

use super::fields::{Fields, text};
use crate::keys::MAX_NAME_BYTES;
use crate::model::{Barrier, Pipeline, Spelling, Step};
use crate::syntax::tree::{NodeId, Tree};
use crate::text::{Spanned, TextRange};

pub(super) fn pipeline(tree: &Tree, root: NodeId, spelling: Spelling) -> Pipeline {
    let fields = Fields::new(tree, root);
    let range = tree.node(root).range;
    let first_key = tree.own_entries(root).and_then(<[_]>::first).map(|entry| tree.node(entry.key).range);
    let mut pipeline = Pipeline {
        spelling,
        range,
        heading: fields.key_range("name").or(first_key).unwrap_or(TextRange::at(range.start)),
        name: fields.name("name"),
        default_image: fields.name("default_image"),
        timeout_seconds: fields.integer("timeout_seconds").filter(|seconds| seconds.value > 0),
        env: fields.env("env"),
        fail_fast: fields.bool("fail_fast"),
        triggers: fields.triggers("triggers"),
        steps: Vec::new(),
        unnamed_steps: Vec::new(),
        barriers: Vec::new(),
    };
    let (shell, git) = (fields.words("shell"), fields.bool("git"));
    let items = fields.node("steps").and_then(|node| tree.items(node)).unwrap_or_default();
    // Most items are steps, and a step is large.
    pipeline.steps.reserve_exact(items.len());
    for item in items {
        match barrier(tree, *item, pipeline.steps.len()) {
            Some(barrier) => pipeline.barriers.push(barrier),
            None => {
                let step = step(tree, *item, shell.as_ref(), git.as_ref());
                if step.key.value.is_empty() { pipeline.unnamed_steps.push(step) } else { pipeline.steps.push(step) }
            }
        }
    }
    pipeline
}

/// Tells whether an item of `steps` is a `wait`, in either of its forms.
pub(crate) fn is_barrier(tree: &Tree, item: NodeId) -> bool {
    if tree.scalar(item).is_some_and(|scalar| scalar.text == "wait") {
        return true;
    }
    // A step with a stray `wait` key is still a step.
    tree.get(item, "key").is_none() && tree.get(item, "cmd").is_none() && tree.get(item, "wait").is_some()
}

fn barrier(tree: &Tree, item: NodeId, after_steps: usize) -> Option<Barrier> {
    if !is_barrier(tree, item) {
        return None;
    }
    let options = tree.get(item, "wait").map(|entry| Fields::new(tree, entry.value));
    let continues = options.and_then(|options| options.bool("continue_on_failure"));
    Some(Barrier {
        range: tree.node(item).range,
        after_steps,
        continue_on_failure: continues.is_some_and(|value| value.value),
    })
}

fn step(tree: &Tree, item: NodeId, shell: Option<&Spanned<Vec<String>>>, git: Option<&Spanned<bool>>) -> Step {
    let fields = Fields::new(tree, item);
    let mut step = common_step(tree, item, &fields);
    step.builds_in = fields.node("builds_in").and_then(|node| text(tree, node));
    step.depends_on = fields.texts("depends_on");
    step.depends_on_value = fields.node("depends_on").map(|node| tree.node(node).range);
    step.needs_artifacts = fields.texts("needs_artifacts");
    step.cache_mounts = fields.cache_mounts("cache_mounts");
    step.reuse = fields.reuse("reuse");
    step.git = fields.bool("git").or_else(|| git.cloned());
    step.env = fields.env("env");
    step.shell = fields.words("shell").or_else(|| shell.cloned());
    step.matrix = fields.matrix("matrix");
    step
}

/// Reads what a step has in every spelling; lineage, order and environment differ. A step without a usable key gets an empty one.
pub(super) fn common_step(tree: &Tree, item: NodeId, fields: &Fields<'_>) -> Step {
    let range = tree.node(item).range;
    let (artifacts, artifacts_when) = fields.artifacts("artifacts");
    Step {
        range,
        key: fields
            .name("key")
            .filter(|key| key.value.len() <= MAX_NAME_BYTES)
            .unwrap_or_else(|| Spanned::new(String::new(), TextRange::at(range.start))),
        label: fields.text("label"),
        cmd: fields.text("cmd"),
        shell: None,
        image: fields.name("image"),
        builds_in: None,
        depends_on: Vec::new(),
        depends_on_value: None,
        env: Vec::new(),
        timeout_seconds: fields.integer("timeout_seconds").filter(|seconds| seconds.value > 0),
        workdir: fields.name("workdir"),
        cache: fields.cache("cache"),
        cache_mounts: Vec::new(),
        reuse: None,
        git: None,
        runner: fields.name("runner"),
        runner_args: fields.arguments("runner_args"),
        artifacts,
        artifacts_when,
        needs_artifacts: Vec::new(),
        secrets: fields.texts("secrets"),
        soft_fail: fields.bool("soft_fail"),
        retry: fields.integer("retry"),
        matrix: None,
        template: None,
    }
}

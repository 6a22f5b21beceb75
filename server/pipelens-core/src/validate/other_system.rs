//! Files of other tools, recognised by their top-level keys.

use crate::syntax::tree::{NodeId, Tree};

/// Returns what a document is that is no pipeline, with its article.
pub(super) fn recognised(tree: &Tree, root: NodeId) -> Option<&'static str> {
    let has = |key: &str| tree.get(root, key).is_some();
    let is_map = |key: &str| tree.get(root, key).is_some_and(|entry| tree.own_entries(entry.value).is_some());
    if is_map("pipelines") && !has("schema_version") {
        return Some("a Bitbucket pipeline");
    }
    if has("apiVersion") && has("kind") {
        return Some("a Kubernetes object");
    }
    if is_map("jobs") {
        let is_github = has("on") || has("runs-on") || jobs_have(tree, root, "runs-on");
        let is_circle = has("orbs") || has("workflows") || has("version") || jobs_have(tree, root, "docker");
        return match (is_github, is_circle) {
            (true, _) => Some("a GitHub Actions workflow"),
            (false, true) => Some("a CircleCI configuration"),
            (false, false) => Some("a workflow of another CI system"),
        };
    }
    if has("jobs") && (has("pool") || has("trigger") || has("pr")) || has("stages") && (has("pool") || has("trigger")) {
        return Some("an Azure pipeline");
    }
    if is_map("services") || (has("volumes") && has("networks")) {
        return Some("a Compose file");
    }
    if has("stages") || has("include") || any_entry_has(tree, root, "script") {
        return Some("a GitLab CI configuration");
    }
    if has("language") && (has("script") || has("install") || has("dist")) {
        return Some("a Travis CI configuration");
    }
    if is_map("tasks") {
        return Some("a Taskfile");
    }
    (has("runs") && has("inputs")).then_some("a GitHub action")
}

fn jobs_have(tree: &Tree, root: NodeId, key: &str) -> bool {
    tree.get(root, "jobs").is_some_and(|jobs| any_entry_has(tree, jobs.value, key))
}

fn any_entry_has(tree: &Tree, map: NodeId, key: &str) -> bool {
    let mut entries = tree.own_entries(map).unwrap_or_default().iter();
    entries.any(|entry| tree.own_entries(entry.value).is_some() && tree.get(entry.value, key).is_some())
}

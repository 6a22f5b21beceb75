//! Plan JSON: each node carries its merged environment, and each barrier becomes the edges it stands for.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json, json};

use super::converted::Converted;
use crate::arguments::Value;
use crate::model::{Cache, CachePolicy, Pipeline, Reuse, Spelling, Step};
use crate::plan::DEFAULT_SHELL;
use crate::plan::links::{Links, MAX_CONNECTIONS};
use crate::text::Spanned;

#[derive(Serialize)]
struct Plan<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    default_image: Option<&'a str>,
    graph: Graph<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u64>,
    version: &'static str,
}

#[derive(Serialize)]
struct Graph<'a> {
    edge_property: &'static str,
    edges: Vec<(usize, usize, &'static str)>,
    node_holes: [u8; 0],
    nodes: Nodes<'a>,
}

/// Written one after the other: all of them as JSON at once would be many times the text.
struct Nodes<'a>(&'a Pipeline);

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.steps.iter().map(|step| node(self.0, step)))
    }
}

pub(super) fn write(pipeline: &Pipeline) -> Converted {
    let links = Links::new(pipeline);
    let plan = Plan {
        default_image: pipeline.default_image.as_ref().map(|image| image.value.as_str()),
        graph: Graph {
            edge_property: "directed",
            edges: if links.count() > MAX_CONNECTIONS { Vec::new() } else { edges(pipeline, &links) },
            node_holes: [],
            nodes: Nodes(pipeline),
        },
        name: pipeline.name.as_ref().map(|name| name.value.as_str()),
        timeout_seconds: pipeline.timeout_seconds.as_ref().map(|seconds| seconds.value),
        version: "0",
    };
    let mut text = serde_json::to_string_pretty(&plan).unwrap_or_default();
    text.push('\n');
    Converted { text, losses: losses(pipeline, &links) }
}

fn put(map: &mut Map<String, Json>, key: &str, value: Option<Json>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value);
    }
}

fn losses(pipeline: &Pipeline, links: &Links) -> Vec<String> {
    let mut losses = Vec::new();
    if links.count() > MAX_CONNECTIONS {
        losses.push(format!(
            "The steps have more than {MAX_CONNECTIONS} dependencies, so the plan was written without edges"
        ));
    }
    if pipeline.fail_fast.as_ref().is_some_and(|value| value.value) {
        losses.push(
            "Plans cannot express `fail_fast`: steps that do not depend on a failed step will keep running".to_owned(),
        );
    }
    if pipeline.barriers.iter().any(|barrier| barrier.continue_on_failure) {
        losses.push(
            "Plans cannot express `continue_on_failure`: the steps after that `wait` will run only after success"
                .to_owned(),
        );
    }
    let is_after_failure = |step: &Step| step.artifacts_when.as_ref().is_some_and(|when| when.value.applies(false));
    if pipeline.steps.iter().any(is_after_failure) {
        losses.push("Plans cannot express `when` of `artifacts`: files will be copied only after success".to_owned());
    }
    if pipeline.steps.iter().any(|step| !step.needs_artifacts.is_empty()) {
        losses.push("Plans cannot express `needs_artifacts`: these steps will run without the files".to_owned());
    }
    if pipeline.steps.iter().any(|step| !step.cache_mounts.is_empty()) {
        losses.push("Plans cannot express `cache_mounts`: these steps will run without the folders".to_owned());
    }
    if pipeline.steps.iter().any(|step| step.reuse.as_ref().is_some_and(|reuse| reuse.value == Reuse::Last)) {
        losses.push("Plans cannot express `reuse`: these steps will start from their parents".to_owned());
    }
    if pipeline.steps.iter().any(|step| step.git.as_ref().is_some_and(|git| git.value)) {
        losses.push("Plans cannot express `git`: these steps will run without the project's history".to_owned());
    }
    if !pipeline.triggers.is_empty() && pipeline.spelling != Spelling::Envelope {
        losses.push("Plans cannot express `triggers`: they belong in an envelope".to_owned());
    }
    losses
}

/// Every edge a plan needs: a step that starts from another step's filesystem also waits for it.
fn edges(pipeline: &Pipeline, links: &Links) -> Vec<(usize, usize, &'static str)> {
    let mut edges = Vec::new();
    for step in 0..pipeline.steps.len() {
        let parent = links.parents.get(step).copied().flatten();
        edges.extend(parent.map(|parent| (parent, step, "builds_in")));
        let others = links.dependencies(step).into_iter().filter(|needed| Some(needed.step) != parent);
        edges.extend(others.map(|needed| (needed.step, step, "depends_on")));
    }
    edges
}

fn node(pipeline: &Pipeline, step: &Step) -> Json {
    let env: BTreeMap<&str, &str> = pipeline
        .env
        .iter()
        .chain(&step.env)
        .map(|variable| (variable.name.value.as_str(), variable.value.value.as_str()))
        .collect();
    json!({"env": env, "step": plan_step(step)})
}

fn plan_step(step: &Step) -> Json {
    let mut map = Map::new();
    let text = |text: &Option<Spanned<String>>| text.as_ref().map(|text| json!(text.value));
    let texts = |texts: &[Spanned<String>]| {
        let values: Vec<&str> = texts.iter().map(|text| text.value.as_str()).collect();
        (!values.is_empty()).then(|| json!(values))
    };
    put(&mut map, "key", Some(json!(step.key.value)));
    put(&mut map, "label", text(&step.label));
    put(&mut map, "cmd", Some(json!(command(step))));
    put(&mut map, "image", text(&step.image));
    put(&mut map, "timeout_seconds", step.timeout_seconds.as_ref().map(|seconds| json!(seconds.value)));
    put(&mut map, "workdir", text(&step.workdir));
    put(&mut map, "cache", step.cache.as_ref().map(|cache| cache_policy(&cache.value)));
    put(&mut map, "runner", text(&step.runner));
    put(&mut map, "runner_args", step.runner_args.as_ref().map(|args| json_value(&args.value.plain())));
    put(&mut map, "artifacts", texts(&step.artifacts));
    put(&mut map, "secrets", texts(&step.secrets));
    put(&mut map, "soft_fail", step.soft_fail.as_ref().map(|value| json!(value.value)));
    put(&mut map, "retry", step.retry.as_ref().map(|retry| json!(retry.value)));
    Json::Object(map)
}

/// The wire format has no `shell`: another one than `sh` is started by the command.
fn command(step: &Step) -> String {
    let cmd = step.cmd.as_ref().map_or("", |cmd| cmd.value.as_str());
    let quoted = |word: &str| format!("'{}'", word.replace('\'', r"'\''"));
    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    match &step.shell {
        Some(shell) if shell.value != [DEFAULT_SHELL] => {
            let words = shell.value.iter().map(|word| if is_word(word) { word.clone() } else { quoted(word) });
            format!("exec {} -c {}", words.collect::<Vec<_>>().join(" "), quoted(cmd))
        }
        _ => cmd.to_owned(),
    }
}

fn cache_policy(cache: &Cache) -> Json {
    let mut policy = policy(&cache.policy);
    if let (Some(map), Some(key)) = (policy.as_object_mut(), &cache.key) {
        map.insert("key".to_owned(), json!(key.value));
    }
    policy
}

fn policy(policy: &CachePolicy) -> Json {
    let texts = |texts: &[Spanned<String>]| texts.iter().map(|text| text.value.clone()).collect::<Vec<_>>();
    match policy {
        CachePolicy::None => json!({"policy": "none"}),
        CachePolicy::Forever { env_keys } => json!({"policy": "forever", "env_keys": texts(env_keys)}),
        CachePolicy::Ttl { duration_seconds, env_keys } => {
            json!({"policy": "ttl", "duration_seconds": duration_seconds, "env_keys": texts(env_keys)})
        }
        CachePolicy::OnChange { paths } => json!({"policy": "on_change", "paths": texts(paths)}),
        CachePolicy::Compose { sub_policies } => {
            json!({"policy": "compose", "sub_policies": sub_policies.iter().map(self::policy).collect::<Vec<_>>()})
        }
    }
}

/// Returns a value of unknown shape as JSON. What JSON cannot represent (`.inf`) becomes a string.
pub(super) fn json_value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Integer(value) => json!(value),
        Value::Float(value) if value.is_finite() => json!(value),
        Value::Float(value) => json!(value.to_string()),
        Value::Text(text) => json!(text),
        Value::List(items) => items.iter().map(json_value).collect(),
        Value::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), json_value(value))).collect(),
    }
}

//! Plans and envelopes become what people write, and that becomes a plan again.
#![expect(clippy::disallowed_methods, reason = "tests read their data from files")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and says what it left out"
)]

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect;
use pipelens_core::convert::{to_plan, to_yaml};
use pipelens_core::diagnostic::Severity;
use pipelens_core::{Format, analyze};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Takes out what says nothing: nulls, and the order of edges.
fn normal(plan: &Value) -> Value {
    let mut plan = plan.clone();
    let edges = plan["graph"]["edges"].as_array_mut().unwrap();
    edges.sort_by_key(Value::to_string);
    edges.dedup();
    plan["graph"]["node_holes"] = json!([]);
    for node in plan["graph"]["nodes"].as_array_mut().unwrap() {
        node["step"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
    }
    plan
}

fn round_trip(text: &str) -> Vec<Value> {
    let there = to_yaml(&analyze(text, Format::Json));
    let analysis = analyze(&there.text, Format::Yaml);
    let errors: Vec<_> = analysis.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}\n{}", there.text);
    analysis.pipelines.iter().map(|pipeline| normal(&serde_json::from_str(&to_plan(pipeline).text).unwrap())).collect()
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.chain(folders.iter().flat_map(|folder| json_files(folder))).collect()
}

#[test]
fn every_real_plan_survives_conversion_to_yaml_and_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/plans");
    if !folder.exists() {
        println!("skipped: the real plans, which are not here");
        return;
    }
    let files = json_files(&folder);
    assert!(files.len() > 100);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let plans: Vec<Value> = match document["pipelines"].as_array() {
            None => vec![normal(&document)],
            Some(entries) => entries
                .iter()
                .map(|entry| {
                    let mut plan = normal(&entry["definition"]);
                    // In YAML the slug is the pipeline's own name.
                    plan["name"] = entry["slug"].clone();
                    plan
                })
                .collect(),
        };
        assert_eq!(round_trip(&text), plans, "{}", file.display());
    }
}

#[test]
fn a_plan_becomes_yaml_as_a_person_would_write_it() {
    let plan = json!({"version": "0", "graph": {"edge_property": "directed", "node_holes": [], "edges": [[0, 1, "builds_in"], [0, 2, "depends_on"]], "nodes": [
        {"env": {"CI": "true", "A": "b"}, "step": {"key": "build", "label": ":rust: build", "cmd": "cargo build", "image": "rust:1.95",
            "cache": {"policy": "compose", "key": "k", "sub_policies": [{"policy": "on_change", "paths": ["Cargo.lock", "src/**"]}, {"policy": "ttl", "duration_seconds": 60, "env_keys": ["A"]}]}}},
        {"env": {"CI": "true"}, "step": {"key": "test", "cmd": "set -e\n\ncargo test\n  # done\n", "timeout_seconds": 5}},
        {"env": {"CI": "true", "N": "0777"}, "step": {"key": "x: y", "cmd": "echo: #1", "runner": "docker", "runner_args": {"cpus": 2}, "soft_fail": true}},
    ]}});
    let converted = to_yaml(&analyze(&plan.to_string(), Format::Json));
    expect![[r#"
        env:
          CI: "true"
        steps:
          - key: build
            label: ":rust: build"
            image: rust:1.95
            env:
              A: b
            cmd: cargo build
            cache:
              policy: compose
              sub_policies:
                - policy: on_change
                  paths: [Cargo.lock, src/**]
                - policy: ttl
                  duration_seconds: 60
                  env_keys: [A]
              key: k

          - key: test
            builds_in: build
            cmd: |
              set -e

              cargo test
                # done
            timeout_seconds: 5

          - key: "x: y"
            depends_on: [build]
            env:
              N: "0777"
            cmd: "echo: #1"
            soft_fail: true
            runner: docker
            runner_args: {"cpus":2}
    "#]]
    .assert_eq(&converted.text);
    assert_eq!(converted.losses, Vec::<String>::new());
    assert_eq!(round_trip(&plan.to_string()), [normal(&plan)]);
}

#[test]
fn what_a_conversion_loses_is_reported() {
    let text = r"fail_fast: true
triggers: [{event: push}]
steps:
- {key: a, cmd: x}
- wait: {continue_on_failure: true}
- {key: b, cmd: x}
";
    let converted = to_plan(&analyze(text, Format::Yaml).pipelines[0]);
    assert_eq!(converted.losses.len(), 3, "{:?}", converted.losses);
    let plan: Value = serde_json::from_str(&converted.text).unwrap();
    assert_eq!(plan["graph"]["edges"], json!([[0, 1, "depends_on"]]));
    let envelope = json!({"schema_version": "1", "pipelines": [{"slug": "ci", "name": "The CI", "allow_manual": false, "triggers": [{"event": "push", "branches": ["main"]}],
        "definition": {"version": "0", "graph": {"nodes": [{"env": {}, "step": {"key": "a", "cmd": "x"}}], "edges": []}}}]});
    let converted = to_yaml(&analyze(&envelope.to_string(), Format::Json));
    expect![[r#"
        # name: The CI
        # allow_manual: false
        name: ci
        triggers:
          - {"branches":["main"],"event":"push"}
        steps:
          - key: a
            cmd: x
    "#]]
    .assert_eq(&converted.text);
    assert_eq!(converted.losses.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn any_string_in_a_plan_survives(
        key in "[ -~\\n\\t]{1,12}",
        cmd in "([ -~]|\n|\t|é|𝄞|\u{85}|\u{2028}|\u{feff}|\r|\u{0}){0,24}",
        value in "([ -~]|\n|é|\u{1}){0,12}",
        image in "[a-z]{1,5}",
    ) {
        let plan = json!({"version": "0", "graph": {"edge_property": "directed", "node_holes": [], "edges": [], "nodes": [
            {"env": {"A": value}, "step": {"key": key, "cmd": cmd, "image": image}},
        ]}});
        let there = to_yaml(&analyze(&plan.to_string(), Format::Json));
        let analysis = analyze(&there.text, Format::Yaml);
        prop_assert!(!analysis.is_repaired, "{}", there.text);
        let back: Value = serde_json::from_str(&to_plan(&analysis.pipelines[0]).text).unwrap();
        prop_assert_eq!(normal(&back), normal(&plan), "{}", there.text);
    }
}

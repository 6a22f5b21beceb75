//! The JSON schema against the checks: both are made from one table, so both have to say the same of every shape.
#![expect(clippy::disallowed_methods, reason = "tests read their data from files")]
#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on, and says what it left out")]

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use pipelens_core::diagnostic::{Code, Diagnostic, Severity};
use pipelens_core::{Format, analyze, schema};
use serde_json::{Value, json};

fn validator() -> Validator {
    jsonschema::draft202012::new(&serde_json::from_str(&schema()).unwrap()).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut result = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { result.extend(files(&path)) } else { result.push(path) }
    }
    result.sort();
    result.retain(|path| path.extension().is_some_and(|own| own == "json" || own == "yml"));
    result
}

/// The documents of a file as JSON values, merge keys applied.
fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    if path.extension().is_some_and(|own| own == "json") {
        return vec![serde_json::from_str(&text).unwrap()];
    }
    let document = |document: serde_yaml::Deserializer<'_>| {
        let mut value: serde_yaml::Value = serde::Deserialize::deserialize(document).unwrap();
        value.apply_merge().unwrap();
        serde_json::to_value(value).unwrap()
    };
    serde_yaml::Deserializer::from_str(&text).map(document).collect()
}

fn fixtures() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/good");
    files(&folder).iter().flat_map(|path| documents(path)).collect()
}

#[test]
fn every_good_fixture_and_every_real_plan_validates() {
    let validator = validator();
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/plans");
    let plans = if shared.exists() { files(&shared) } else { Vec::new() };
    if plans.is_empty() {
        println!("skipped: every real plan, which are not here");
    }
    let plans: Vec<Value> = plans.iter().flat_map(|path| documents(path)).collect();
    for document in fixtures().iter().chain(&plans) {
        let errors: Vec<String> = validator.iter_errors(document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    }
}

/// The codes that say something of a shape, which a schema can say too.
const SHAPES: &[Code] = &[
    Code::NotAPipeline,
    Code::StepsAndGraph,
    Code::UnsupportedVersion,
    Code::UnknownKey,
    Code::MisplacedKey,
    Code::MissingKey,
    Code::WrongType,
    Code::BadValue,
    Code::EmptyList,
    Code::BadEnvName,
    Code::UnknownPolicy,
    Code::MissingPolicyKey,
    Code::UnknownRunner,
    Code::RelativeWorkdir,
    Code::BadEdge,
    Code::EmptyFile,
];

/// Every document that differs from this one in one value, one key left out, or one key too many.
fn changed(document: &Value) -> Vec<Value> {
    let mut places = Vec::new();
    pointers(document, String::new(), &mut places);
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("x"),
        json!("wait"),
        json!([]),
        json!({}),
        json!(["x"]),
        json!([1]),
        json!({"x": 1}),
        json!({"x": "y"}),
        json!({"1": "y"}),
    ];
    let mut result = Vec::new();
    for place in places {
        for value in &values {
            let mut other = document.clone();
            *other.pointer_mut(&place).unwrap() = value.clone();
            result.push(other);
        }
        let Some(keys) = document.pointer(&place).and_then(Value::as_object) else { continue };
        for key in keys.keys() {
            let mut other = document.clone();
            other.pointer_mut(&place).unwrap().as_object_mut().unwrap().remove(key);
            result.push(other);
        }
        for (key, value) in
            [("cmd", json!("x")), ("steps", json!([])), ("graph", json!({})), ("zzz", json!(1)), ("x-y", json!(1))]
        {
            let mut other = document.clone();
            other.pointer_mut(&place).unwrap().as_object_mut().unwrap().entry(key).or_insert(value);
            result.push(other);
        }
    }
    result.retain(|other| other != document);
    result
}

fn pointers(value: &Value, own: String, result: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                pointers(value, format!("{own}/{}", key.replace('~', "~0").replace('/', "~1")), result);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, format!("{own}/{index}"), result));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    result.push(own);
}

#[test]
fn the_schema_rejects_exactly_what_the_checks_reject() {
    let validator = validator();
    let mut different = Vec::new();
    let (mut refused, mut accepted) = (0, 0);
    for document in fixtures() {
        for other in changed(&document) {
            let text = serde_json::to_string_pretty(&other).unwrap();
            let found = analyze(&text, Format::Json).diagnostics;
            // Whether a position exists is no question of shape.
            let is_shape = |found: &&Diagnostic| !found.message.contains("a node that does not exist");
            let is_refusal = |found: &&Diagnostic| found.severity == Severity::Error || found.code == Code::EmptyFile;
            let shape: Vec<_> =
                found.iter().filter(is_refusal).filter(|found| SHAPES.contains(&found.code)).filter(is_shape).collect();
            let is_valid = validator.is_valid(&other);
            *(if is_valid { &mut accepted } else { &mut refused }) += 1;
            if is_valid != shape.is_empty() {
                let messages: Vec<_> = shape.iter().map(|found| &found.message).collect();
                let errors: Vec<_> =
                    validator.iter_errors(&other).map(|error| error.instance_path().to_string()).collect();
                different.push(format!(
                    "schema: {is_valid} {errors:?}, checks: {messages:?}\n{}",
                    difference(&document, &other)
                ));
            }
        }
    }
    println!("{accepted} accepted and {refused} refused by both");
    different.sort();
    different.dedup();
    assert!(different.is_empty(), "{}:\n{}", different.len(), different.join("\n"));
}

/// The first place where two documents differ.
fn difference(before: &Value, after: &Value) -> String {
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            let mut differing = keys.filter(|key| a.get(*key) != b.get(*key));
            differing.next().map_or_else(String::new, |key| match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => format!("{key}.{}", difference(a, b)),
                (None, Some(b)) => format!("added {key}: {b}"),
                _ => format!("removed {key}"),
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let differing = a.iter().zip(b).enumerate().find(|(_, (a, b))| a != b);
            differing.map_or_else(String::new, |(index, (a, b))| format!("{index}.{}", difference(a, b)))
        }
        _ => format!("{before} became {after}"),
    }
}

use pipelens_core::ide::{Completion, CompletionKind, Known, completion};
use pipelens_core::text::apply_edits;
use pipelens_core::{Format, analyze};

/// Returns what is offered at `¦`, and the text without it.
fn offered(text: &str) -> (Vec<Completion>, String) {
    let offset = text.find('¦').unwrap();
    let text = text.replacen('¦', "", 1);
    let format = if text.trim_start().starts_with('{') { Format::Json } else { Format::Yaml };
    let images = ["busybox:1.37".to_owned(), "rust:1.95".to_owned()];
    (completion(&analyze(&text, format), offset, Known { images: &images }), text)
}

fn check(text: &str, expected: &[&str]) {
    let (entries, _) = offered(text);
    let words = entries.iter().filter(|entry| entry.kind != CompletionKind::Snippet);
    assert_eq!(words.map(|entry| entry.label.as_str()).collect::<Vec<_>>(), expected, "{text}");
}

/// Checks the text after an entry was taken: the plain one, then the snippet.
fn check_taken(text: &str, label: &str, plain: &str, snippet: &str) {
    let (entries, text) = offered(text);
    let entry = entries.iter().find(|entry| entry.label == label).unwrap();
    assert_eq!(apply_edits(&text, std::slice::from_ref(&entry.edit)), plain);
    assert_eq!(entry.snippet.as_deref(), Some(snippet));
}

#[test]
fn only_what_may_stand_at_the_cursor_is_offered() {
    check("steps:\n- {key: a, cmd: x}\n- key: b\n  cmd: x\n  builds_in: ¦\n", &["a"]);
    check("steps:\n- key: b\n  cmd: x\n  runner: ¦\n", &["docker", "host"]);
    check("steps:\n- key: b\n  cmd: x\n  soft_fail: ¦\n", &["true", "false"]);
    check("steps:\n- key: a\n  cmd: x\n  wait:\n- wait:\n    ¦\n", &["continue_on_failure"]);
    check("steps:\n- key: a\n  cmd: x # ¦\n- wait\n", &[]);
    check("steps:\n- {key: a, cmd: x}\n- {key: b, cmd: x, builds_in: ¦}\n", &["a"]);
    check("steps:\n- {key: a, cmd: x}\n- {key: b, cmd: x, depends_on: [¦]}\n", &["a"]);
    check("steps:\n- {key: a, cmd: x}\n- key: b\n  cmd: x\n  depends_on: [¦\n", &["a"]);
    check("steps:\n- {key: a, cmd: x}\n- key: b\n  cmd: x\n  depends_on:\n  - ¦\n", &["a"]);
    check("steps:\n- {key: a, cmd: x}\n- key: b\n  cmd: x\n  depends_on:\n    - a\n    - ¦\n", &["a"]);
    check(
        "steps:\n- {key: a, cmd: x, retry: 1}\n- key: b\n  cmd: x\n  cache: {policy: none, k¦}\n",
        &["env_keys", "duration_seconds", "paths", "sub_policies", "key"],
    );
}

#[test]
fn a_service_is_completed_below_its_name() {
    let head = "steps:\n- key: a\n  cmd: x\n  runner_args:\n    services:\n";
    check(&format!("{head}      ¦\n"), &[]);
    check(&format!("{head}      db:\n        ¦\n"), &["image", "env", "cmd", "ready", "ready_within_seconds"]);
    check(&format!("{head}      db:\n        image: ¦\n"), &["busybox:1.37", "rust:1.95"]);
    check(
        "steps:\n- key: a\n  cmd: x\n  runner_args: {services: {db: {image: a:1, r¦}}}\n",
        &["env", "cmd", "ready", "ready_within_seconds"],
    );
}

#[test]
fn keys_mean_nothing_inside_a_command() {
    check("steps:\n- key: a\n  cmd: |\n    ec¦\n", &[]);
    check("steps:\n- key: a\n  cmd: |\n    x\n    ¦\n", &[]);
    check("steps:\n- key: a\n  cmd: ec¦ho\n", &[]);
}

#[test]
fn variables_are_offered_behind_a_dollar_and_in_their_lists() {
    let head = "env: {A: 1}\nsteps:\n- key: a\n  env: {B: 2}\n  secrets: [TOKEN]\n";
    check(&format!("{head}  cmd: echo $¦\n"), &["A", "B", "TOKEN", "PWD"]);
    check(&format!("{head}  cmd: |\n    x\n    echo ${{B¦\n"), &["A", "B", "TOKEN", "PWD"]);
    check(&format!("{head}  cmd: x\n  cache: {{policy: forever, env_keys: [¦]}}\n"), &["A", "B", "TOKEN"]);
    check(&format!("{head}  cmd: x\n- key: b\n  cmd: x\n  env:\n    ¦\n"), &["A", "B"]);
    check(&format!("{head}  cmd: x\n- key: b\n  cmd: x\n  env: {{¦}}\n"), &["A", "B"]);
}

#[test]
fn images_of_the_file_come_before_those_of_the_machine() {
    check(
        "default_image: rust:1.95\nsteps:\n- {key: a, cmd: x, image: go:1.25}\n- key: b\n  cmd: x\n  image: ru¦\n",
        &["rust:1.95", "go:1.25", "busybox:1.37"],
    );
    check_value("image: rust:1.¦\n", "rust:1.95", "image: rust:1.95\n");
}

fn check_value(line: &str, label: &str, expected: &str) {
    let text = format!("default_image: rust:1.95\nsteps:\n- key: b\n  cmd: x\n  {line}");
    let (entries, text) = offered(&text);
    let entry = entries.iter().find(|entry| entry.label == label).unwrap();
    assert!(apply_edits(&text, std::slice::from_ref(&entry.edit)).ends_with(expected));
}

#[test]
fn a_key_brings_the_start_of_its_value_with_the_right_indentation() {
    let head = "steps:\n  - key: a\n    cmd: x\n";
    check_taken(&format!("{head}    ca¦\n"), "cache", &format!("{head}    cache: \n"), "cache:\n  policy: $0");
    check_taken(&format!("{head}    de¦\n"), "depends_on", &format!("{head}    depends_on: \n"), "depends_on: [$0]");
    // The line is indented by two, its keys stand in column four.
    check_taken("steps:\n  - en¦\n", "env", "steps:\n  - env: \n", "env:\n    ${1:NAME}: $0");
}

#[test]
fn a_whole_step_is_one_entry() {
    check_taken(
        "steps:\n  - {key: a, cmd: x}\n  - ¦\n",
        "step",
        "steps:\n  - {key: a, cmd: x}\n  - key: name\n  cmd: command\n",
        "key: ${1:name}\n  cmd: ${2:command}",
    );
    let (entries, _) = offered("¦");
    assert_eq!(entries[0].label, "pipeline");
    let text = &entries[0].edit.new_text;
    let analysis = analyze(text, Format::Yaml);
    assert!(analysis.diagnostics.is_empty(), "{:?}", analysis.diagnostics);
}

#[test]
fn json_gets_its_quotes_once() {
    let head = r#"{"steps": [{"key": "a", "cmd": "x"}, {"key": "b", "cmd": "x", "#;
    check_taken(&format!("{head}¦}}]}}"), "retry", &format!("{head}\"retry\": }}]}}"), "\"retry\": $0");
    check_taken(&format!("{head}\"re¦\"}}]}}"), "retry", &format!("{head}\"retry\"}}]}}"), "retry");
    check_taken(&format!("{head}\"ca¦}}]}}"), "cache", &format!("{head}\"cache\": }}]}}"), "cache\": {$0}");
    let value = |text: &str, label: &str| {
        let (entries, text) = offered(text);
        let entry = entries.iter().find(|entry| entry.label == label).unwrap();
        apply_edits(&text, std::slice::from_ref(&entry.edit))
    };
    assert_eq!(value(&format!("{head}\"builds_in\": ¦}}]}}"), "a"), format!("{head}\"builds_in\": \"a\"}}]}}"));
    assert_eq!(value(&format!("{head}\"builds_in\": \"¦\"}}]}}"), "a"), format!("{head}\"builds_in\": \"a\"}}]}}"));
    assert_eq!(value(&format!("{head}\"depends_on\": [¦]}}]}}"), "a"), format!("{head}\"depends_on\": [\"a\"]}}]}}"));
    assert_eq!(value(&format!("{head}\"soft_fail\": ¦}}]}}"), "true"), format!("{head}\"soft_fail\": true}}]}}"));
}

#[test]
fn the_outer_object_of_json_has_the_pipelines_keys() {
    check(
        "{\n  \"name\": \"x\",\n  ¦\n  \"steps\": []\n}",
        &["default_image", "env", "timeout_seconds", "fail_fast", "triggers", "version"],
    );
}

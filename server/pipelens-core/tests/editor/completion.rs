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
fn completion_offers_only_what_is_allowed_at_the_cursor() {
    check(
        r"steps:
- {key: a, cmd: x}
- key: b
  cmd: x
  builds_in: ¦
",
        &["a"],
    );
    check(
        r"steps:
- key: b
  cmd: x
  runner: ¦
",
        &["docker", "host"],
    );
    check(
        r"steps:
- key: b
  cmd: x
  soft_fail: ¦
",
        &["true", "false"],
    );
    check(
        r"steps:
- key: a
  cmd: x
  wait:
- wait:
    ¦
",
        &["continue_on_failure"],
    );
    check(
        r"steps:
- key: a
  cmd: x # ¦
- wait
",
        &[],
    );
    check(
        r"steps:
- {key: a, cmd: x}
- {key: b, cmd: x, builds_in: ¦}
",
        &["a"],
    );
    check(
        r"steps:
- {key: a, cmd: x}
- {key: b, cmd: x, depends_on: [¦]}
",
        &["a"],
    );
    check(
        r"steps:
- {key: a, cmd: x}
- key: b
  cmd: x
  depends_on: [¦
",
        &["a"],
    );
    check(
        r"steps:
- {key: a, cmd: x}
- key: b
  cmd: x
  depends_on:
  - ¦
",
        &["a"],
    );
    check(
        r"steps:
- {key: a, cmd: x}
- key: b
  cmd: x
  depends_on:
    - a
    - ¦
",
        &["a"],
    );
    check(
        r"steps:
- {key: a, cmd: x, retry: 1}
- key: b
  cmd: x
  cache: {policy: none, k¦}
",
        &["env_keys", "duration_seconds", "paths", "sub_policies", "key"],
    );
}

#[test]
fn a_service_is_completed_below_its_name() {
    let head = r"steps:
- key: a
  cmd: x
  runner_args:
    services:
";
    check(&format!("{head}      ¦\n"), &[]);
    check(
        &format!("{head}      db:\n        ¦\n"),
        &[
            "image",
            "env",
            "cmd",
            "ready",
            "ready_within_seconds",
            "secrets",
            "shm_size",
            "ulimits",
            "extra_hosts",
            "init",
            "tmpfs",
            "gpus",
        ],
    );
    check(&format!("{head}      db:\n        image: ¦\n"), &["busybox:1.37", "rust:1.95"]);
    check(
        r"steps:
- key: a
  cmd: x
  runner_args: {services: {db: {image: a:1, r¦}}}
",
        &[
            "env",
            "cmd",
            "ready",
            "ready_within_seconds",
            "secrets",
            "shm_size",
            "ulimits",
            "extra_hosts",
            "init",
            "tmpfs",
            "gpus",
        ],
    );
}

#[test]
fn keys_are_not_completed_inside_a_command() {
    check(
        r"steps:
- key: a
  cmd: |
    ec¦
",
        &[],
    );
    check(
        r"steps:
- key: a
  cmd: |
    x
    ¦
",
        &[],
    );
    check(
        r"steps:
- key: a
  cmd: ec¦ho
",
        &[],
    );
}

#[test]
fn variables_are_offered_after_a_dollar_and_in_their_lists() {
    let head = r"env: {A: 1}
steps:
- key: a
  env: {B: 2}
  secrets: [TOKEN]
";
    check(&format!("{head}  cmd: echo $¦\n"), &["A", "B", "TOKEN", "PWD", "HOME", "PATH", "HOSTNAME"]);
    check(
        &format!(
            r"{head}  cmd: |
    x
    echo ${{B¦
"
        ),
        &["A", "B", "TOKEN", "PWD", "HOME", "PATH", "HOSTNAME"],
    );
    check(&format!("{head}  cmd: x\n  cache: {{policy: forever, env_keys: [¦]}}\n"), &["A", "B", "TOKEN"]);
    check(
        &format!(
            r"{head}  cmd: x
- key: b
  cmd: x
  env:
    ¦
"
        ),
        &["A", "B"],
    );
    check(
        &format!(
            r"{head}  cmd: x
- key: b
  cmd: x
  env: {{¦}}
"
        ),
        &["A", "B"],
    );
}

#[test]
fn images_in_the_file_come_before_those_on_the_machine() {
    check(
        r"default_image: rust:1.95
steps:
- {key: a, cmd: x, image: go:1.25}
- key: b
  cmd: x
  image: ru¦
",
        &["rust:1.95", "go:1.25", "busybox:1.37"],
    );
    check_value("image: rust:1.¦\n", "rust:1.95", "image: rust:1.95\n");
}

fn check_value(line: &str, label: &str, expected: &str) {
    let text = format!(
        r"default_image: rust:1.95
steps:
- key: b
  cmd: x
  {line}"
    );
    let (entries, text) = offered(&text);
    let entry = entries.iter().find(|entry| entry.label == label).unwrap();
    assert!(apply_edits(&text, std::slice::from_ref(&entry.edit)).ends_with(expected));
}

#[test]
fn a_completed_key_includes_the_start_of_its_value_with_the_right_indentation() {
    let head = r"steps:
  - key: a
    cmd: x
";
    check_taken(&format!("{head}    ca¦\n"), "cache", &format!("{head}    cache: \n"), "cache:\n  policy: $0");
    check_taken(&format!("{head}    de¦\n"), "depends_on", &format!("{head}    depends_on: \n"), "depends_on: [$0]");
    // The line is indented by two, its keys start in column four.
    check_taken("steps:\n  - en¦\n", "env", "steps:\n  - env: \n", "env:\n    ${1:NAME}: $0");
}

#[test]
fn a_whole_step_is_one_entry() {
    check_taken(
        r"steps:
  - {key: a, cmd: x}
  - ¦
",
        "step",
        r"steps:
  - {key: a, cmd: x}
  - key: name
    cmd: command
",
        "key: ${1:name}\n  cmd: ${2:command}",
    );
    let (entries, _) = offered("¦");
    assert_eq!(entries[0].label, "pipeline");
    let text = &entries[0].edit.new_text;
    let analysis = analyze(text, Format::Yaml);
    assert!(analysis.diagnostics.is_empty(), "{:?}", analysis.diagnostics);
}

#[test]
fn completion_in_json_adds_each_quote_once() {
    let head = r#"{"steps": [{"key": "a", "cmd": "x"}, {"key": "b", "cmd": "x", "#;
    check_taken(&format!("{head}¦}}]}}"), "retry", &format!("{head}\"retry\": 0}}]}}"), "\"retry\": ${0:0}");
    check_taken(&format!("{head}\"re¦\"}}]}}"), "retry", &format!("{head}\"retry\": 0}}]}}"), "retry\": ${0:0}");
    check_taken(&format!("{head}\"ca¦}}]}}"), "cache", &format!("{head}\"cache\": {{}}}}]}}"), "cache\": {$0}");
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
        r#"{
  "name": "x",
  ¦
  "steps": []
}"#,
        &["default_image", "env", "shell", "timeout_seconds", "git", "fail_fast", "triggers", "version"],
    );
}

//! What is found in commands and in the arguments of their container, at its exact place in every spelling.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to stop")]

use pipelens_core::diagnostic::{Code, Severity};
use pipelens_core::{Format, analyze};
use proptest::prelude::*;

/// Returns each finding as its line, counted from one, what it marks, and its first sentence.
fn found(text: &str, format: Format) -> Vec<String> {
    let analysis = analyze(text, format);
    let told = analysis.diagnostics.iter().filter(|found| found.code != Code::UnpinnedImage).map(|found| {
        let line = analysis.line_index.line(found.range.start) + 1;
        let sentence = found.message.split(". ").next().unwrap().trim_end_matches('.');
        format!("{line} `{}` {}: {sentence}", &text[found.range.start..found.range.end], found.code.as_str())
    });
    told.collect()
}

fn yaml(text: &str) -> Vec<String> {
    found(text, Format::Yaml)
}

#[test]
fn a_mistake_in_a_block_is_on_its_own_line() {
    let text = r"steps:
- key: a
  cmd: |
    make
    if true; then
      echo é
  label: x
";
    assert_eq!(yaml(text), ["5 `if` shell-syntax: This `if` is not closed: `fi` is missing"]);
}

#[test]
fn a_mistake_in_a_folded_block_is_at_its_exact_place() {
    let text = r"steps:
- key: a
  cmd: >-
    make &&
    test )
";
    assert_eq!(yaml(text), ["5 `)` shell-syntax: `)` closes nothing here"]);
}

#[test]
fn quotes_and_escapes_do_not_move_a_mistake() {
    let text = r#"steps:
- {key: a, cmd: "echo \"é\" \u00e9 )"}
- {key: b, cmd: 'it''s'}
"#;
    assert_eq!(
        yaml(text),
        [
            "2 `)` shell-syntax: `)` closes nothing here",
            "3 `''` shell-syntax: This single quote is not closed: `'` is missing",
        ]
    );
    let text = "{\"steps\": [\n{\"key\": \"a\", \"cmd\": \"make\\nfi\"}]}";
    assert_eq!(found(text, Format::Json), ["2 `fi` shell-syntax: `fi` closes nothing here"]);
}

#[test]
fn a_comment_silences_it_and_the_pipeline_can_run() {
    let text = r#"steps:
# pipelens: ignore shell-syntax
- {key: a, cmd: "a )"}
"#;
    assert!(yaml(text).is_empty());
    let target = pipelens_core::plan::Target::Pipeline;
    assert!(pipelens_core::plan::plan(&analyze(text, Format::Yaml), 0, &target, "ci").is_ok());
}

#[test]
fn only_the_secret_itself_is_marked() {
    let token = ["ghp", "_Zx81kQ0aBcD3eFgH4iJkL5mNoP6qRsT7uVwX"].concat();
    let text = format!(
        r#"steps:
- key: a
  cmd: |
    echo
    curl -H "Authorization: {token}" https://x
"#
    );
    let marked = format!(
        "5 `{token}` secret-literal: This looks like a GitHub token, and everyone who can read this file can read it"
    );
    assert_eq!(yaml(&text), [marked]);
    let text = r"env:
  API_TOKEN: 8f3b2c1d9e7a6054
  TOKEN_FILE: 8f3b2c1d9e7a6054
  DB_PASSWORD: $OTHER
steps:
- {key: a, cmd: x}
";
    let told = yaml(text);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("2 `8f3b2c1d9e7a6054` secret-literal"), "{told:?}");
    assert_eq!(analyze(text, Format::Yaml).diagnostics[0].severity, Severity::Warning);
}

#[test]
fn arguments_of_the_container_are_checked() {
    let good = r"steps:
- key: a
  cmd: x
  runner_args: {user: 1000, network: none, memory: 512m, cpus: 1.5, platform: linux/arm64, pull: always}
";
    assert!(yaml(good).is_empty());
    for (argument, expected) in [
        ("memroy: 1g", "`memroy` unknown-key: Unknown key `memroy` in `runner_args`"),
        (
            "memory: much",
            "`much` bad-value: `memory` must be a number of bytes, optionally with `k`, `m` or `g`; got `much`",
        ),
        ("cpus: 0", "`0` bad-value: `cpus` must be a number greater than 0; got `0`"),
        (
            "network: 'container:a'",
            "`'container:a'` bad-value: A pipeline may not use the network `container:a`, which gives access to another container",
        ),
        (
            "pull: allways",
            "`allways` bad-value: Unknown value `allways` for `pull`; expected one of `missing`, `always`, `never`",
        ),
        ("user: [a]", "`[a]` wrong-type: `user` must be a string or a whole number, but this is a list"),
        ("pull: 1", "`1` wrong-type: `pull` must be a string, but this is a number"),
    ] {
        let told = yaml(&format!(
            r"steps:
- key: a
  cmd: x
  runner_args: {{{argument}}}
"
        ));
        assert_eq!(told, [format!("4 {expected}")]);
    }
    let told = yaml("steps:\n- {key: a, cmd: x, memory: 1g}\n");
    assert_eq!(told, ["2 `memory` misplaced-key: `memory` belongs in `runner_args`, not in a step"]);
}

#[test]
fn services_are_checked_key_by_key() {
    let good =
        "image: postgres:17, env: {N: 1.10}, cmd: postgres -c fsync=off, ready: pg_isready, ready_within_seconds: 5";
    let text = |services: &str| {
        format!(
            r"steps:
- key: a
  cmd: x
  runner_args:
    services: {{{services}}}
"
        )
    };
    assert!(yaml(&text(&format!("db: {{{good}}}, cache-2: {{image: redis:7, ready: 6379}}"))).is_empty());
    for (service, expected) in [
        ("db: {imgae: a:1}", "`imgae` unknown-key: Unknown key `imgae` in a service"),
        ("db: {ready: x}", "`ready` missing-key: This service has no `image`"),
        ("db: postgres", "`postgres` wrong-type: `service` must be a mapping, but this is a string"),
        ("db: {image: Post:1}", "`Post:1` invalid-image: `Post:1` is not a valid image name"),
        ("db: {image: a:1, env: {1A: x}}", "`1A` bad-env-name: `1A` is not a valid environment variable name"),
        (
            "db: {image: a:1, ready: 70000}",
            "`70000` bad-value: `ready` must be a command or a port number from 1 to 65535; got `70000`",
        ),
        ("db: {image: a:1, ready: ''}", "`''` bad-value: `ready` is empty"),
        (
            "db: {image: a:1, ready: true}",
            "`true` wrong-type: `ready` must be a command or a port number, but this is a boolean",
        ),
        ("db: {image: a:1, ready: 'a )'}", "`)` shell-syntax: `)` closes nothing here"),
        ("db: {image: a:1, cmd: 'it''s'}", "`''` shell-syntax: This single quote is not closed: `'` is missing"),
        (
            "my_db: {image: a:1}",
            "`my_db` bad-value: `my_db` is not a valid service name, because it must be a valid host name",
        ),
        ("localhost: {image: a:1}", "`localhost` bad-value: `localhost` refers to the step itself"),
        (
            "db: {image: a:1, network: none}",
            "`network` misplaced-key: `network` belongs in `runner_args`, not in a service",
        ),
    ] {
        assert_eq!(yaml(&text(service)), [format!("5 {expected}")]);
    }
    let told = analyze(&text("db: {image: postgres}"), Format::Yaml);
    assert!(
        told.diagnostics.iter().any(|found| found.code == Code::UnpinnedImage && found.message.contains("`postgres`"))
    );
}

#[test]
fn a_variable_of_a_service_is_its_source_text() {
    let text = r"steps:
- key: a
  cmd: x
  runner_args: {services: {db: {image: a:1, env: {A: 0777, B: 1.10, C: yes, D: }}}}
";
    let analysis = analyze(text, Format::Yaml);
    let arguments = analysis.pipelines[0].steps[0].runner_args.as_ref().unwrap();
    let services = pipelens_core::arguments::services(&arguments.value.plain());
    let env = &services[0].as_ref().unwrap().env;
    let values: Vec<_> = env.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["0777", "1.10", "yes", ""]);
}

#[test]
fn services_in_a_plan_are_checked_strictly() {
    let read = |service: serde_json::Value| {
        let step = serde_json::json!({"key": "a", "cmd": "x", "runner_args": {"services": {"db": service}}});
        let graph = serde_json::json!({"nodes": [{"step": step, "env": {}}], "edges": []});
        let analysis = analyze(&serde_json::json!({ "graph": graph }).to_string(), Format::Json);
        let arguments = analysis.pipelines[0].steps[0].runner_args.as_ref().unwrap();
        pipelens_core::arguments::services(&arguments.value.plain()).remove(0)
    };
    let service = read(serde_json::json!({"image": "a:1", "cmd": null, "env": {"N": 7}})).unwrap();
    assert_eq!((service.cmd, service.env[0].1.as_str()), (None, "7"));
    for (service, expected) in [
        (serde_json::json!({}), "service `db` has no `image`"),
        (serde_json::json!("a:1"), "service `db` must be a mapping"),
        (
            serde_json::json!({"image": "a:1", "ready": 0}),
            "`ready` of service `db` must be a command or a port from 1 to 65535",
        ),
        (
            serde_json::json!({"image": "a:1", "mounts": []}),
            "unknown key `mounts` in service `db`; expected one of `image`, `env`, `cmd`, `ready`, `ready_within_seconds`, `secrets`, `shm_size`, `ulimits`, `extra_hosts`, `init`, `tmpfs`, `gpus`",
        ),
    ] {
        assert_eq!(read(service).unwrap_err(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn findings_about_any_command_are_inside_that_command(command in "([a-z \n\"'`$(){}|&;<>\\\\é#=-]|if |then |fi|do |done|for |case |esac|\\$\\(|<<E|\\$\\{){0,30}") {
        let json = serde_json::json!({ "steps": [{ "key": "a", "cmd": format!("x{command}") }] }).to_string();
        let block = format!(r"steps:
- key: a
  cmd: |
    x{}
  label: l
", command.replace('\n', "\n    "));
        for (text, format) in [(json, Format::Json), (block, Format::Yaml)] {
            let analysis = analyze(&text, format);
            for found in &analysis.diagnostics {
                prop_assert!(text.get(found.range.start..found.range.end).is_some());
                prop_assert!(found.code != Code::ShellSyntax || found.range.start >= text.find("cmd").unwrap());
            }
        }
    }

    #[test]
    fn plain_words_are_never_a_mistake(command in "([a-z0-9./:=-]{1,8}[ \n]){1,12}") {
        let text = serde_json::json!({ "steps": [{ "key": "a", "cmd": format!("x {command}") }] }).to_string();
        let reserved = ["if", "do", "fi", "for", "in", "then", "done", "case", "esac", "else", "elif", "while", "until", "time"];
        prop_assume!(!command.split_whitespace().any(|word| reserved.contains(&word)));
        let analysis = analyze(&text, Format::Json);
        prop_assert!(analysis.diagnostics.iter().all(|found| found.code != Code::ShellSyntax));
    }
}

#[test]
fn mounts_need_two_paths_and_privileged_is_a_boolean() {
    let text = |arguments: &str| {
        format!(
            r"steps:
- key: a
  cmd: x
  image: a:1
  runner_args: {{{arguments}}}
"
        )
    };
    assert_eq!(yaml(&text("privileged: true, mounts: ['/a:/b', '/a:/c:ro']")), Vec::<String>::new());
    let found = yaml(&text("privileged: much, mounts: ['a:/b']"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("`much` wrong-type") && found[1].contains("bad-value: A mount must be"), "{found:?}");
}

//! The command line: findings, runs, and every bad input a person can give it.

use serde_json::Value;

use crate::support::{Project, Runner, lines, outcomes, runners, seven_steps, text};

const GOOD: &str = r"name: good
default_image: pipelens-test/busybox:latest
steps:
  - key: a
    cmd: echo hello; echo oops >&2
";

#[test]
fn check_shows_the_line_and_a_caret() {
    let project = Project::new(
        r"steps:
  - key: build
    cmd: make
    image: alpine:3
    builds_in: bild
",
    );
    let (code, output, errors) = project.output(Runner::Host, &["check", "pipeline.yml"]);
    assert_eq!(code, 1, "{errors}");
    assert!(output.contains("error[unknown-step]: "), "{output}");
    assert!(output.contains("--> pipeline.yml:5:16"), "{output}");
    assert!(output.contains("5 |     builds_in: bild\n  |                ^^^^"), "{output}");
    assert!(!output.contains('\u{1b}'), "no colours where no terminal is: {output:?}");
    assert!(output.contains("1 file checked: 1 error"), "{output}");
}

#[test]
fn check_can_print_json() {
    let project = Project::new(
        r"steps:
  - key: ñ
    cmd: make
    builds_in: bild
",
    );
    let (code, output, _) = project.output(Runner::Host, &["check", "--format", "json", "pipeline.yml"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&output).unwrap();
    let found = &report["files"][0]["diagnostics"][0];
    assert_eq!((text(&found["code"]), text(&found["severity"])), ("unknown-step".to_owned(), "error".to_owned()));
    assert_eq!(
        (&found["range"]["start"]["line"], &found["range"]["start"]["column"]),
        (&Value::from(4), &Value::from(16))
    );
}

#[test]
fn check_accepts_a_good_file() {
    let project = Project::new(GOOD.replace(":latest", ":1").as_str());
    assert_eq!(
        project.output(Runner::Host, &["check", "pipeline.yml"]),
        (0, "1 file checked: no findings\n".to_owned(), String::new())
    );
}

#[test]
fn an_unreadable_file_is_reported_and_hides_nothing_else() {
    let project = Project::new(GOOD);
    let path = |name: &str| project.folder.path().join(name);
    std::fs::create_dir(path("folder")).unwrap();
    std::fs::write(path("bad.yml"), b"steps: \xff\n").unwrap();
    std::fs::File::create(path("noise.yml")).unwrap().set_len(100 * 1024 * 1024).unwrap();
    for (file, reason) in [
        ("missing.yml", "No such file"),
        ("bad.yml", "is not UTF-8: invalid byte at offset 7, in line 1"),
        ("noise.yml", "is 104.9 MB long; pipeline files larger than 16 MiB are not read"),
    ] {
        let (code, output, errors) = project.output(Runner::Host, &["check", file, "pipeline.yml"]);
        assert_eq!(code, 2, "{file}");
        assert!(errors.contains(reason) && errors.contains(file), "{file}: {errors}");
        assert!(output.contains("1 file checked"), "{file}: {output}");
        let (code, output, errors) = project.output(Runner::Host, &["run", file]);
        assert_eq!((code, output.as_str()), (2, ""), "{file}");
        assert!(errors.contains(reason), "{file}: {errors}");
    }
}

#[test]
fn an_empty_file_and_a_broken_one_are_not_run() {
    for (pipeline, reason) in [
        ("", "it has errors"),
        (
            r#"steps:
  - key: "a
    cmd: x
"#,
            "a syntax error",
        ),
    ] {
        let project = Project::new(pipeline);
        let (code, output, errors) = project.output(Runner::Host, &["run", "pipeline.yml", "--runner", "host"]);
        assert_eq!((code, output.as_str()), (2, ""), "{errors}");
        assert!(errors.contains(reason), "{errors}");
    }
}

#[test]
fn a_project_sets_severities_and_a_mistake_in_its_settings_is_reported() {
    let project = Project::new(GOOD);
    let settings = project.folder.path().join(".pipelens.yaml");
    std::fs::write(&settings, "severity:\n  unpinned-image: error\n").unwrap();
    let (code, output, _) = project.output(Runner::Host, &["check", "pipeline.yml"]);
    assert_eq!(code, 1);
    assert!(output.contains("error[unpinned-image]"), "{output}");
    std::fs::write(&settings, "severity:\n  unpinned-image: loud\n").unwrap();
    let (code, _, errors) = project.output(Runner::Host, &["check", "pipeline.yml"]);
    assert_eq!(code, 2);
    assert!(errors.contains(".pipelens.yaml` is invalid") && errors.contains("loud"), "{errors}");
}

#[test]
fn check_and_run_agree_on_what_is_off() {
    let project = Project::new("steps:\n  - key: a\n    image: rust\n    cmd: echo ran\n    owner: me\n");
    let settings = project.folder.path().join(".pipelens.yaml");
    let check = || project.output(Runner::Host, &["check", "pipeline.yml"]);
    let run = || project.output(Runner::Host, &["run", "pipeline.yml", "--runner", "host"]);
    let (checked, _, _) = check();
    let (ran, _, errors) = run();
    assert_eq!((checked, ran), (1, 2), "{errors}");
    std::fs::write(&settings, "severity: {unknown-key: off, unpinned-image: off}\n").unwrap();
    let (checked, output, _) = check();
    let (ran, lines, errors) = run();
    assert_eq!((checked, ran), (0, 0), "{output}{errors}");
    assert!(lines.contains("ran"), "{lines}");
    // A setting that makes a finding an error stops the run as well.
    std::fs::write(&settings, "severity: {unknown-key: off, unpinned-image: error}\n").unwrap();
    let (checked, _, _) = check();
    let (ran, _, errors) = run();
    assert_eq!((checked, ran), (1, 2), "{errors}");
}

#[test]
fn what_leaves_a_plan_without_meaning_refuses_a_run_even_if_it_is_off() {
    let project = Project::new("steps:\n  - {key: a, cmd: echo, image: 'a:1', depends_on: b}\n");
    std::fs::write(project.folder.path().join(".pipelens.yaml"), "severity: {unknown-step: off}\n").unwrap();
    let (code, _, errors) = project.output(Runner::Host, &["run", "pipeline.yml", "--runner", "host"]);
    assert_eq!(code, 2, "{errors}");
    assert!(errors.contains("unknown-step") && errors.contains("pipeline.yml:2:"), "{errors}");
}

#[test]
fn usage_is_explained() {
    let project = Project::new(GOOD);
    for arguments in [&["run", "--no-such"] as &[&str], &["shell"], &["no-such"]] {
        let (code, _, errors) = project.output(Runner::Host, arguments);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(errors.contains("Usage: pipelens"), "{errors}");
    }
    let (code, output, _) = project.output(Runner::Host, &["--version"]);
    assert_eq!((code, output.as_str()), (0, concat!("pipelens ", env!("CARGO_PKG_VERSION"), "\n")));
    let (code, output, _) = project.output(Runner::Host, &["run", "--help"]);
    assert_eq!(code, 0);
    assert!(output.contains("--from <KEY>") && output.contains("builds_in"), "{output}");
    let (code, _, errors) = project.output(Runner::Host, &["run", "pipeline.yml", "--step", "b"]);
    assert_eq!(code, 2);
    assert!(errors.contains("There is no step `b`"), "{errors}");
}

#[test]
fn the_schema_is_json() {
    let project = Project::new(GOOD);
    for arguments in [&["schema"] as &[&str], &["schema", "--settings"]] {
        let (code, output, _) = project.output(Runner::Host, arguments);
        assert_eq!(code, 0);
        let schema: Value = serde_json::from_str(&output).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
}

#[test]
fn a_run_prints_its_lines_and_a_table() {
    for runner in runners() {
        let project = Project::new(&seven_steps());
        let arguments = ["run", "pipeline.yml", "--runner", runner.name()];
        let (code, output, errors) = project.output(runner, &arguments);
        assert_eq!(code, 0, "{runner:?}: {output}{errors}");
        assert!(output.contains("[compile] compiled\n") && output.contains("[docs]    docs\n"), "{output}");
        let table = output.rsplit_once("\n\n").unwrap().1;
        assert_eq!(table.lines().count(), 8, "{table}");
        assert!(table.lines().all(|line| line.contains('✓')), "{table}");
        assert!(!output.contains('\u{1b}'), "{output:?}");
    }
}

#[test]
fn a_failing_step_is_exit_code_1_and_its_dependants_are_skipped() {
    for runner in runners() {
        let project = Project::new(
            r"default_image: pipelens-test/busybox:latest
steps:
  - key: a
    cmd: exit 7
  - key: b
    cmd: echo no
    builds_in: a
  - key: c
    cmd: echo other
",
        );
        let (code, output, _) = project.output(runner, &["run", "pipeline.yml", "--runner", runner.name()]);
        assert_eq!(code, 1, "{output}");
        assert!(output.contains("✗ exit 7 after"), "{output}");
        assert!(output.contains("⊘ skipped"), "{output}");
        assert!(output.contains("other") && !output.contains("] no"), "{output}");
    }
}

#[test]
fn timeouts_are_exit_code_124() {
    for runner in runners() {
        let project = Project::new(
            r"default_image: pipelens-test/busybox:latest
timeout_seconds: 1
steps:
  - key: a
    cmd: sleep 600
",
        );
        let (code, output, _) = project.output(runner, &["run", "pipeline.yml", "--runner", runner.name()]);
        assert_eq!(code, 124, "{output}");
        assert!(output.contains("⧖ timed out"), "{output}");
    }
}

#[test]
fn json_is_one_event_per_line() {
    for runner in runners() {
        let project = Project::new(GOOD);
        let arguments = ["run", "pipeline.yml", "--format", "json", "--runner", runner.name()];
        let (code, output, _) = project.output(runner, &arguments);
        assert_eq!(code, 0, "{output}");
        let events: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events[0]["kind"], "runStart");
        assert_eq!(outcomes(&events), [("a".to_owned(), "succeeded".to_owned())]);
        let mut printed = lines(&events, "a");
        printed.sort();
        assert_eq!(printed, ["hello", "oops"]);
        assert_eq!(events.last().unwrap()["kind"], "runEnd");
        assert!(events.iter().all(|event| event["version"] == 1));
        let resolved: Vec<&Value> = events.iter().filter(|event| event["kind"] == "imageResolved").collect();
        match runner {
            Runner::Docker => assert!(resolved[0]["digest"].as_str().unwrap().contains("sha256:"), "{resolved:?}"),
            Runner::Host => assert!(resolved.is_empty(), "{resolved:?}"),
        }
    }
}

#[test]
fn no_container_engine_is_exit_code_4_and_lists_what_was_tried() {
    let project = Project::new(GOOD);
    let (code, output, errors) = project.output(Runner::Host, &["run", "pipeline.yml"]);
    assert_eq!(code, 4, "{output}{errors}");
    let all = output + &errors;
    assert!(all.contains("/nonexistent/docker.sock") && all.contains("--runner host"), "{all}");
}

#[test]
fn bad_images_are_reported_with_the_reason() {
    if !runners().contains(&Runner::Docker) {
        return;
    }
    for (image, reason) in [("localhost:9/no/such:1", "localhost:9/no/such:1"), ("pipelens-test/noshell:latest", "sh")]
    {
        let project = Project::new(&format!(
            r"steps:
  - key: a
    cmd: echo a
    image: {image}
"
        ));
        let (code, output, _) = project.output(Runner::Docker, &["run", "pipeline.yml"]);
        assert_eq!(code, 1, "{output}");
        assert!(output.contains("✗ could not run") && output.contains(reason), "{image}: {output}");
    }
}

#[test]
fn a_secret_comes_from_the_environment_or_a_file_and_is_never_shown() {
    let project = Project::new(
        r#"steps:
  - key: a
    cmd: echo "<$TOKEN>"; test -n "$TOKEN"
    secrets: [TOKEN]
"#,
    );
    let arguments = ["run", "pipeline.yml", "--runner", "host"];
    let (code, _, errors) = project.output(Runner::Host, &arguments);
    assert_eq!(code, 2);
    assert!(errors.contains("The secret `TOKEN` has no value"), "{errors}");
    std::fs::write(project.state.path().join("secrets"), "# mine\nTOKEN=hunter2-hunter2\n").unwrap();
    let file = project.state.path().join("secrets").display().to_string();
    let arguments = [&arguments[..], &["--secrets-file", &file]].concat();
    let (code, output, _) = project.output(Runner::Host, &arguments);
    assert_eq!(code, 0, "{output}");
    assert!(!output.contains("hunter2") && output.contains("<***>"), "{output}");
}

#[test]
fn a_pipeline_of_several_is_chosen_by_name() {
    let project = Project::new(
        r"name: one
steps:
  - key: a
    cmd: echo first
---
name: two
steps:
  - key: a
    cmd: echo second
",
    );
    let (code, _, errors) = project.output(Runner::Host, &["run", "pipeline.yml", "--runner", "host"]);
    assert_eq!(code, 2);
    assert!(errors.contains("choose one with `--pipeline`: one, two"), "{errors}");
    let arguments = ["run", "pipeline.yml", "--runner", "host", "--pipeline", "two"];
    let (code, output, _) = project.output(Runner::Host, &arguments);
    assert_eq!(code, 0);
    assert!(output.contains("[a] second"), "{output}");
}

#[test]
fn a_step_ends_at_its_first_failing_line_if_its_shell_does() {
    for runner in runners() {
        let project = Project::new(
            r"default_image: pipelens-test/busybox:latest
steps:
  - key: on
    cmd: |
      false
      echo went on
  - key: ends
    shell: sh -e
    cmd: |
      false
      echo never
  - key: missing
    shell: [no-such-shell, -c]
    cmd: echo never
",
        );
        let (code, output, _) = project.output(runner, &["run", "pipeline.yml", "--runner", runner.name()]);
        assert_eq!(code, 1, "{output}");
        assert!(output.contains("went on") && !output.contains("] never"), "{output}");
        assert!(output.contains("no-such-shell") && output.contains("exit 127"), "{output}");
        let settings = project.folder.path().join(".pipelens.yaml");
        std::fs::write(settings, "shell: [sh, -e]\n").unwrap();
        let (_, output, _) =
            project.output(runner, &["run", "pipeline.yml", "--step", "on", "--runner", runner.name()]);
        assert!(!output.contains("went on"), "{output}");
    }
}

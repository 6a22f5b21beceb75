//! The other tools of the command line: explain, graph, convert, init.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Project, Runner, binary, texts};

const PIPELINE: &str = r"name: ci
steps:
- {key: a, cmd: make, image: a:1}
- {key: b, cmd: x, builds_in: a}
";

fn output(project: &Project, arguments: &[&str]) -> (i32, String, String) {
    project.output(Runner::Host, arguments)
}

#[test]
fn a_finding_is_explained_and_a_misspelt_code_gets_a_suggestion() {
    let project = Project::new(PIPELINE);
    let (code, page, _) = output(&project, &["explain", "unknown-step"]);
    assert_eq!(code, 0);
    assert!(page.starts_with("A reference to a step that does not exist\nunknown-step, error by default\n"), "{page}");
    assert!(page.contains("\nWrong\n    steps:\n") && !page.contains("```"), "{page}");
    assert!(page.lines().all(|line| line.len() <= 80) && !page.contains('\u{1b}'), "{page}");
    let (code, list, _) = output(&project, &["explain"]);
    assert_eq!(code, 0);
    assert!(list.lines().count() >= 35 && list.lines().all(|line| line.contains("  ")), "{list}");
    let (code, _, errors) = output(&project, &["explain", "unknown-stop"]);
    assert_eq!(code, 2);
    assert!(errors.contains("Did you mean `unknown-step`?"), "{errors}");
}

#[test]
fn a_graph_is_drawn_in_every_format() {
    let project = Project::new(PIPELINE);
    for (format, expected) in [
        ("text", "a  [a:1]  make\n└─ b  x\n"),
        ("mermaid", "n0 ==> n1"),
        ("dot", "n0 -> n1 [style=bold]"),
        ("svg", "</svg>"),
    ] {
        let (code, picture, errors) = output(&project, &["graph", "pipeline.yml", "--format", format]);
        assert_eq!((code, errors.as_str()), (0, ""));
        assert!(picture.contains(expected), "{picture}");
    }
    let two = Project::new(&format!(
        r"{PIPELINE}---
name: other
steps:
- {{key: c, cmd: x, image: a:1}}
"
    ));
    let (code, _, errors) = output(&two, &["graph", "pipeline.yml"]);
    assert_eq!(code, 2);
    assert!(errors.contains("has 2 pipelines; choose one with `--pipeline`: ci, other"), "{errors}");
    assert_eq!(output(&two, &["graph", "pipeline.yml", "--pipeline", "other"]).1, "other\nc  [a:1]  x\n");
    let (code, _, errors) = output(&Project::new("steps: []\n"), &["graph", "pipeline.yml"]);
    assert_eq!(code, 2);
    assert!(errors.contains("has no steps to draw"), "{errors}");
}

/// The pipeline this project has for itself, and its picture in the README.
#[test]
fn our_own_pipeline_has_no_finding_and_its_picture_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let run = |arguments: &[&str]| texts(Command::new(binary()).args(arguments).current_dir(&root).output().unwrap());
    assert_eq!(run(&["check", "pipeline.yml"]), (0, "1 file checked: no findings\n".to_owned(), String::new()));
    let (_, picture, _) = run(&["graph", "pipeline.yml", "--format", "svg"]);
    let file = root.join("docs/pipeline.svg");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, &picture).unwrap();
    }
    assert!(std::fs::read_to_string(&file).unwrap() == picture, "run `cargo xtask codegen`");
}

#[test]
fn a_pipeline_becomes_a_plan_and_the_plan_a_pipeline() {
    let project = Project::new(PIPELINE);
    let (code, plan, errors) = output(&project, &["convert", "pipeline.yml", "--to", "plan"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let value: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(value["graph"]["edges"], serde_json::json!([[0, 1, "builds_in"]]));
    std::fs::write(project.folder.path().join("plan.json"), &plan).unwrap();
    let (code, yaml, _) = output(&project, &["convert", "plan.json", "--to", "yaml"]);
    assert_eq!(code, 0);
    assert_eq!(
        yaml,
        r"name: ci
steps:
  - key: a
    image: a:1
    cmd: make

  - key: b
    builds_in: a
    cmd: x
"
    );
}

#[test]
fn what_a_conversion_loses_is_reported_and_a_file_with_errors_is_not_converted() {
    let project = Project::new(&format!("fail_fast: true\n{PIPELINE}"));
    let (code, _, errors) = output(&project, &["convert", "pipeline.yml", "--to", "plan"]);
    assert_eq!(code, 0);
    assert!(errors.contains("warning: Plans cannot express `fail_fast`"), "{errors}");
    let broken = Project::new("steps:\n- {key: a}\n");
    let (code, text, errors) = output(&broken, &["convert", "pipeline.yml", "--to", "plan"]);
    assert_eq!((code, text.as_str()), (2, ""));
    assert!(errors.contains("error[missing-key]") && errors.contains("has errors"), "{errors}");
}

#[test]
fn a_first_pipeline_is_written_checked_and_not_overwritten() {
    let project = Project::new("");
    std::fs::remove_file(project.file()).unwrap();
    std::fs::write(
        project.folder.path().join("go.mod"),
        r"module x

go 1.24
",
    )
    .unwrap();
    let (code, said, errors) = output(&project, &["init"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(said.contains("found a Go module") && said.contains("pipelens run"), "{said}");
    let text = std::fs::read_to_string(project.file()).unwrap();
    assert!(text.contains("image: golang:1.24"), "{text}");
    assert_eq!(output(&project, &["check"]).0, 0);
    let (code, _, errors) = output(&project, &["init"]);
    assert_eq!(code, 2);
    assert!(errors.contains("already exists; use `--force` to replace it"), "{errors}");
    assert_eq!(std::fs::read_to_string(project.file()).unwrap(), text);
    let (code, printed, _) = output(&project, &["init", "--stdout", "."]);
    assert_eq!((code, printed), (0, text));
    let (code, _, errors) = output(&project, &["init", "nowhere"]);
    assert_eq!(code, 2);
    assert!(errors.contains("`nowhere` is not a directory"), "{errors}");
}

#[test]
fn a_project_of_unknown_type_gets_a_pipeline_that_runs() {
    let project = Project::new("");
    std::fs::remove_file(project.file()).unwrap();
    assert_eq!(output(&project, &["init"]).0, 0);
    let (code, log, errors) = output(&project, &["run", "pipeline.yml", "--runner", "host"]);
    assert_eq!(code, 0, "{log}{errors}");
    assert!(log.contains("Replace this with the command"), "{log}");
}

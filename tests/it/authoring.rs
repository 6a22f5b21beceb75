//! Small inputs that fell short once, as people write them: what is found now, and what the safe fixes and runs make of them.

use std::path::Path;

use crate::support::{Project, Runner};

/// What is replaced with what.
type Change = (&'static str, &'static str);
/// Its folder, the codes that are found, and what the safe fixes change.
type Input = (&'static str, &'static [&'static str], &'static [Change]);

/// The inputs, in the order of their folders.
const INPUTS: &[Input] = &[
    ("01-case-in-substitution", &[], &[]),
    ("02-comment-in-substitution", &[], &[]),
    ("04-flow-closing-bracket", &[], &[]),
    ("05-fix-edits-shared-anchor", &["redundant-dependency"], &[("depends_on: *n", "depends_on: [lint]")]),
    ("06-dotted-service-env", &[], &[]),
    ("07-bang-negation", &["yaml-tag"], &[]),
    ("09-bash-only-silent", &["shebang", "bash-only"], &[]),
    ("10-github-expression", &["foreign-expression", "foreign-expression"], &[]),
    ("11-suppress-in-block", &[], &[]),
    ("12-severity-off-still-refused", &[], &[]),
    ("14-bracket-message", &["syntax"], &[("[ -f Makefile ] && make", "'[ -f Makefile ] && make'")]),
    (
        "16-foreign-keys",
        &["unknown-key", "missing-key", "unknown-key", "unknown-key", "unknown-key", "unknown-key"],
        &[("name: Build it", "label: Build it"), ("run: make", "cmd: make"), ("needs:", "depends_on:")],
    ),
    ("31-two-merge-keys", &["duplicate-mapping-key"], &[("<<: *a\n    <<: *b", "<<: [*a, *b]")]),
];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/authoring")
}

/// Makes a project of an input. ShellCheck has opinions of its own, and so has the hint about images.
fn project(name: &str) -> Project {
    let text = std::fs::read_to_string(folder().join(name).join("pipeline.yml")).unwrap();
    let project = Project::new(&text);
    let settings = "shellcheck: false\nseverity: {unpinned-image: off}\n";
    std::fs::write(project.folder.path().join(".pipelens.yaml"), settings).unwrap();
    project
}

#[test]
fn every_input_is_understood() {
    let mut names: Vec<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, INPUTS.iter().map(|(name, ..)| (*name).to_owned()).collect::<Vec<_>>());
    for (name, codes, changes) in INPUTS {
        let project = project(name);
        let (_, output, _) = project.output(Runner::Host, &["check", "pipeline.yml", "--format", "json"]);
        let report: serde_json::Value = serde_json::from_str(&output).unwrap();
        let found = report["files"][0]["diagnostics"].as_array().unwrap_or_else(|| panic!("{output}"));
        let found: Vec<&str> = found.iter().map(|found| found["code"].as_str().unwrap()).collect();
        assert_eq!(found, *codes, "{name}");
        let before = std::fs::read_to_string(project.file()).unwrap();
        project.output(Runner::Host, &["check", "--fix", "pipeline.yml"]);
        let after = std::fs::read_to_string(project.file()).unwrap();
        let mut expected = before.clone();
        for (old, new) in *changes {
            assert!(expected.contains(old), "{name}: {old}");
            expected = expected.replacen(old, new, 1);
        }
        if changes.is_empty() {
            assert!(after == before || !codes.is_empty(), "{name}:\n{after}");
        } else if *name != "16-foreign-keys" {
            assert_eq!(after, expected, "{name}");
        } else {
            assert!(changes.iter().all(|(_, new)| after.contains(new)), "{name}:\n{after}");
        }
    }
}

#[test]
fn what_is_off_does_not_stop_a_run() {
    let text = std::fs::read_to_string(folder().join("12-severity-off-still-refused/pipeline.yml")).unwrap();
    let settings = std::fs::read_to_string(folder().join("12-severity-off-still-refused/.pipelens.yaml")).unwrap();
    let project = Project::new(&text);
    std::fs::write(project.folder.path().join(".pipelens.yaml"), settings).unwrap();
    let (code, output, errors) = project.output(Runner::Host, &["run", "pipeline.yml", "--runner", "host"]);
    assert_eq!(code, 0, "{output}{errors}");
}

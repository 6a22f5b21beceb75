//! `pipelens check` for other readers than a person, over other things than one file, and with its fixes applied.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Project, Runner, texts};

const MISTAKE: &str = r"steps:
  - key: ñ
    cmd: make
    image: alpine:3
  - key: b
    cmd: x
    builds_in: nn
    depends_on: [b]
";

fn project(files: &[(&str, &str)]) -> Project {
    let project = Project::new("steps:\n- {key: a, cmd: x, image: a:1}\n");
    for (name, text) in files {
        let path = project.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    project
}

fn check(project: &Project, arguments: &[&str]) -> (i32, String, String) {
    project.output(Runner::Host, &[&["check"], arguments].concat())
}

fn with_input(project: &Project, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = project.command(Runner::Host, arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    texts(child.wait_with_output().unwrap())
}

#[test]
fn a_folder_means_every_pipeline_in_it_and_no_other_file() {
    let project = project(&[
        ("sub/ci.pipeline.yml", "steps:\n- {key: a}\n"),
        (".hm/plan.yml", "steps:\n- {key: a, cmd: x, image: a:1}\n"),
        (
            "said.yaml",
            r"# pipelens: pipeline
steps:
- {key: a, cmd: x, image: a:1}
",
        ),
        ("extra/one.yml", "steps: []\n"),
        ("docker-compose.yml", "services: [\n"),
        ("ignored/pipeline.yml", "steps: [\n"),
        (".gitignore", "ignored\n"),
        (".git/HEAD", ""),
        (".pipelens.yaml", "files: [extra/*.yml]\n"),
    ]);
    let (code, output, errors) = check(&project, &["--format", "json"]);
    let report: Value = serde_json::from_str(&output).unwrap();
    let paths: Vec<&str> =
        report["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["./.hm/plan.yml", "./extra/one.yml", "./pipeline.yml", "./said.yaml", "./sub/ci.pipeline.yml"]);
    assert_eq!((code, errors.as_str()), (1, ""));
    let (code, _, errors) = check(&project, &["extra", "nothing-*.yml", "ignored"]);
    assert_eq!(code, 2);
    assert!(errors.contains("No file matches `nothing-*.yml`"), "{errors}");
}

#[test]
fn a_glob_means_what_it_matches_and_each_file_counts_once() {
    let project =
        project(&[("ci/a.yml", "steps:\n- {key: a, cmd: x, image: a:1}\n"), ("ci/deep/b.yml", "steps: []\n")]);
    let (code, output, _) = check(&project, &["ci/*.yml", "ci/a.yml"]);
    assert_eq!((code, output.as_str()), (0, "1 file checked: no findings\n"));
    let (code, output, _) = check(&project, &["ci/**/*.yml"]);
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("2 files checked"), "{output}");
}

#[test]
fn missing_paths_are_warnings_on_the_command_line_and_in_the_editor() {
    let text = r"steps:
- key: a
  cmd: x
  image: a:1
  workdir: /workspace/sub
  cache: {policy: on_change, paths: [Cargo.lok, src/*.rs]}
";
    let project = project(&[("pipeline.yml", text), ("src/main.rs", "")]);
    let (code, output, _) = check(&project, &["pipeline.yml"]);
    assert_eq!(code, 0, "{output}");
    assert!(
        output.contains("`Cargo.lok` matches no file in the project") && output.contains("pipeline.yml:6:"),
        "{output}"
    );
    assert!(output.contains("The sources have no directory `sub`"), "{output}");
    assert!(!output.contains("src/*.rs` matches"), "{output}");
    let mut client = project.serve(Runner::Host);
    client.open(&project.uri(), text);
    let found = client.diagnostics(&project.uri(), 1);
    let codes: Vec<&str> = found.iter().map(|found| found["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["missing-folder", "unmatched-path"]);
    client.quit();
}

#[test]
fn for_a_folder_without_a_pipeline_check_says_how_to_create_one() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, errors) = check(&project(&[]), &[folder.path().to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(errors.contains("pipelens init"), "{errors}");
}

#[test]
fn standard_input_is_checked_as_what_it_looks_like() {
    let project = project(&[]);
    let (code, output, _) = with_input(&project, &["check", "-"], MISTAKE);
    assert_eq!(code, 1);
    assert!(output.contains("--> stdin.yml:7:16"), "{output}");
    let (code, output, _) = with_input(&project, &["check", "-"], "{\"steps\": [{\"key\": \"a\", \"cmd\": \"x\",}]}");
    assert_eq!(code, 1);
    assert!(output.contains("--> stdin.json:1:35"), "{output}");
    let (code, output, _) = with_input(
        &project,
        &["graph", "-"],
        r"name: x
steps:
- {key: a, cmd: x, image: a:1}
",
    );
    assert_eq!((code, output.as_str()), (0, "x\na  [a:1]  x\n"));
}

#[test]
fn sarif_names_the_rule_the_place_and_the_fix() {
    let project = project(&[("my file.yml", MISTAKE)]);
    let (code, output, _) = check(&project, &["--format", "sarif", "my file.yml"]);
    assert_eq!(code, 1);
    let log: Value = serde_json::from_str(&output).unwrap();
    let run = &log["runs"][0];
    let find = |code: &str| {
        run["results"]
            .as_array()
            .unwrap()
            .iter()
            .find(|result| result["ruleId"] == code)
            .unwrap_or_else(|| panic!("{output}"))
    };
    let unknown = find("unknown-step");
    assert_eq!(unknown["level"], "error");
    let place = &unknown["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "my%20file.yml");
    let region = &place["region"];
    assert_eq!(
        [&region["startLine"], &region["startColumn"], &region["endLine"], &region["endColumn"]],
        [&json!(7), &json!(16), &json!(7), &json!(18)]
    );
    // Columns count characters, offsets bytes: the `ñ` above is one and two.
    assert_eq!(region["byteOffset"], MISTAKE.find("nn\n").unwrap());
    let rule = &run["tool"]["driver"]["rules"][usize::try_from(unknown["ruleIndex"].as_u64().unwrap()).unwrap()];
    assert_eq!(rule["id"], "unknown-step");
    assert!(rule["help"]["markdown"].as_str().unwrap().len() > 100, "{rule}");
    assert!(find("self-reference")["fixes"][0]["artifactChanges"][0]["replacements"].is_array());
    assert_eq!(run["columnKind"], "unicodeCodePoints");
}

#[test]
fn github_gets_one_annotation_per_finding() {
    let project = project(&[("a,b.yml", MISTAKE)]);
    let (code, output, _) = check(&project, &["--format", "github", "a,b.yml"]);
    assert_eq!(code, 1);
    let line = output.lines().find(|line| line.contains("unknown-step")).unwrap();
    assert!(
        line.starts_with("::error file=a%2Cb.yml,line=7,endLine=7,col=16,endColumn=18,title=unknown-step::"),
        "{line}"
    );
}

#[test]
fn safe_fixes_are_applied_and_the_file_keeps_its_permissions() {
    let project = project(&[(
        "x.yml",
        r#"steps:
- key: a
  comand: x
  image: Rust:1.95
  retry: "3"
- key: b
  cmd: x
  builds_in: nowhere
"#,
    )]);
    let path = project.folder.path().join("x.yml");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    }
    let before = std::fs::read_to_string(&path).unwrap();
    let (code, output, errors) = check(&project, &["--fix", "x.yml"]);
    let after = std::fs::read_to_string(&path).unwrap();
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("error[unknown-step]"), "what needs a choice stays: {output}");
    assert!(errors.contains("x.yml: ") && errors.contains("applied"), "{errors}");
    assert_ne!(before, after);
    assert!(after.contains("retry: 3\n"), "{after}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }
    let (_, _, errors) = check(&project, &["--fix", "x.yml"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
    let skipped = "x.yml: nothing applied; 2 fixes skipped, because only you can tell whether they are right:\n  line 3, unknown-key: Change to `cmd`\n  line 4, invalid-image: Change to `rust:1.95`\n";
    assert_eq!(errors, skipped);
    let (_, output, _) = with_input(&project, &["check", "--fix", "-"], &before);
    assert_eq!(output, after);
}

//! Problems that tools report in the output of steps, on the files of the project.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Project, Runner, text};
use test_client::Client;

const BROKEN: &str = "int main(void) {\n\treturn missing;\n}\n";
const FIXED: &str = "int main(void) {\n\treturn 0;\n}\n";

fn c_project(pipeline: &str) -> Project {
    let project = Project::new(pipeline);
    std::fs::create_dir_all(project.folder.path().join("src")).unwrap();
    std::fs::write(project.folder.path().join("src/main.c"), BROKEN).unwrap();
    project
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Waits for a report about a file whose number of findings is this.
fn findings(client: &mut Client, uri: &str, count: usize) -> Vec<Value> {
    client.wait(&format!("{count} findings of {uri}"), |message| {
        let params = &message["params"];
        let found = params["diagnostics"].as_array()?;
        let is_it = message["method"] == "textDocument/publishDiagnostics" && params["uri"] == uri;
        (is_it && found.len() == count).then(|| found.clone())
    })
}

#[test]
fn an_error_of_the_compiler_is_shown_on_its_line_until_the_step_runs_without_it() {
    let project = c_project("steps:\n  - key: build\n    cmd: cc -c src/main.c -o main.o\n");
    let file = project.folder.path().join("src/main.c");
    let mut client = project.serve(Runner::Host);
    let argument = json!({"uri": project.uri()});
    let run_id = client.run("pipelens.runPipeline", argument.clone());
    let found = findings(&mut client, &uri(&file), 1).remove(0);
    assert_eq!(found["range"], json!({"start": {"line": 1, "character": 8}, "end": {"line": 1, "character": 15}}));
    assert_eq!((&found["severity"], text(&found["source"]).as_str()), (&json!(1), "cc (step build)"));
    assert!(text(&found["message"]).contains("missing"), "{found}");
    client.run_events(&run_id);
    std::fs::write(&file, FIXED).unwrap();
    let (_, events) = client.run_to_end("pipelens.runPipeline", argument);
    assert_eq!(events.last().unwrap()["outcome"], "succeeded");
    findings(&mut client, &uri(&file), 0);
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn problems_of_the_last_run_are_shown_again_by_a_server_that_was_started_again() {
    let project = c_project("steps:\n  - key: build\n    cmd: cd src && cc -c main.c -o main.o\n");
    std::fs::write(project.folder.path().join("main.c"), FIXED).unwrap();
    let file = uri(&project.folder.path().join("src/main.c"));
    let argument = json!({"uri": project.uri()});
    let mut client = project.serve(Runner::Host);
    client.run_to_end("pipelens.runPipeline", argument.clone());
    let before = findings(&mut client, &file, 1);
    assert_eq!(client.quit().code(), Some(0));

    let mut client = project.serve(Runner::Host);
    assert_eq!(findings(&mut client, &file, 1), before);
    std::fs::write(project.folder.path().join("src/main.c"), FIXED).unwrap();
    client.run_to_end("pipelens.runPipeline", argument);
    findings(&mut client, &file, 0);
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn problems_of_an_earlier_run_are_not_shown_in_a_file_that_was_written_since() {
    let cmd = "cc -c src/main.c -o main.o; echo 'pipeline.yml:2:3: error: first'";
    let project = c_project(&format!("steps:\n  - key: build\n    cmd: \"{cmd}\"\n"));
    let file = uri(&project.folder.path().join("src/main.c"));
    let mut client = project.serve(Runner::Host);
    client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
    findings(&mut client, &file, 1);
    assert_eq!(client.quit().code(), Some(0));

    std::fs::write(project.folder.path().join("src/main.c"), FIXED).unwrap();
    let mut client = project.serve(Runner::Host);
    findings(&mut client, &project.uri(), 1);
    let shown = client.take(|message| {
        message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == file.as_str()
    });
    assert!(shown.is_empty(), "{shown:?}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn problems_move_with_edits_and_share_a_pipeline_with_its_own_findings() {
    let cmd = "echo 'pipeline.yml:2:3: error: first'; echo 'src/main.c:2:9: warning: second'; exit 1";
    let project = c_project(&format!("steps:\n  - key: build\n    cmd: \"{cmd}\"\n"));
    let file = uri(&project.folder.path().join("src/main.c"));
    let mut client = project.serve(Runner::Host);
    client.open(&file, BROKEN);
    client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
    // The compiler counts a tab as eight columns.
    let found = findings(&mut client, &file, 1).remove(0);
    assert_eq!((&found["range"]["start"], &found["severity"]), (&json!({"line": 1, "character": 1}), &json!(2)));
    // The pipeline has the failed step, and what the step says.
    let found = findings(&mut client, &project.uri(), 2);
    let mut sources: Vec<String> = found.iter().map(|found| text(&found["source"])).collect();
    sources.sort();
    assert_eq!(sources, ["output (step build)", "pipelens run"]);
    let start = json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}});
    client.change(&file, 2, &start, "// a\n// b\n");
    client.change(&project.uri(), 2, &start, "# c\n");
    let found = client.diagnostics(&project.uri(), 2);
    let lines: Vec<&Value> = found.iter().map(|found| &found["range"]["start"]["line"]).collect();
    assert!(lines.contains(&&json!(2)) && lines.contains(&&json!(3)), "{lines:?}");
    // A new text as a whole moves it too.
    client.change(&file, 3, &Value::Null, &format!("// a\n// b\n// c\n{BROKEN}"));
    client.wait("the moved problem", |message| {
        let params = &message["params"];
        (params["uri"] == file && params["diagnostics"][0]["range"]["start"]["line"] == 4).then_some(())
    });
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_matcher_of_the_project_is_used_and_nothing_outside_the_project_is_reported() {
    let cmd = "echo 'src/main.c|2|mine'; echo '/etc/passwd:1:1: error: outside'; echo '../x.c:1:1: error: out'";
    let project = c_project(&format!("steps:\n  - key: build\n    cmd: \"{cmd}\"\n"));
    let settings = "problemMatchers:\n  - source: mine\n    severity: info\n    pattern: {regexp: '^(.*)\\|(\\d+)\\|(.*)$', file: 1, line: 2, message: 3}\n";
    std::fs::write(project.folder.path().join(".pipelens.yaml"), settings).unwrap();
    let file = uri(&project.folder.path().join("src/main.c"));
    let mut client = project.serve(Runner::Host);
    client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
    let found = findings(&mut client, &file, 1).remove(0);
    assert_eq!((text(&found["source"]).as_str(), &found["severity"]), ("mine (step build)", &json!(3)));
    let others = client.take(|message| {
        let found = message["params"]["diagnostics"].as_array();
        message["method"] == "textDocument/publishDiagnostics" && found.is_some_and(|found| !found.is_empty())
    });
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_run_reports_problems_to_ci_systems() {
    let project = c_project("steps:\n  - key: build\n    cmd: cc -c src/main.c -o main.o\n");
    let (code, output, _) = project.output(Runner::Host, &["run", "--runner", "host", "--format", "github"]);
    assert_eq!(code, 1, "{output}");
    let annotation =
        output.lines().find(|line| line.starts_with("::error file=")).unwrap_or_else(|| panic!("{output}"));
    assert!(
        annotation.starts_with("::error file=src/main.c,line=2,endLine=2,col=9,endColumn=16,title=cc (step build)::"),
        "{annotation}"
    );
    assert!(output.contains("::error title=build::Step `build`"), "{output}");
    let (code, output, errors) = project.output(Runner::Host, &["run", "--runner", "host", "--format", "sarif"]);
    assert_eq!(code, 1, "{output}");
    let log: Value = serde_json::from_str(&output).unwrap();
    let result = &log["runs"][0]["results"][0];
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(
        (text(&result["level"]).as_str(), text(&place["artifactLocation"]["uri"]).as_str()),
        ("error", "src/main.c")
    );
    assert_eq!((&place["region"]["startLine"], &place["region"]["startColumn"]), (&json!(2), &json!(9)));
    assert!(errors.contains("main.c"), "{errors}");
}

#[test]
fn a_failure_is_marked_on_the_line_that_the_shell_names_and_a_forgiven_one_is_a_warning() {
    let project = Project::new(
        r"steps:
  - key: bad
    soft_fail: true
    cmd: |
      echo one

      no-such-program --flag
",
    );
    let mut client = project.serve(Runner::Host);
    let uri = project.uri();
    client.run_to_end("pipelens.runPipeline", json!({"uri": uri}));
    let found = findings(&mut client, &uri, 1).remove(0);
    assert_eq!(found["range"], json!({"start": {"line": 6, "character": 6}, "end": {"line": 6, "character": 28}}));
    assert_eq!(found["severity"], json!(2));
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_failure_is_marked_on_the_only_line_that_can_have_failed() {
    let project = Project::new(
        r"steps:
  - key: last
    cmd: |
      echo one
      false
      if true; then
        false
      fi
  - key: only
    shell: sh -e
    cmd: |
      echo one
      false
      echo two
  - key: several
    shell: sh -e
    cmd: |
      false
      test -e x
",
    );
    let mut client = project.serve(Runner::Host);
    let uri = project.uri();
    client.run_to_end("pipelens.runPipeline", json!({"uri": uri}));
    let found = client.wait("all three failures", |message| {
        let found = message["params"]["diagnostics"].as_array()?;
        let failed = found.iter().filter(|found| found["code"] == "step-failed");
        let lines: Vec<u64> = failed.filter_map(|found| found["range"]["start"]["line"].as_u64()).collect();
        (lines.len() == 3).then_some(lines)
    });
    assert_eq!(found, [5, 12, 17]);
    assert_eq!(client.quit().code(), Some(0));
}

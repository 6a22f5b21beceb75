//! What is said about files, open or not, to clients that are told and to clients that ask.

use serde_json::{Value, json};

use crate::support::{Project, Runner, binary};
use test_client::{Client, everything};

/// An editor that asks for findings and can be told that there are new ones.
fn asking(project: &Project) -> Client {
    let mut client = Client::spawn(binary(), &[("PIPELENS_STATE_DIR", project.state.path().to_str().unwrap())]);
    client.ignores = test_client::is_routine_or_outcome;
    let mut capabilities = everything();
    capabilities["textDocument"]["diagnostic"] = json!({});
    capabilities["workspace"]["diagnostics"] = json!({"refreshSupport": true});
    let answer = client.initialize(capabilities, json!({"runner": "host"})).unwrap();
    assert_eq!(answer["capabilities"]["diagnosticProvider"]["interFileDependencies"], false, "{answer}");
    client
}

fn pull(client: &mut Client, uri: &str, known: Option<&str>) -> Value {
    let params = json!({"textDocument": {"uri": uri}, "previousResultId": known});
    client.request("textDocument/diagnostic", params).unwrap()
}

fn messages(report: &Value) -> Vec<&str> {
    report["items"].as_array().unwrap().iter().map(|item| item["message"].as_str().unwrap()).collect()
}

#[test]
fn a_client_that_pulls_findings_gets_none_pushed() {
    let project = Project::new(
        r"steps:
  - key: build
    cmd: exit 3
",
    );
    let uri = project.uri();
    let mut client = asking(&project);
    client.open(
        &uri,
        r"steps:
  - key: build
    comand: make
",
    );
    let report = pull(&mut client, &uri, None);
    assert_eq!(report["kind"], "full");
    assert!(messages(&report).iter().any(|message| message.contains("comand")), "{report}");
    let id = report["resultId"].as_str().unwrap();
    assert_eq!(pull(&mut client, &uri, Some(id)), json!({"kind": "unchanged", "resultId": id}));
    client.change(
        &uri,
        2,
        &Value::Null,
        r"steps:
  - key: build
    cmd: exit 3
",
    );
    let report = pull(&mut client, &uri, Some(id));
    assert_eq!((&report["kind"], messages(&report)), (&json!("full"), Vec::new()));
    assert_eq!(client.take(|message| message["method"] == "textDocument/publishDiagnostics"), Vec::<Value>::new());
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_client_that_pulls_findings_is_asked_to_pull_again_when_a_step_has_failed() {
    let project = Project::new(
        r"steps:
  - key: build
    cmd: exit 3
",
    );
    let uri = project.uri();
    let mut client = asking(&project);
    client.open(&uri, &std::fs::read_to_string(project.file()).unwrap());
    client.run("pipelens.runStep", json!({"uri": uri, "step": "build"}));
    client.wait("a refresh", |message| (message["method"] == "workspace/diagnostic/refresh").then_some(()));
    let report = pull(&mut client, &uri, None);
    assert_eq!(messages(&report), ["Step `build` failed: exit 3"]);
    assert_eq!(report["items"][0]["range"]["start"], json!({"line": 2, "character": 9}));
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_mistake_in_the_projects_settings_is_a_finding_in_that_file_although_it_is_not_open() {
    let project = Project::new(
        r"steps:
  - key: build
    cmd: make
",
    );
    let settings = project.folder.path().join(".pipelens.yaml");
    std::fs::write(&settings, "files: [ci.yml]\nparallelism: many\n").unwrap();
    let mut client = project.serve(Runner::Host);
    let uri = format!("file://{}", settings.display());
    let published = |uri: &str| {
        let uri = uri.to_owned();
        move |message: &Value| {
            let params = &message["params"];
            let fits = message["method"] == "textDocument/publishDiagnostics" && params["uri"] == uri.as_str();
            fits.then(|| params["diagnostics"].as_array().unwrap().clone())
        }
    };
    let findings = client.wait("the finding", published(&uri));
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0]["range"]["start"]["line"], 1, "{findings:?}");
    assert!(findings[0]["message"].as_str().unwrap().contains("parallelism"), "{findings:?}");
    // It is read again when the editor's settings change, and taken back.
    std::fs::write(&settings, "parallelism: 2\n").unwrap();
    client.notify("workspace/didChangeConfiguration", json!({"settings": {"runner": "host"}}));
    assert_eq!(client.wait("no finding", published(&uri)), Vec::<Value>::new());
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_failure_follows_its_step_through_edits_and_disappears_when_the_step_runs_again() {
    let project = Project::new(
        r"steps:
  - key: build
    cmd: test -e ok
",
    );
    let uri = project.uri();
    let mut client = project.serve(Runner::Host);
    client.diagnostics(&uri, 1);
    let failure = |message: &Value| {
        let params = &message["params"];
        let fits = message["method"] == "textDocument/publishDiagnostics" && params["version"].as_i64() >= Some(1);
        let first = params["diagnostics"].as_array().and_then(|all| all.first().cloned()).filter(|_| fits)?;
        Some((params["version"].as_i64().unwrap(), first["range"]["start"]["line"].as_i64().unwrap()))
    };
    client.run("pipelens.runStep", json!({"uri": uri, "step": "build"}));
    assert_eq!(client.wait("the failure", failure), (1, 2));
    client.change(
        &uri,
        2,
        &json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}),
        "# new\n",
    );
    assert_eq!(client.wait("the failure below", failure), (2, 3));
    std::fs::write(project.folder.path().join("ok"), "").unwrap();
    let run = client.run("pipelens.runStep", json!({"uri": uri, "step": "build"}));
    client.wait("no failure", |message| {
        let params = &message["params"];
        let fits = message["method"] == "textDocument/publishDiagnostics" && params["uri"] == uri.as_str();
        (fits && params["diagnostics"] == json!([])).then_some(())
    });
    client.run_event("runEnd", |event| event["runId"] == run && event["outcome"] == "succeeded");
    assert_eq!(client.quit().code(), Some(0));
}

/// Asks for the findings of the workspace, and returns the kind of each report with the ids to ask with the next time.
fn pull_all(client: &mut Client, known: &Value) -> (std::collections::BTreeMap<String, Value>, Value) {
    let params = json!({"previousResultIds": known});
    let answer = client.request("workspace/diagnostic", params).unwrap();
    let items = answer["items"].as_array().unwrap();
    let name = |item: &Value| item["uri"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned();
    let ids = items.iter().map(|item| json!({"uri": item["uri"], "value": item["resultId"]})).collect();
    (items.iter().map(|item| (name(item), item.clone())).collect(), ids)
}

#[test]
fn a_client_can_ask_for_the_findings_of_all_pipelines_of_its_folders() {
    let project = Project::new("steps:\n  - key: build\n    cmd: make\n");
    let folder = project.folder.path();
    std::fs::create_dir(folder.join("sub")).unwrap();
    let broken = "steps:\n  - key: build\n    comand: make\n";
    std::fs::write(folder.join("sub/other.pipeline.yml"), broken).unwrap();
    std::fs::write(folder.join("compose.yml"), broken).unwrap();
    let mut client = Client::spawn(binary(), &[("PIPELENS_STATE_DIR", project.state.path().to_str().unwrap())]);
    client.ignores = test_client::is_routine_or_outcome;
    let mut capabilities = everything();
    capabilities["textDocument"]["diagnostic"] = json!({});
    capabilities["workspace"]["diagnostics"] = json!({"refreshSupport": true});
    let folders = json!([{"uri": format!("file://{}", folder.display()), "name": "project"}]);
    let params = json!({"capabilities": capabilities, "workspaceFolders": folders, "initializationOptions": {}});
    let answer = client.request("initialize", params).unwrap();
    assert_eq!(answer["capabilities"]["diagnosticProvider"]["workspaceDiagnostics"], true);
    client.notify("initialized", json!({}));
    client.open(&project.uri(), broken);
    let (reports, known) = pull_all(&mut client, &json!([]));
    assert_eq!(reports.keys().collect::<Vec<_>>(), ["other.pipeline.yml", "pipeline.yml"]);
    for (name, version) in [("other.pipeline.yml", Value::Null), ("pipeline.yml", json!(1))] {
        let report = &reports[name];
        assert_eq!((&report["kind"], &report["version"]), (&json!("full"), &version));
        assert!(messages(report).iter().any(|message| message.contains("comand")), "{report}");
    }
    let (reports, known) = pull_all(&mut client, &known);
    assert!(reports.values().all(|report| report["kind"] == "unchanged"), "{reports:?}");
    // One is corrected on disk, the other in the editor's text.
    std::fs::write(folder.join("sub/other.pipeline.yml"), "steps:\n  - key: build\n    cmd: make\n").unwrap();
    client.change(&project.uri(), 2, &Value::Null, "steps:\n  - key: build\n    cmd: make\n");
    let (reports, known) = pull_all(&mut client, &known);
    for report in reports.values() {
        assert_eq!((&report["kind"], messages(report)), (&json!("full"), Vec::new()), "{report}");
    }
    // A file that is gone has no findings.
    std::fs::write(folder.join("sub/other.pipeline.yml"), broken).unwrap();
    let (_, known_broken) = pull_all(&mut client, &known);
    std::fs::remove_file(folder.join("sub/other.pipeline.yml")).unwrap();
    client.notify("workspace/didChangeWatchedFiles", json!({"changes": []}));
    let (reports, known) = pull_all(&mut client, &known_broken);
    assert_eq!(messages(&reports["other.pipeline.yml"]), Vec::<&str>::new());
    let (reports, _) = pull_all(&mut client, &known);
    assert!(reports.values().all(|report| report["kind"] == "unchanged"), "{reports:?}");
    assert_eq!(client.take(|message| message["method"] == "textDocument/publishDiagnostics"), Vec::<Value>::new());
    assert_eq!(client.quit().code(), Some(0));
}

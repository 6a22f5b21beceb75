//! What a server that was started again knows of the runs before: of a killed server, of another one, of the command line.

use serde_json::{Value, json};

use crate::support::{Project, Runner, outcomes, text};
use test_client::Client;

const PIPELINE: &str = r"steps:
  - key: good
    cmd: echo fine
  - key: bad
    cmd: echo broken >&2; test -e fixed
  - key: after
    cmd: 'true'
    depends_on: bad
";

fn kill(mut client: Client) {
    client.child.kill().unwrap();
    client.child.wait().unwrap();
}

/// Waits until the lenses are as wanted; the server asks for a look at them when there is something new to see.
fn lenses(client: &mut Client, uri: &str, is_wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
    loop {
        let titles = client.lens_titles(uri);
        if is_wanted(&titles) {
            return titles;
        }
        client.wait(&format!("other lenses than {titles:?}"), |message| {
            (message["method"] == "workspace/codeLens/refresh").then_some(())
        });
    }
}

fn marks(client: &mut Client, uri: &str, is_wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    client.wait("marks", |message| {
        let params = &message["params"];
        let found: Vec<Value> = params["diagnostics"].as_array().cloned().unwrap_or_default();
        let failures: Vec<Value> = found.into_iter().filter(|found| found["code"] == "step-failed").collect();
        (message["method"] == "textDocument/publishDiagnostics" && params["uri"] == uri && is_wanted(&failures))
            .then_some(failures)
    })
}

fn has(titles: &[String], wanted: &str) -> bool {
    titles.iter().any(|title| title.contains(wanted))
}

#[test]
fn a_server_that_was_killed_and_started_again_knows_what_its_runs_did() {
    let project = Project::new(PIPELINE);
    let uri = project.uri();
    let mut client = project.serve(Runner::Host);
    let (run_id, _) = client.run_to_end("pipelens.runPipeline", json!({"uri": uri}));
    let before = client.lens_titles(&uri);
    kill(client);

    let mut client = project.serve(Runner::Host);
    let titles = lenses(&mut client, &uri, |titles| has(titles, "✗ exit 1 · open log"));
    assert_eq!(titles, before);
    let failures = marks(&mut client, &uri, |failures| !failures.is_empty());
    assert_eq!(failures[0]["range"]["start"]["line"], 4);
    assert_eq!(failures[0]["message"], "Step `bad` failed: exit 1\nbroken");
    let hover = json!({"textDocument": {"uri": uri}, "position": {"line": 1, "character": 10}});
    let said = text(&client.request("textDocument/hover", hover).unwrap()["contents"]["value"]);
    assert!(said.contains("Last run: ✓"), "{said}");
    let log = client.execute("pipelens.openLog", json!({"step": "good"})).unwrap();
    assert!(std::fs::read_to_string(text(&log["path"])).unwrap().contains("fine"));
    let shell = client.execute("pipelens.openShell", json!({"runId": run_id, "step": "bad"})).unwrap();
    assert!(text(&shell["command"]).contains("sh"), "{shell}");
    for method in ["window/showDocument", "window/showMessage"] {
        client.wait(method, |message| (message["method"] == method).then_some(()));
    }
    let tree = client.request("pipelens/runs", json!({"uri": uri})).unwrap();
    let (run, step) = (&tree["pipelines"][0]["runs"][0], &tree["pipelines"][0]["steps"][1]);
    assert_eq!((text(&run["runId"]), &run["isOwn"], &run["state"]), (run_id, &json!(false), &json!("failed")));
    assert_eq!((&step["state"]["state"], &step["state"]["exitCode"]), (&json!("failed"), &json!(1)));
    assert!(step["state"]["durationMs"].is_u64() && step["state"]["shell"].is_string(), "{step}");
    std::fs::write(project.folder.path().join("fixed"), "").unwrap();
    let (_, events) = client.run_to_end("pipelens.rerunFailed", json!({}));
    let step = |key: &str| (key.to_owned(), "succeeded".to_owned());
    assert_eq!(outcomes(&events), [step("bad"), step("after")]);
    marks(&mut client, &uri, <[Value]>::is_empty);
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn commands_know_what_has_run_even_before_a_document_is_open() {
    let project = Project::new(PIPELINE);
    let mut client = project.serve(Runner::Host);
    client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
    kill(client);
    let state = project.state.path().to_str().unwrap();
    let mut client = Client::spawn(crate::support::binary(), &[("PIPELENS_STATE_DIR", state)]);
    client.ignores = test_client::is_anything;
    let folder = json!({"uri": format!("file://{}", project.folder.path().display()), "name": "project"});
    let params = json!({
        "capabilities": {}, "workspaceFolders": [folder], "initializationOptions": {"runner": "host"},
    });
    client.request("initialize", params).unwrap();
    client.notify("initialized", json!({}));
    let log = client.execute("pipelens.openLog", json!({})).unwrap();
    assert!(text(&log["path"]).ends_with("bad.log"), "{log}");
    client.execute("pipelens.rerunFailed", json!({})).unwrap();
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_step_that_was_edited_since_has_neither_a_tick_nor_a_mark() {
    let project = Project::new(PIPELINE);
    let uri = project.uri();
    let mut client = project.serve(Runner::Host);
    client.run_to_end("pipelens.runPipeline", json!({"uri": uri}));
    kill(client);

    // In the meantime, while no server saw it: the file is in two versions, one after the other.
    let edited = PIPELINE.replace("echo fine", "echo finer");
    std::fs::write(project.file(), &edited).unwrap();
    let mut client = project.serve(Runner::Host);
    let titles = lenses(&mut client, &uri, |titles| has(titles, "✗ exit 1 · open log"));
    assert!(!has(&titles, "✓") && titles[0] == "0: ✗ 1 of 3 failed", "{titles:?}");
    // The failure is removed while the text is another, and is there again when it is the same.
    marks(&mut client, &uri, |failures| failures.len() == 1);
    client.change(&uri, 2, &Value::Null, &edited.replace("test -e fixed", "test -e repaired"));
    marks(&mut client, &uri, <[Value]>::is_empty);
    let titles = client.lens_titles(&uri);
    assert!(!has(&titles, "exit 1") && titles[0] == "0: ▶ Run pipeline", "{titles:?}");
    client.change(&uri, 3, &Value::Null, &format!("# A comment.\n{PIPELINE}"));
    let failures = marks(&mut client, &uri, |failures| failures.len() == 1);
    assert_eq!(failures[0]["range"]["start"]["line"], 5);
    let titles = client.lens_titles(&uri);
    assert!(has(&titles, "✗ failed after") && has(&titles, "✓") && has(&titles, "exit 1"), "{titles:?}");
    // A text that cannot run tells nothing.
    client.change(&uri, 4, &Value::Null, &PIPELINE.replace("depends_on: bad", "depends_on: bda"));
    marks(&mut client, &uri, <[Value]>::is_empty);
    assert!(!has(&client.lens_titles(&uri), "✓"));
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_tick_of_this_process_is_gone_when_its_step_is_edited() {
    let project = Project::new(PIPELINE);
    let uri = project.uri();
    let mut client = project.serve(Runner::Host);
    client.run_to_end("pipelens.runStep", json!({"uri": uri, "step": "good"}));
    assert!(has(&client.lens_titles(&uri), "1: ✓"));
    client.change(&uri, 2, &Value::Null, &PIPELINE.replace("echo fine", "echo finer"));
    assert!(!has(&client.lens_titles(&uri), "✓"));
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn what_had_ended_before_the_server_was_killed_is_known_and_nothing_else() {
    let project = Project::new(
        r"steps:
  - {key: quick, cmd: 'true'}
  - {key: slow, cmd: echo up; sleep 1000, depends_on: quick}
",
    );
    let uri = project.uri();
    let mut client = project.serve(Runner::Host);
    client.run("pipelens.runPipeline", json!({"uri": uri}));
    client.run_event("stepLog", |event| event["step"] == "slow");
    kill(client);
    let mut client = project.serve(Runner::Host);
    let titles = lenses(&mut client, &uri, |titles| has(titles, "1: ✓"));
    assert!(has(&titles, "0: ■ cancelled") && !has(&titles, "2: ✓") && !has(&titles, "Cancel ("), "{titles:?}");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn runs_of_the_command_line_are_known_too_but_not_in_a_workspace_without_trust() {
    let project = Project::new(PIPELINE);
    let uri = project.uri();
    assert_eq!(project.output(Runner::Host, &["run", "--runner", "host", "pipeline.yml"]).0, 1);
    let mut client = project.serve(Runner::Host);
    lenses(&mut client, &uri, |titles| has(titles, "✓") && has(titles, "✗ exit 1"));
    assert_eq!(client.quit().code(), Some(0));
    let state = project.state.path().to_str().unwrap();
    let options = json!({"runner": "host", "workspaceTrusted": false});
    let mut client = Client::start(crate::support::binary(), &[("PIPELENS_STATE_DIR", state)], options);
    client.open(&uri, PIPELINE);
    let tree = client.request("pipelens/runs", json!({})).unwrap();
    assert_eq!(tree["pipelines"][0]["runs"], json!([]));
    assert!(!has(&client.lens_titles(&uri), "✓"));
    assert_eq!(client.quit().code(), Some(0));
}

/// Returns the fields of all objects in a value, with the path to them; what is in lists and under keys of steps counts as one.
fn fields(value: &Value, path: &str, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let is_of_steps = path.ends_with(".runs.steps");
                let path = if is_of_steps { format!("{path}.*") } else { format!("{path}.{name}") };
                found.insert(path.clone());
                fields(value, &path, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, path, found)),
        _ => {}
    }
}

#[test]
fn a_tree_of_runs_has_the_fields_of_the_shared_sample() {
    let sample = include_str!("../fixtures/protocol/runs.json");
    let mut expected = std::collections::BTreeSet::new();
    fields(&serde_json::from_str(sample).unwrap(), "", &mut expected);
    let project = Project::new(&format!("{PIPELINE}  - {{key: all, cmd: 'true', matrix: {{os: [a, b]}}}}\n"));
    let mut client = project.serve(Runner::Host);
    client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
    let tree = client.request("pipelens/runs", json!({})).unwrap();
    let mut sent = std::collections::BTreeSet::new();
    fields(&tree, "", &mut sent);
    assert_eq!(sent, expected);
    assert_eq!(client.quit().code(), Some(0));
}

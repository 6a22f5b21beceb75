//! How the server starts and ends, whatever the client does. Each test is a way in which servers are known to hang or to die.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Project, binary, outcomes};
use test_client::{Client, everything, exit_status};

fn client() -> Client {
    Client::start(binary(), &[], Value::Null)
}

#[test]
fn shutdown_and_exit_end_the_process_while_the_input_stays_open() {
    assert_eq!(client().quit().code(), Some(0));
}

#[test]
fn a_message_after_exit_changes_nothing() {
    let mut client = client();
    client.request("shutdown", Value::Null).unwrap();
    client.notify("exit", Value::Null);
    client.notify("initialized", json!({}));
    client.close_input();
    assert_eq!(client.exit_status().code(), Some(0));
}

#[test]
fn exit_without_shutdown_is_code_1() {
    let mut client = client();
    client.notify("exit", Value::Null);
    assert_eq!(client.exit_status().code(), Some(1));
}

#[test]
fn the_end_of_input_ends_the_process_although_a_handler_still_runs() {
    let mut client = client();
    client.ask("pipelens/fault/wait", json!({"ms": 600_000}));
    client.close_input();
    assert_eq!(client.exit_status().code(), Some(1));
}

#[test]
fn the_end_of_input_after_shutdown_is_code_0() {
    let mut client = client();
    client.request("shutdown", Value::Null).unwrap();
    client.close_input();
    assert_eq!(client.exit_status().code(), Some(0));
}

#[test]
fn a_client_that_closes_the_output_ends_the_process() {
    let mut child = Command::new(binary()).arg("lsp").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": everything()}})
        .to_string();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    assert_eq!(exit_status(&mut child).code(), Some(1));
}

#[test]
#[cfg(unix)]
fn a_dead_parent_ends_the_process_although_its_pipes_are_open() {
    let mut parent = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut client = Client::spawn(binary(), &[]);
    let params = json!({"processId": parent.id(), "capabilities": everything()});
    client.request("initialize", params).unwrap();
    // The watch must have seen it alive once, or it would say nothing by dying.
    client.request("pipelens/fault/wait", json!({"ms": 1100})).unwrap();
    drop(parent.stdin.take());
    parent.wait().unwrap();
    assert_eq!(client.exit_status().code(), Some(1));
}

#[test]
#[cfg(unix)]
fn sigterm_ends_the_process() {
    let mut client = client();
    let id = client.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(client.exit_status().code(), Some(143));
}

#[test]
fn a_request_before_initialize_is_refused() {
    let mut client = Client::spawn(binary(), &[]);
    let error = client.request("textDocument/hover", json!({})).unwrap_err();
    assert_eq!(error["code"], -32002);
    client.initialize(everything(), Value::Null).unwrap();
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_document_before_initialize_is_ignored() {
    let mut client = Client::spawn(binary(), &[]);
    client.open("file:///x/pipeline.yml", "steps: []\n");
    client.initialize(everything(), Value::Null).unwrap();
    assert!(client.lenses("file:///x/pipeline.yml").is_empty());
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_second_initialize_is_refused() {
    let mut client = client();
    let error = client.request("initialize", json!({"capabilities": {}})).unwrap_err();
    assert_eq!(error["code"], -32600);
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_request_after_shutdown_is_refused() {
    let mut client = client();
    client.request("shutdown", Value::Null).unwrap();
    let error = client.request("textDocument/hover", json!({})).unwrap_err();
    assert_eq!(error["code"], -32600);
    client.notify("exit", Value::Null);
    assert_eq!(client.exit_status().code(), Some(0));
}

#[test]
fn nothing_but_frames_is_written_to_the_output_and_nothing_to_the_error_output() {
    let mut child = Command::new(binary())
        .args(["lsp", "--stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for body in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "shutdown"}),
        json!({"jsonrpc": "2.0", "method": "exit"}),
    ] {
        let body = body.to_string();
        std::io::Write::write_all(&mut stdin, format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
            .unwrap();
    }
    assert_eq!(exit_status(&mut child).code(), Some(0));
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(output.starts_with("Content-Length: "), "{output}");
    assert_eq!(output.matches("Content-Length").count(), 2, "{output}");
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "");
}

#[test]
fn the_users_settings_count_whatever_the_editor_sends() {
    for sent in [Value::Null, json!({}), json!([]), json!({"pipelens": null}), json!({"pipelens": {}, "yaml": {}})] {
        let project = Project::new("steps:\n  - {key: a, cmd: 'true', runner: host}\n");
        let settings = project.state.path().join("settings.yaml");
        std::fs::write(&settings, "allowHostRunner: true\n").unwrap();
        let environment = [
            ("PIPELENS_STATE_DIR", project.state.path().to_str().unwrap()),
            ("PIPELENS_SETTINGS", settings.to_str().unwrap()),
            ("DOCKER_HOST", "unix:///nonexistent/docker.sock"),
        ];
        let mut client = Client::start(binary(), &environment, sent.clone());
        client.ignores = test_client::is_routine_or_outcome;
        client.open(&project.uri(), &std::fs::read_to_string(project.file()).unwrap());
        client.notify("workspace/didChangeConfiguration", json!({"settings": sent}));
        let (_, events) = client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
        assert_eq!(outcomes(&events), [("a".to_owned(), "succeeded".to_owned())], "{sent}");
        client.quit();
    }
}

#[test]
fn an_editor_that_then_sends_no_settings_keeps_those_it_has_started_the_server_with() {
    let project = Project::new("steps:\n  - {key: a, cmd: 'true'}\n");
    let environment = [
        ("PIPELENS_STATE_DIR", project.state.path().to_str().unwrap()),
        ("DOCKER_HOST", "unix:///nonexistent/docker.sock"),
    ];
    let mut client = Client::start(binary(), &environment, json!({"runner": "host", "run": {"endMessage": false}}));
    client.ignores = test_client::is_routine_or_outcome;
    client.open(&project.uri(), &std::fs::read_to_string(project.file()).unwrap());
    for (settings, outcome) in [
        (json!({}), "succeeded"),
        (json!({"runner": "docker", "run": {"endMessage": false}}), "engineUnreachable"),
        (json!({"pipelens": {}}), "succeeded"),
    ] {
        client.notify("workspace/didChangeConfiguration", json!({"settings": settings}));
        let (_, events) = client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
        assert_eq!(events.last().unwrap()["outcome"], outcome, "{settings}");
    }
    client.quit();
}

//! What the server tells about its own work: to a client that asks for it, and in its log file.

use serde_json::{Value, json};

use crate::support::{Project, Runner, text};
use test_client::Client;

const PIPELINE: &str = "steps:\n  - key: only\n    cmd: echo hello\n";

fn hover(client: &mut Client, uri: &str) {
    let place = json!({"textDocument": {"uri": uri}, "position": {"line": 1, "character": 5}});
    client.request("textDocument/hover", place).unwrap();
}

fn traces(client: &mut Client) -> Vec<Value> {
    client.take(|message| message["method"] == "$/logTrace")
}

#[test]
fn a_client_is_told_as_much_as_it_wants_to_know() {
    let project = Project::new(PIPELINE);
    let mut client = project.serve(Runner::Host);
    let uri = project.uri();
    let next = |client: &mut Client| {
        client.wait("a trace", |message| (message["method"] == "$/logTrace").then(|| message["params"].clone()))
    };
    hover(&mut client, &uri);
    client.notify("$/setTrace", json!({"value": "messages"}));
    hover(&mut client, &uri);
    // There was none before it was asked for.
    let trace = next(&mut client);
    assert!(text(&trace["message"]).starts_with("textDocument/hover (3): answered after "), "{trace}");
    assert_eq!(trace.get("verbose"), None);
    client.notify("$/setTrace", json!({"value": "verbose"}));
    hover(&mut client, &uri);
    let trace = client.wait("the parameters of the request", |message| message["params"].get("verbose").cloned());
    assert!(text(&trace).contains("\"character\":5"), "{trace}");
    assert_eq!(traces(&mut client).len(), 1, "of the change to `verbose`");
    client.notify("$/setTrace", json!({"value": "off"}));
    hover(&mut client, &uri);
    hover(&mut client, &uri);
    assert_eq!(traces(&mut client), Vec::<Value>::new());
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn the_log_file_has_every_request_and_every_run_with_how_long_it_took() {
    let project = Project::new(PIPELINE);
    let log = project.state.path().join("server.log");
    let mut command = project.command(Runner::Host, &["lsp", "--log"]);
    let mut client = Client::spawn_command(command.arg(&log));
    client.ignores = test_client::is_routine_or_outcome;
    client.initialize(test_client::everything(), json!({"runner": "host"})).unwrap();
    let uri = project.uri();
    client.open(&uri, PIPELINE);
    hover(&mut client, &uri);
    let (run_id, _) = client.run_to_end("pipelens.runPipeline", json!({"uri": uri}));
    assert_eq!(client.quit().code(), Some(0));
    let lines = std::fs::read_to_string(&log).unwrap();
    let has = |parts: &[&str]| lines.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["request{method=\"textDocument/hover\"", "id=\"2\"", "close", "time.busy="]), "{lines}");
    assert!(has(&["run{", &run_id, "step ended", "step=\"only\"", "outcome=\"succeeded\"", "took="]), "{lines}");
    assert!(has(&["run{", &run_id, "close", "time.busy="]), "{lines}");
}

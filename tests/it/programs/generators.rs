//! Any other program, which a command of the user's executes.

use std::fs;

use serde_json::json;

use super::project;
use crate::support::{Runner, binary, text};
use test_client::Client;

/// What a command prints for a file, and where it says that the steps are made.
const GENERATED: &str = r#"{"version": "0", "graph": {"nodes": [{"step": {"key": "a", "cmd": "echo made", "image": "alpine:3"}, "env": {}}],
"node_holes": [], "edge_property": "directed", "edges": []}, "places": {"": {"heading": [1, 1, 1, 9], "steps": {"a": [2, 3, 2, 7]}}}}"#;

#[test]
fn the_users_command_makes_a_pipeline_from_any_file() {
    let project = project(None, "");
    let file = project.folder.path().join("ci/pipeline.jsonnet");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, "// größe\n  größe: step\n").unwrap();
    let answer = project.state.path().join("answer.json");
    fs::write(&answer, GENERATED).unwrap();
    // It is given the text of the editor, which here decides whether it fails.
    let script = format!("grep -q step && test -e \"$1\" && cat {}", answer.display());
    let commands = json!({"ci/*.jsonnet": ["sh", "-c", script, "sh", "{file}"]});
    let uri = format!("file://{}", file.display());
    let mut client = Client::start(
        binary(),
        &[("PIPELENS_STATE_DIR", project.state.path().to_str().unwrap())],
        json!({"runner": "host", "programs": {"commands": commands}}),
    );
    client.ignores = test_client::is_routine_or_outcome;
    client.open(&uri, &fs::read_to_string(&file).unwrap());
    assert!(client.lens_titles(&uri)[0].ends_with("▶ Run pipeline"));
    let (_, events) = client.run_to_end("pipelens.runPipeline", json!({"uri": uri}));
    assert_eq!(events.last().unwrap()["outcome"], "succeeded");
    let symbols = client.request("textDocument/documentSymbol", json!({"textDocument": {"uri": uri}})).unwrap();
    let range = json!({"start": {"line": 1, "character": 2}, "end": {"line": 1, "character": 6}});
    assert_eq!(symbols[0]["children"][0]["range"], range, "{symbols}");
    client.change(&uri, 2, &json!({"start": {"line": 1, "character": 0}, "end": {"line": 2, "character": 0}}), "");
    let refused = client.execute("pipelens.runPipeline", json!({"uri": uri})).unwrap_err();
    assert!(text(&refused["message"]).contains("the command for this file"), "{refused}");
    assert_eq!(client.quit().code(), Some(0));
    let settings = project.state.path().join("settings.yaml");
    fs::write(settings, json!({"programs": {"commands": commands}}).to_string()).unwrap();
    let (code, plan, errors) = project.output(Runner::Host, &["plan", "ci/pipeline.jsonnet", "--runner", "host"]);
    assert!(code == 0 && plan.contains("alpine:3"), "{plan}{errors}");
}

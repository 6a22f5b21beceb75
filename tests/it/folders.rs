//! Several folders in one editor, each with settings of its own.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{binary, text};
use test_client::{Client, everything};

const PIPELINE: &str = "steps:\n  - key: a\n    cmd: echo ran\n";

fn uri(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

/// Starts an editor with these folders that can be asked for settings, and opens the pipeline of each.
fn editor(state: &Path, folders: &[&Path], options: Value, configuration: Value) -> Client {
    let environment =
        [("PIPELENS_STATE_DIR", state.to_str().unwrap()), ("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
    let mut client = Client::spawn(binary(), &environment);
    client.ignores = test_client::is_anything;
    client.configuration = configuration;
    let mut capabilities = everything();
    capabilities["workspace"]["configuration"] = json!(true);
    let folders: Vec<Value> = folders.iter().map(|folder| json!({"uri": uri(folder), "name": "folder"})).collect();
    let params = json!({"capabilities": capabilities, "workspaceFolders": folders, "initializationOptions": options});
    let answer = client.request("initialize", params).unwrap();
    assert_eq!(answer["capabilities"]["workspace"]["workspaceFolders"]["supported"], true);
    client.notify("initialized", json!({}));
    for folder in folders {
        client.open(&format!("{}/pipeline.yml", text(&folder["uri"])), PIPELINE);
    }
    client
}

/// Waits until the lenses of a folder's pipeline are these.
fn lenses(client: &mut Client, folder: &Path, expected: &[&str]) {
    loop {
        let titles = client.lens_titles(&format!("{}/pipeline.yml", uri(folder)));
        if titles == expected {
            return;
        }
        client.wait(&format!("{expected:?} instead of {titles:?}"), |message| {
            (message["method"] == "workspace/codeLens/refresh").then_some(())
        });
    }
}

const ALL: [&str; 4] = ["0: ▶ Run pipeline", "0: ◎ Watch pipeline", "1: ▶ Run step", "1: ◎ Watch step"];
const WITHOUT_WATCH: [&str; 2] = ["0: ▶ Run pipeline", "1: ▶ Run step"];

#[test]
fn each_folder_has_its_own_settings_over_those_of_the_session() {
    let (state, one, other) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&one, &other] {
        std::fs::write(folder.path().join("pipeline.yml"), PIPELINE).unwrap();
    }
    let own = json!({uri(one.path()): {"pipelens": {"lenses": {"watch": false}, "runner": "host"}}});
    let mut client = editor(state.path(), &[one.path(), other.path()], json!({"runner": "docker"}), own);
    lenses(&mut client, one.path(), &WITHOUT_WATCH);
    lenses(&mut client, other.path(), &ALL);
    let (_, events) =
        client.run_to_end("pipelens.runPipeline", json!({"uri": format!("{}/pipeline.yml", uri(one.path()))}));
    assert_eq!(events.last().unwrap()["outcome"], "succeeded", "the folder's runner is `host`");
    let (_, events) =
        client.run_to_end("pipelens.runPipeline", json!({"uri": format!("{}/pipeline.yml", uri(other.path()))}));
    assert_eq!(events.last().unwrap()["outcome"], "engineUnreachable");
    // The user changes the settings of the other folder.
    client.configuration = json!({uri(other.path()): {"pipelens": {"lenses": {"pipeline": false, "watch": false}}}});
    client.notify("workspace/didChangeConfiguration", json!({"settings": null}));
    loop {
        let titles = client.lens_titles(&format!("{}/pipeline.yml", uri(other.path())));
        if titles.iter().all(|title| title.starts_with("1: ") && !title.contains('◎')) {
            break;
        }
        client.wait("other lenses", |message| (message["method"] == "workspace/codeLens/refresh").then_some(()));
    }
    assert!(client.lens_titles(&format!("{}/pipeline.yml", uri(one.path()))).len() > 2);
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_folder_that_is_added_later_is_asked_for_and_one_that_is_removed_is_forgotten() {
    let (state, one, other) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let own = json!({uri(other.path()): {"pipelens": {"lenses": {"watch": false}}}});
    let mut client = editor(state.path(), &[one.path()], json!({}), own);
    client.open(&format!("{}/pipeline.yml", uri(other.path())), PIPELINE);
    lenses(&mut client, other.path(), &ALL);
    let folder = json!({"uri": uri(other.path()), "name": "other"});
    client.notify("workspace/didChangeWorkspaceFolders", json!({"event": {"added": [folder], "removed": []}}));
    lenses(&mut client, other.path(), &WITHOUT_WATCH);
    lenses(&mut client, one.path(), &ALL);
    client.notify("workspace/didChangeWorkspaceFolders", json!({"event": {"added": [], "removed": [folder]}}));
    lenses(&mut client, other.path(), &ALL);
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn a_client_that_has_nothing_for_a_folder_keeps_what_it_said_at_the_start() {
    let (state, one) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for nothing in [Value::Null, json!({}), json!([]), json!("none")] {
        let own = json!({"pipelens": nothing});
        let mut client = editor(state.path(), &[one.path()], json!({"lenses": {"watch": false}}), own);
        client.wait("the question", |message| (message["method"] == "workspace/configuration").then_some(()));
        lenses(&mut client, one.path(), &WITHOUT_WATCH);
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn a_document_that_was_never_saved_is_analysed_and_says_why_it_cannot_run() {
    let state = tempfile::tempdir().unwrap();
    let mut client = editor(state.path(), &[], json!({}), Value::Null);
    let unsaved = "untitled:Untitled-1";
    client.open(unsaved, "# pipelens: pipeline\nsteps:\n  - key: a\n    comand: x\n");
    let found = client.diagnostics(unsaved, 1);
    assert!(found.iter().any(|found| text(&found["message"]).contains("comand")), "{found:?}");
    let hover = json!({"textDocument": {"uri": unsaved}, "position": {"line": 2, "character": 5}});
    assert!(client.request("textDocument/hover", hover).unwrap()["contents"].is_object());
    client.change(unsaved, 2, &Value::Null, "# pipelens: pipeline\nsteps:\n  - key: a\n    cmd: x\n");
    let refused = client.execute("pipelens.runPipeline", json!({"uri": unsaved})).unwrap_err();
    assert_eq!(refused["message"], "The document was never saved, so it has no folder to run in. Save it first");
    assert_eq!(client.quit().code(), Some(0));
}

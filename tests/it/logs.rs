//! The log of a step as a document: live, with what can be folded, and with links to the files it names.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Project, Runner, text};
use test_client::{Client, everything};

/// Prints what a compiler prints, waits for a file, and fails.
fn project() -> Project {
    let project = Project::new("");
    std::fs::create_dir(project.folder.path().join("src")).unwrap();
    std::fs::write(project.folder.path().join("src/main.c"), "int main(void) {\n    return missing;\n}\n").unwrap();
    let go = project.state.path().join("go");
    let pipeline = format!(
        r#"steps:
  - key: Build it
    cmd: |
      echo "::group::compile"
      printf '\033[31msrc/main.c:2:12: error: missing is not declared\033[0m\n'
      echo "::endgroup::"
      while [ ! -e {} ]; do sleep 0.02; done
      echo the end
      exit 3
"#,
        go.display()
    );
    std::fs::write(project.file(), pipeline).unwrap();
    project
}

/// A client that shows documents of the server, if it is to.
fn client(project: &Project, shows_content: bool) -> (Client, Value) {
    let mut command = project.command(Runner::Host, &["lsp"]);
    let mut client = Client::spawn_command(&mut command);
    client.ignores = test_client::is_routine_or_outcome;
    let mut capabilities = everything();
    if shows_content {
        capabilities["workspace"]["textDocumentContent"] = json!({"dynamicRegistration": false});
    }
    let answer = client.initialize(capabilities, json!({"runner": "host"})).unwrap();
    client.open(&project.uri(), &std::fs::read_to_string(project.file()).unwrap());
    (client, answer)
}

fn content(client: &mut Client, uri: &str) -> String {
    text(&client.request("workspace/textDocumentContent", json!({"uri": uri})).unwrap()["text"])
}

/// Asks for the text again after each refresh, until it has this.
fn wait_for_text(client: &mut Client, uri: &str, wanted: &str) -> String {
    loop {
        let shown = content(client, uri);
        if shown.contains(wanted) {
            return shown;
        }
        client.wait("a refresh of the log", |message| {
            let is_it = message["method"] == "workspace/textDocumentContent/refresh" && message["params"]["uri"] == uri;
            is_it.then_some(())
        });
    }
}

fn shown_document(client: &mut Client) -> String {
    client.wait("a document to show", |message| {
        (message["method"] == "window/showDocument").then(|| text(&message["params"]["uri"]))
    })
}

fn failure(client: &mut Client) -> Value {
    client.wait("the failure", |message| {
        let found = message["params"]["diagnostics"].as_array()?;
        found.iter().find(|found| found["code"] == "step-failed").cloned()
    })
}

#[test]
fn a_log_is_a_document_that_follows_the_step() {
    let project = project();
    let (mut client, answer) = client(&project, true);
    assert_eq!(answer["capabilities"]["workspace"]["textDocumentContent"], json!({"schemes": ["pipelens-log"]}));
    let run_id = client.run("pipelens.runPipeline", json!({"uri": project.uri()}));
    client.run_event("stepLog", |_| true);
    let opened = client.execute("pipelens.openLog", json!({"runId": run_id})).unwrap();
    let uri = text(&opened["uri"]);
    assert_eq!(uri, format!("pipelens-log:/{run_id}/%2542uild%2520it.log"));
    assert_eq!(shown_document(&mut client), uri);
    wait_for_text(&mut client, &uri, "endgroup");
    std::fs::write(project.state.path().join("go"), "").unwrap();
    let shown = wait_for_text(&mut client, &uri, "the end");
    let lines = ["::group::compile", "src/main.c:2:12: error: missing is not declared", "::endgroup::", "the end", ""];
    assert_eq!(shown, lines.join("\n"));
    client.run_events(&run_id);
    // The failure leads to its last lines there.
    let related = failure(&mut client)["relatedInformation"].clone();
    let last = &related[3];
    assert_eq!((text(&last["message"]).as_str(), text(&last["location"]["uri"])), ("the end", uri.clone()));
    assert_eq!(last["location"]["range"]["start"], json!({"line": 3, "character": 0}));
    let document = json!({"textDocument": {"uri": uri}});
    let folds = client.request("textDocument/foldingRange", document.clone()).unwrap();
    assert_eq!(folds, json!([{"startLine": 0, "endLine": 2, "kind": "region"}]));
    let links = client.request("textDocument/documentLink", document).unwrap();
    let source = project.folder.path().join("src/main.c").canonicalize().unwrap();
    let range = json!({"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 15}});
    assert_eq!(links, json!([{"range": range, "target": format!("file://{}#L2,12", source.display())}]));
    // What is closed is not refreshed any more; what is not known has no text.
    client.notify("textDocument/didClose", json!({"textDocument": {"uri": uri}}));
    let unknown = client.request("workspace/textDocumentContent", json!({"uri": "pipelens-log:/x/y.log"}));
    assert_eq!(unknown.unwrap_err()["code"], -32803);
    client.take(|message| message["method"] == "workspace/textDocumentContent/refresh");
    assert_eq!(client.quit().code(), Some(0));
}

#[test]
fn the_file_of_a_log_has_folds_and_links_too() {
    let project = project();
    std::fs::write(project.state.path().join("go"), "").unwrap();
    let (mut client, answer) = client(&project, false);
    assert_eq!(answer["capabilities"]["workspace"].get("textDocumentContent"), None);
    client.run_to_end("pipelens.runPipeline", json!({"uri": project.uri()}));
    let opened = client.execute("pipelens.openLog", json!({})).unwrap();
    let path = text(&opened["path"]);
    let uri = shown_document(&mut client);
    assert!(uri.starts_with("file://"), "{uri}");
    let last = failure(&mut client)["relatedInformation"][3].clone();
    assert_eq!((text(&last["location"]["uri"]), &last["location"]["range"]["start"]["line"]), (uri.clone(), &json!(3)));
    let log = std::fs::read_to_string(Path::new(&path)).unwrap();
    client.notify(
        "textDocument/didOpen",
        json!({"textDocument": {"uri": uri, "languageId": "log", "version": 1, "text": log}}),
    );
    let document = json!({"textDocument": {"uri": uri}});
    let folds = client.request("textDocument/foldingRange", document.clone()).unwrap();
    assert_eq!(folds.as_array().map(Vec::len), Some(1));
    let links = client.request("textDocument/documentLink", document).unwrap();
    // Positions are those of the file, which has colours.
    assert_eq!(links[0]["range"]["start"], json!({"line": 1, "character": 5}));
    assert_eq!(client.quit().code(), Some(0));
}

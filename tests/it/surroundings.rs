//! What is around a pipeline: the settings of its project, files that appear or vanish, and links that lead to it.

use serde_json::{Value, json};

use crate::support::{Project, Runner, binary};
use test_client::{Client, everything};

const PIPELINE: &str = "steps:
  - key: a
    cmd: make
    image: rust
    cache: {policy: on_change, paths: [input.txt]}
";

/// A client that can be asked to report changes of files, or cannot.
fn serve(project: &Project, watches_files: bool) -> Client {
    let mut client = Client::spawn(binary(), &[]);
    let mut capabilities = everything();
    capabilities["workspace"]["didChangeWatchedFiles"] = json!({"dynamicRegistration": watches_files});
    client.initialize(capabilities, Value::Null).unwrap();
    client.open(&project.uri(), PIPELINE);
    if watches_files {
        let id = client.wait("the registration", |message| {
            (message["method"] == "client/registerCapability").then(|| {
                let watchers = &message["params"]["registrations"][0]["registerOptions"]["watchers"];
                assert_eq!(watchers[0]["globPattern"], "**/.pipelens.yaml", "{message}");
                message["id"].clone()
            })
        });
        client.send(&json!({"jsonrpc": "2.0", "id": id, "result": null}));
    }
    client
}

/// Waits until these are the codes that are reported for a file.
fn wait_for_codes(client: &mut Client, uri: &str, codes: &[&str]) {
    client.wait(&format!("{codes:?} in {uri}"), |message| {
        let params = &message["params"];
        let found = params["diagnostics"].as_array().filter(|_| params["uri"] == uri)?;
        let found: Vec<&str> = found.iter().filter_map(|found| found["code"].as_str()).collect();
        (found == codes).then_some(())
    });
}

fn changed(client: &mut Client, project: &Project, name: &str, kind: u8) {
    let uri = format!("file://{}", project.folder.path().join(name).display());
    client.notify("workspace/didChangeWatchedFiles", json!({"changes": [{"uri": uri, "type": kind}]}));
}

#[test]
fn settings_apply_as_soon_as_they_are_on_disk() {
    for watches_files in [true, false] {
        let project = Project::new(PIPELINE);
        let (uri, settings) = (project.uri(), project.folder.path().join(".pipelens.yaml"));
        let settings_uri = format!("file://{}", settings.display());
        let mut client = serve(&project, watches_files);
        wait_for_codes(&mut client, &uri, &["unpinned-image", "unmatched-path"]);
        std::fs::write(&settings, "severity: {unpinned-image: off}\n").unwrap();
        if watches_files {
            changed(&mut client, &project, ".pipelens.yaml", 1);
        }
        wait_for_codes(&mut client, &uri, &["unmatched-path"]);
        std::fs::write(&settings, "severity: {unpinned-image: loud}\nfile: []\n").unwrap();
        if watches_files {
            changed(&mut client, &project, ".pipelens.yaml", 2);
        }
        wait_for_codes(&mut client, &settings_uri, &["bad-value", "unknown-key"]);
        std::fs::remove_file(&settings).unwrap();
        if watches_files {
            changed(&mut client, &project, ".pipelens.yaml", 3);
        }
        wait_for_codes(&mut client, &settings_uri, &[]);
        client.ignores = test_client::is_anything;
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn a_path_that_appears_takes_its_finding_with_it() {
    for watches_files in [true, false] {
        let project = Project::new(PIPELINE);
        let uri = project.uri();
        let mut client = serve(&project, watches_files);
        wait_for_codes(&mut client, &uri, &["unpinned-image", "unmatched-path"]);
        let input = project.folder.path().join("input.txt");
        std::fs::write(&input, "").unwrap();
        if watches_files {
            changed(&mut client, &project, "input.txt", 1);
        }
        wait_for_codes(&mut client, &uri, &["unpinned-image"]);
        std::fs::remove_file(&input).unwrap();
        if watches_files {
            changed(&mut client, &project, "input.txt", 3);
        } else {
            client.notify("textDocument/didSave", json!({"textDocument": {"uri": uri}}));
        }
        wait_for_codes(&mut client, &uri, &["unpinned-image", "unmatched-path"]);
        client.ignores = test_client::is_anything;
        assert_eq!(client.quit().code(), Some(0));
    }
}

#[test]
fn settings_that_are_open_are_checked_completed_explained_and_fixed() {
    let project = Project::new(PIPELINE);
    let uri = format!("file://{}", project.folder.path().join(".pipelens.yaml").display());
    let text = "severity:\n  unpinned-imag: off\n  cycle: off\nparallelism: \"2\"\n";
    std::fs::write(project.folder.path().join(".pipelens.yaml"), text).unwrap();
    let mut client = serve(&project, true);
    client.open(&uri, text);
    let found = client.diagnostics(&uri, 1);
    let codes: Vec<&Value> = found.iter().map(|found| &found["code"]).collect();
    assert_eq!(codes, ["unknown-key", "wrong-type"]);
    assert!(found[0]["message"].as_str().unwrap().contains("Did you mean `unpinned-image`?"), "{found:?}");
    let at = |line: u32, character: u32| json!({"textDocument": {"uri": uri}, "position": {"line": line, "character": character}});
    let hover = client.request("textDocument/hover", at(3, 3)).unwrap();
    assert!(hover["contents"]["value"].as_str().unwrap().contains("How many steps run at once"), "{hover}");
    let labels = |answer: &Value| -> Vec<String> {
        answer.as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
    };
    let values = client.request("textDocument/completion", at(2, 12)).unwrap();
    assert!(labels(&values).contains(&"hint".to_owned()), "{values}");
    let params = json!({"textDocument": {"uri": uri}, "range": found[1]["range"], "context": {"diagnostics": []}});
    let actions = client.request("textDocument/codeAction", params).unwrap();
    assert!(labels_of_actions(&actions).contains(&"Remove the quotes".to_owned()), "{actions}");
    client.change(&uri, 2, &json!({"start": {"line": 4, "character": 0}, "end": {"line": 4, "character": 0}}), "sh");
    let keys = client.request("textDocument/completion", at(4, 2)).unwrap();
    assert!(labels(&keys).contains(&"shellcheck".to_owned()), "{keys}");
    client.ignores = test_client::is_anything;
    assert_eq!(client.quit().code(), Some(0));
}

fn labels_of_actions(actions: &Value) -> Vec<String> {
    actions.as_array().unwrap().iter().map(|action| action["title"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_settings_of_a_project_are_checked_on_the_command_line() {
    let project = Project::new("steps:\n  - {key: a, cmd: make, image: 'a:1'}\n");
    std::fs::write(project.folder.path().join(".pipelens.yaml"), "severity: {unknown-stp: off}\n").unwrap();
    let (code, output, errors) = project.output(Runner::Host, &["check", ".pipelens.yaml"]);
    assert_eq!(code, 0, "{output}{errors}");
    assert!(output.contains("warning[unknown-key]") && output.contains("Did you mean `unknown-step`?"), "{output}");
}

#[cfg(unix)]
#[test]
fn a_document_is_found_under_every_path_that_leads_to_it() {
    let project = Project::new(PIPELINE);
    let link = project.folder.path().with_extension("link");
    std::os::unix::fs::symlink(project.folder.path(), &link).unwrap();
    let linked = format!("file://{}/pipeline.yml", link.display());
    let mut client = Client::spawn(binary(), &[]);
    client.initialize(everything(), Value::Null).unwrap();
    // The text of the editor is newer than the file.
    client.open(&linked, &PIPELINE.replace("key: a", "key: newer"));
    client.diagnostics(&linked, 1);
    let params = json!({"textDocument": {"uri": project.uri()}});
    let symbols = client.request("textDocument/documentSymbol", params).unwrap();
    assert!(symbols.to_string().contains("newer"), "{symbols}");
    std::fs::remove_file(&link).unwrap();
    client.ignores = test_client::is_anything;
    assert_eq!(client.quit().code(), Some(0));
}

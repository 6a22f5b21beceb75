//! What an editor asks about text, over the protocol: each request once, with its answer as an editor gets it.

use serde_json::{Value, json};

use crate::support::{Project, Runner, binary};
use test_client::{Client, everything};

const URI: &str = "file:///project/pipeline.yml";
const PIPELINE: &str = r"name: ci
default_image: alpine:3.22
steps:
  - key: build
    cmd: make
  - key: test
    cmd: make test
    builds_in: build
  - wait
  - key: ship
    cmd: ./ship.sh
    depends_on: [build]
";

fn open(text: &str) -> Client {
    let mut client = Client::start(binary(), &[], Value::Null);
    client.open(URI, text);
    client
}

fn at(line: u32, character: u32) -> Value {
    json!({"textDocument": {"uri": URI}, "position": {"line": line, "character": character}})
}

/// Shows ranges as `line:start-end`.
fn ranges(values: &Value) -> Vec<String> {
    let shown = |value: &Value| {
        let range = value.get("range").unwrap_or(value);
        format!("{}:{}-{}", range["start"]["line"], range["start"]["character"], range["end"]["character"])
    };
    values.as_array().unwrap().iter().map(shown).collect()
}

#[test]
fn a_rename_is_prepared_applied_and_refused_with_a_reason() {
    let mut client = open(PIPELINE);
    let prepared = client.request("textDocument/prepareRename", at(3, 12)).unwrap();
    assert_eq!(prepared["placeholder"], "build");
    let with_name = |name: &str| {
        let mut params = at(7, 17);
        params["newName"] = json!(name);
        params
    };
    let edit = client.request("textDocument/rename", with_name("compile")).unwrap();
    assert_eq!(ranges(&edit["changes"][URI]), ["3:9-14", "7:15-20", "11:17-22"]);
    let refusal = client.request("textDocument/rename", with_name("ship")).unwrap_err();
    assert_eq!(refusal["message"], "A step `ship` already exists");
    assert_eq!(client.request("textDocument/prepareRename", at(4, 6)).unwrap(), Value::Null);
}

#[test]
fn references_and_highlights_know_the_definition() {
    let mut client = open(PIPELINE);
    let mut params = at(3, 12);
    params["context"] = json!({"includeDeclaration": false});
    let references = client.request("textDocument/references", params).unwrap();
    assert_eq!(ranges(&references), ["7:15-20", "11:17-22"]);
    let highlights = client.request("textDocument/documentHighlight", at(3, 12)).unwrap();
    let kinds: Vec<&Value> = highlights.as_array().unwrap().iter().map(|highlight| &highlight["kind"]).collect();
    assert_eq!(kinds, [3, 2, 2]);
}

#[test]
fn folds_and_selections_follow_the_structure() {
    let mut client = open(PIPELINE);
    let document = json!({"textDocument": {"uri": URI}});
    let folds = client.request("textDocument/foldingRange", document).unwrap();
    let lines: Vec<String> =
        folds.as_array().unwrap().iter().map(|fold| format!("{}-{}", fold["startLine"], fold["endLine"])).collect();
    assert_eq!(lines, ["0-11", "2-11", "3-4", "5-7", "9-11"]);
    let params = json!({"textDocument": {"uri": URI}, "positions": [{"line": 6, "character": 10}]});
    let selection = client.request("textDocument/selectionRange", params).unwrap();
    let mut chain = Vec::new();
    let mut next = &selection[0];
    while next.is_object() {
        chain.push(format!("{}-{}", next["range"]["start"]["line"], next["range"]["end"]["line"]));
        next = &next["parent"];
    }
    assert_eq!(chain, ["6-6", "6-6", "6-6", "5-7", "5-7", "3-11", "2-11", "0-11", "0-12"]);
}

#[test]
fn hints_show_what_the_text_does_not() {
    let mut client = open(PIPELINE);
    let whole = json!({"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}});
    let hints =
        client.request("textDocument/inlayHint", json!({"textDocument": {"uri": URI}, "range": whole})).unwrap();
    let shown: Vec<String> = hints
        .as_array()
        .unwrap()
        .iter()
        .map(|hint| format!("{}:{} {}", hint["position"]["line"], hint["position"]["character"], hint["label"]))
        .collect();
    assert_eq!(shown, ["7:20 \"⇠ alpine:3.22\"", "8:8 \"for build, test\""]);
}

#[test]
fn links_lead_to_registries_and_to_files_that_exist() {
    let project = Project::new(PIPELINE);
    std::fs::write(project.file().with_file_name("ship.sh"), "").unwrap();
    let mut client = project.serve(Runner::Host);
    client.open(&project.uri(), PIPELINE);
    let params = json!({"textDocument": {"uri": project.uri()}});
    let links = client.request("textDocument/documentLink", params).unwrap();
    let targets: Vec<&str> = links.as_array().unwrap().iter().map(|link| link["target"].as_str().unwrap()).collect();
    assert_eq!(targets.len(), 2, "{targets:?}");
    assert_eq!(targets[0], "https://hub.docker.com/_/alpine");
    assert!(targets[1].ends_with("/ship.sh"), "{targets:?}");
}

#[test]
fn the_graph_is_a_call_hierarchy() {
    let mut client = open(PIPELINE);
    let items = client.request("textDocument/prepareCallHierarchy", at(6, 3)).unwrap();
    assert_eq!(items, Value::Null);
    let items = client.request("textDocument/prepareCallHierarchy", at(9, 12)).unwrap();
    assert_eq!(items[0]["name"], "ship");
    let names = |calls: Value, end: &str| -> Vec<String> {
        calls.as_array().unwrap().iter().map(|call| call[end]["name"].as_str().unwrap().to_owned()).collect()
    };
    let outgoing = client.request("callHierarchy/outgoingCalls", json!({"item": items[0]})).unwrap();
    assert_eq!(names(outgoing, "to"), ["build", "test"]);
    let items = client.request("textDocument/prepareCallHierarchy", at(3, 12)).unwrap();
    let incoming = client.request("callHierarchy/incomingCalls", json!({"item": items[0]})).unwrap();
    assert_eq!(names(incoming, "from"), ["test", "ship"]);
}

#[test]
fn symbols_of_all_open_files_are_found_by_some_of_their_characters() {
    let mut client = open(PIPELINE);
    client.open("file:///project/other.pipeline.yml", "steps:\n- {key: bundle-it, cmd: x}\n");
    client.open("file:///project/notes.yml", "steps:\n- {key: builder, cmd: x}\n");
    let found = client.request("workspace/symbol", json!({"query": "bul"})).unwrap();
    let mut names: Vec<&str> =
        found.as_array().unwrap().iter().map(|symbol| symbol["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["build", "bundle-it"]);
}

#[test]
fn formatting_changes_only_whitespace_and_leaves_a_broken_file_alone() {
    let mut client = open("steps:\n   - {key: a,   cmd: x}  \n");
    let params = json!({"textDocument": {"uri": URI}, "options": {"tabSize": 2, "insertSpaces": true}});
    let edits = client.request("textDocument/formatting", params.clone()).unwrap();
    assert_eq!(ranges(&edits), ["1:0-3", "1:23-0"]);
    let whole = json!({"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}});
    client.change(URI, 2, &whole, "steps: [\n");
    assert_eq!(client.request("textDocument/formatting", params).unwrap(), Value::Null);
    let said = client.wait("why", |message| {
        let is_log = message["method"] == "window/logMessage";
        is_log.then(|| message["params"]["message"].as_str().unwrap().to_owned())
    });
    assert!(said.contains("syntax error"), "{said}");
}

#[test]
fn a_client_without_snippets_gets_plain_words() {
    let text = r"steps:
- key: a
  cmd: x
  ca
";
    let entry = |client: &mut Client| {
        let entries = client.request("textDocument/completion", at(3, 4)).unwrap();
        let found = entries.as_array().unwrap().iter().find(|entry| entry["label"] == "cache").cloned();
        found.unwrap()
    };
    let mut plain = Client::spawn(binary(), &[]);
    plain.initialize(json!({}), Value::Null).unwrap();
    plain.open(URI, text);
    let plain = entry(&mut plain);
    assert_eq!((&plain["textEdit"]["newText"], plain.get("insertTextFormat")), (&json!("cache: "), None));
    let mut rich = Client::spawn(binary(), &[]);
    let mut capabilities = everything();
    capabilities["textDocument"]["completion"]["completionItem"]["snippetSupport"] = json!(true);
    rich.initialize(capabilities, Value::Null).unwrap();
    rich.open(URI, text);
    let rich = entry(&mut rich);
    assert_eq!((&rich["textEdit"]["newText"], &rich["insertTextFormat"]), (&json!("cache:\n  policy: $0"), &json!(2)));
}

#[test]
fn the_graph_is_drawn_and_shown() {
    let project = Project::new(PIPELINE);
    let mut client = project.serve(Runner::Host);
    let answer = client.execute("pipelens.showGraph", json!({"uri": project.uri()})).unwrap();
    assert!(answer["mermaid"].as_str().unwrap().starts_with("flowchart LR"), "{answer}");
    let path = answer["path"].as_str().unwrap().to_owned();
    assert!(std::fs::read_to_string(&path).unwrap().contains("</svg>"));
    let shown = client.wait("the picture", |message| {
        (message["method"] == "window/showDocument").then(|| message["params"]["uri"].as_str().unwrap().to_owned())
    });
    assert!(shown.ends_with(&path), "{shown}");
    // A client that shows it itself finds the steps in it, and the server opens nothing.
    client.take(|message| message["method"] == "window/showDocument");
    let answer = client.execute("pipelens.showGraph", json!({"uri": project.uri(), "show": false})).unwrap();
    let image = std::fs::read_to_string(answer["path"].as_str().unwrap()).unwrap();
    assert!(image.contains("<g class=\"step\" data-step=\""), "{image}");
    client.request("pipelens/runs", json!({})).unwrap();
    assert!(client.take(|message| message["method"] == "window/showDocument").is_empty());
    client.open("file:///project/empty.pipeline.yml", "steps: []\n");
    let refusal =
        client.execute("pipelens.showGraph", json!({"uri": "file:///project/empty.pipeline.yml"})).unwrap_err();
    assert_eq!(refusal["message"], "There are no steps to draw");
}

#[test]
fn a_finding_links_to_its_page_and_fix_all_applies_the_safe_fixes() {
    let text = r#"steps:
- {key: a, cmd: x, retry: "3"}
- {key: b, cmd: x, builds_in: c}
"#;
    let mut client = open(text);
    let found = client.diagnostics(URI, 1);
    let unknown = found.iter().find(|found| found["code"] == "unknown-step").unwrap();
    let page = unknown["codeDescription"]["href"].as_str().unwrap();
    assert!(page.ends_with("/docs/codes/unknown-step.md"), "{page}");
    let range = json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}});
    let params = json!({"textDocument": {"uri": URI}, "range": range, "context": {"diagnostics": [], "only": ["source.fixAll"]}});
    let actions = client.request("textDocument/codeAction", params).unwrap();
    assert_eq!(actions.as_array().unwrap().len(), 1, "{actions}");
    let fixed = actions[0]["edit"]["changes"][URI][0]["newText"].as_str().unwrap();
    assert_eq!(fixed, text.replace("\"3\"", "3"));
}

#[test]
fn the_shell_in_a_command_has_colours() {
    let mut client = open(
        r"steps:
- key: a
  cmd: |
    make -j
    echo $é
",
    );
    let document = json!({"textDocument": {"uri": URI}});
    let tokens = client.request("textDocument/semanticTokens/full", document).unwrap();
    assert_eq!(tokens["data"], json!([3, 4, 4, 1, 0, 0, 5, 2, 6, 0, 1, 4, 4, 1, 0, 0, 5, 2, 2, 0]));
    let line = json!({"start": {"line": 4, "character": 0}, "end": {"line": 4, "character": 9}});
    let params = json!({"textDocument": {"uri": URI}, "range": line});
    assert!(client.request("textDocument/semanticTokens/range", params).unwrap()["data"].is_array());
}

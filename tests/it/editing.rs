//! Completion and names over the protocol: variables, anchors, `wait`, and the tags of findings.

use serde_json::{Value, json};

use crate::support::binary;
use test_client::{Client, everything};

const URI: &str = "file:///project/pipeline.yml";
const PIPELINE: &str = "x-base: &base {image: 'a:1'}
env: {GREETING: hello}
steps:
- <<: *base
  key: build
  cmd: |
    echo \"é𝄞 $GREETING\" '$GREETING'
- wait
- {key: ship, cmd: 'x ${GREETING}', secrets: [TOKEN]}
";

fn open(encoding: &str, text: &str) -> Client {
    let mut client = Client::spawn(binary(), &[]);
    let mut capabilities = everything();
    capabilities["general"]["positionEncodings"] = json!([encoding]);
    capabilities["textDocument"]["completion"]["completionItem"]["snippetSupport"] = json!(true);
    let answer = client.initialize(capabilities, Value::Null).unwrap();
    let marks = &answer["capabilities"]["completionProvider"]["triggerCharacters"];
    for mark in [":", "$", "{", "*", " "] {
        assert!(marks.as_array().unwrap().contains(&json!(mark)), "{marks}");
    }
    client.open(URI, text);
    client
}

fn at(line: u32, character: u32) -> Value {
    json!({"textDocument": {"uri": URI}, "position": {"line": line, "character": character}})
}

/// Shows ranges as `line:start-end`.
fn ranges(values: &Value) -> Vec<String> {
    let shown = |value: &Value| {
        let range = &value["range"];
        format!("{}:{}-{}", range["start"]["line"], range["start"]["character"], range["end"]["character"])
    };
    values.as_array().unwrap().iter().map(shown).collect()
}

#[test]
fn variables_are_found_and_renamed_in_both_encodings_and_with_both_line_breaks() {
    for (encoding, column) in [("utf-16", 15), ("utf-8", 18)] {
        for text in [PIPELINE.to_owned(), PIPELINE.replace('\n', "\r\n")] {
            let mut client = open(encoding, &text);
            let hover = client.request("textDocument/hover", at(6, column + 2)).unwrap();
            let shown = hover["contents"]["value"].as_str().unwrap();
            assert!(shown.contains("in the pipeline's `env`") && shown.contains("GREETING=hello"), "{shown}");
            let (start, end) = (&hover["range"]["start"], &hover["range"]["end"]);
            assert_eq!((&start["character"], &end["character"]), (&json!(column), &json!(column + 8)));
            let definition = client.request("textDocument/definition", at(6, column)).unwrap();
            assert_eq!(ranges(&json!([definition])), ["1:6-14"]);
            let mut params = at(1, 8);
            params["context"] = json!({"includeDeclaration": false});
            let uses = client.request("textDocument/references", params).unwrap();
            let here = format!("6:{column}-{}", column + 8);
            assert_eq!(ranges(&uses), [here.as_str(), "8:24-32"]);
            let mut params = at(8, 23);
            assert_eq!(
                client.request("textDocument/prepareRename", params.clone()).unwrap()["placeholder"],
                "GREETING"
            );
            params["newName"] = json!("WORD");
            let edit = client.request("textDocument/rename", params).unwrap();
            assert_eq!(ranges(&edit["changes"][URI]), ["1:6-14", here.as_str(), "8:24-32"]);
            assert_eq!(client.request("textDocument/prepareRename", at(8, 48)).unwrap(), Value::Null);
            let mut params = at(8, 48);
            params["newName"] = json!("KEY");
            let refusal = client.request("textDocument/rename", params).unwrap_err();
            assert!(refusal["message"].as_str().unwrap().starts_with("`TOKEN` is a secret"), "{refusal}");
        }
    }
}

#[test]
fn anchors_and_waits_are_found() {
    let mut client = open("utf-16", PIPELINE);
    let definition = client.request("textDocument/definition", at(3, 8)).unwrap();
    assert_eq!(ranges(&json!([definition])), ["0:8-13"]);
    let mut params = at(3, 8);
    params["newName"] = json!("common");
    let edit = client.request("textDocument/rename", params).unwrap();
    assert_eq!(ranges(&edit["changes"][URI]), ["0:9-13", "3:7-11"]);
    let hover = client.request("textDocument/hover", at(7, 4)).unwrap();
    assert!(hover["contents"]["value"].as_str().unwrap().contains("Waits for `build`"), "{hover}");
    let mut params = at(7, 4);
    params["context"] = json!({"includeDeclaration": true});
    let references = client.request("textDocument/references", params).unwrap();
    assert_eq!(ranges(&references), ["7:2-6", "8:8-12"]);
}

#[test]
fn what_is_accepted_fits_what_is_already_there() {
    let mut client = open("utf-16", PIPELINE);
    let mut version = 1;
    let mut offered = |text: &str, label: &str| {
        let before = text.split_once('¦').unwrap().0;
        let line = u32::try_from(before.matches('\n').count()).unwrap();
        let column = before.rsplit('\n').next().unwrap().encode_utf16().count();
        version += 1;
        client.change(URI, version, &Value::Null, &text.replacen('¦', "", 1));
        let entries = client.request("textDocument/completion", at(line, u32::try_from(column).unwrap())).unwrap();
        let entry = entries.as_array().unwrap().iter().find(|entry| entry["label"] == label).cloned();
        entry.unwrap_or_else(|| panic!("{label} is not among {entries}"))["textEdit"]["newText"].clone()
    };
    assert_eq!(offered("steps:\n- {key: a, cmd: x}\n- key: b\n  cmd: x\n  builds_in:¦\n", "a"), " a");
    assert_eq!(offered("steps:\n- key: b\n  cmd: x\n  sof¦: true\n", "soft_fail"), "soft_fail");
    assert_eq!(offered("steps:\n- key: b\n  cmd: é $¦\n  env: {A: 1}\n", "A"), "A");
    assert_eq!(offered("x-a: &base {image: a:1}\nsteps:\n- <<: *¦\n  key: b\n  cmd: x\n", "base"), "base");
    assert_eq!(offered("steps:\n- {key: a, cmd: x}\n- key: b\n  cmd: x\n  depends_on:\n    ¦\n", "a"), "- a");
    assert_eq!(offered("# pipelens: ignore ¦\nsteps:\n- {key: a, cmd: x}\n", "unpinned-image"), "unpinned-image");
}

#[test]
fn what_is_unused_has_a_tag_that_the_client_can_show() {
    let text = "x-base: &base {A: b}\nsteps:\n- {key: a, cmd: x}\n- {key: b, cmd: x, builds_in: a, depends_on: a}\n";
    let tags = |capability: Value| {
        let mut client = Client::spawn(binary(), &[]);
        let mut capabilities = everything();
        if !capability.is_null() {
            capabilities["textDocument"]["publishDiagnostics"] = json!({"tagSupport": capability});
        }
        client.initialize(capabilities, Value::Null).unwrap();
        client.open(URI, text);
        let found = client.diagnostics(URI, 1);
        let mut tags: Vec<String> =
            found.iter().map(|found| format!("{} {}", found["code"].as_str().unwrap(), found["tags"])).collect();
        tags.sort();
        tags
    };
    let (tagged, plain) =
        (["redundant-dependency [1]", "unused-anchor [1]"], ["redundant-dependency null", "unused-anchor null"]);
    assert_eq!(tags(json!({"valueSet": [1, 2]})), tagged);
    assert_eq!(tags(json!(true)), tagged);
    assert_eq!(tags(json!({"valueSet": [2]})), plain);
    assert_eq!(tags(Value::Null), plain);
}

#[test]
fn findings_that_are_pulled_have_tags_too() {
    let mut client = Client::spawn(binary(), &[]);
    let mut capabilities = everything();
    capabilities["textDocument"]["diagnostic"] = json!({"tagSupport": {"valueSet": [1]}});
    capabilities["workspace"]["diagnostics"] = json!({"refreshSupport": true});
    client.initialize(capabilities, Value::Null).unwrap();
    client.open(URI, "x-base: &base {A: b}\nsteps:\n- {key: a, cmd: x}\n");
    let report = client.request("textDocument/diagnostic", json!({"textDocument": {"uri": URI}})).unwrap();
    assert_eq!(report["items"][0]["tags"], json!([1]), "{report}");
}

//! The `initialize` of editors, replayed: each gets through one scenario, in which the server may send only what that editor has declared.
//!
//! `tests/fixtures/clients` has what each declares; `source` says where that is from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Project, Runner, text};
use test_client::Client;

const PIPELINE: &str = "name: ci\nsteps:\n  - key: build\n    cmd: echo built\n  - key: test\n    cmd: |\n      echo one\n      false\n    depends_on: build\n  - key: lint\n    cmdd: echo x\n    depends_on: biuld\n";
const FIXED: &str = "name: ci\nsteps:\n  - key: build\n    cmd: echo built\n  - key: test\n    cmd: |\n      echo one\n      false\n    depends_on: build\n";

fn declared() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/clients");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let client: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        (text(&client["client"]), client["capabilities"].clone())
    };
    files.iter().map(read).collect()
}

/// What a client has declared.
struct Declared<'a>(&'a Value);

impl Declared<'_> {
    fn has(&self, path: &str) -> bool {
        self.0.pointer(path) == Some(&json!(true))
    }

    fn lists(&self, path: &str, value: &Value) -> bool {
        self.0.pointer(path).and_then(Value::as_array).is_some_and(|values| values.contains(value))
    }

    /// Returns what in a message of the server the client has not declared.
    fn violation(&self, message: &Value) -> Option<String> {
        let params = &message["params"];
        let is_allowed = match message["method"].as_str()? {
            "window/logMessage" | "window/showMessage" => true,
            "textDocument/publishDiagnostics" => {
                return self.findings(&params["diagnostics"], "/textDocument/publishDiagnostics");
            }
            "client/registerCapability" => params["registrations"]
                .as_array()?
                .iter()
                .all(|registration| self.has(&format!("/{}/dynamicRegistration", text(&registration["method"])))),
            "window/workDoneProgress/create" | "$/progress" => self.has("/window/workDoneProgress"),
            "workspace/diagnostic/refresh" => self.has("/workspace/diagnostics/refreshSupport"),
            "window/showDocument" => self.has("/window/showDocument/support"),
            "window/showMessageRequest" => self.0.pointer("/window/showMessage").is_some_and(|value| !value.is_null()),
            "workspace/configuration" => self.has("/workspace/configuration"),
            "workspace/applyEdit" => self.has("/workspace/applyEdit"),
            "pipelens/runEvent" => self.has("/experimental/pipelensRunEvents"),
            "workspace/textDocumentContent/refresh" => self.0.pointer("/workspace/textDocumentContent").is_some(),
            method => method.strip_suffix("/refresh").is_some_and(|of| self.has(&format!("/{of}/refreshSupport"))),
        };
        (!is_allowed).then(|| message.to_string())
    }

    fn findings(&self, findings: &Value, at: &str) -> Option<String> {
        let is_undeclared = |finding: &&Value| {
            let needs = |field: &str, capability: &str| {
                finding.get(field).is_some() && !self.has(&format!("{at}/{capability}"))
            };
            let tags = finding["tags"].as_array().cloned().unwrap_or_default();
            needs("relatedInformation", "relatedInformation")
                || needs("codeDescription", "codeDescriptionSupport")
                || needs("data", "dataSupport")
                || tags.iter().any(|tag| !self.lists(&format!("{at}/tagSupport/valueSet"), tag))
        };
        findings.as_array()?.iter().find(is_undeclared).map(|finding| format!("finding {finding}"))
    }

    /// Returns what in an answer the client has not declared.
    fn answer(&self, method: &str, answer: &Value) -> Option<String> {
        let at = format!("/{method}");
        let items = answer["items"].as_array().or(answer.as_array()).cloned().unwrap_or_default();
        let edits = |edit: &Value| {
            edit.get("documentChanges").is_some() && !self.has("/workspace/workspaceEdit/documentChanges")
        };
        let markup = |value: &Value, formats: &str| {
            value.get("kind").is_some_and(|kind| !self.lists(&format!("{at}{formats}"), kind))
        };
        let is_undeclared = |item: &Value| match method {
            "textDocument/completion" => {
                let has = |capability: &str| self.has(&format!("{at}/completionItem/{capability}"));
                (item["insertTextFormat"] == 2 && !has("snippetSupport"))
                    || (item["textEdit"].get("replace").is_some() && !has("insertReplaceSupport"))
                    || (item.get("labelDetails").is_some() && !has("labelDetailsSupport"))
                    || markup(&item["documentation"], "/completionItem/documentationFormat")
            }
            "textDocument/codeAction" => {
                let is_literal = !item["command"].is_string();
                (is_literal && self.0.pointer(&format!("{at}/codeActionLiteralSupport")).is_none())
                    || (item.get("isPreferred").is_some() && !self.has(&format!("{at}/isPreferredSupport")))
                    || (item.get("disabled").is_some() && !self.has(&format!("{at}/disabledSupport")))
                    || (item.get("data").is_some() && !self.has(&format!("{at}/dataSupport")))
                    || edits(&item["edit"])
            }
            "textDocument/documentSymbol" => {
                item.get("selectionRange").is_some() && !self.has(&format!("{at}/hierarchicalDocumentSymbolSupport"))
            }
            "textDocument/definition" => item.get("targetUri").is_some() && !self.has(&format!("{at}/linkSupport")),
            "textDocument/documentLink" => item.get("tooltip").is_some() && !self.has(&format!("{at}/tooltipSupport")),
            _ => false,
        };
        let whole = match method {
            "textDocument/hover" => markup(&answer["contents"], "/contentFormat"),
            "textDocument/rename" => edits(answer),
            "textDocument/prepareRename" => answer.get("defaultBehavior").is_some(),
            "textDocument/completion" => {
                answer.get("itemDefaults").is_some()
                    && self.0.pointer(&format!("{at}/completionList/itemDefaults")).is_none()
            }
            "textDocument/diagnostic" => {
                return self
                    .findings(&answer["items"], "/textDocument/diagnostic")
                    .filter(|_| self.findings(&answer["items"], "/textDocument/publishDiagnostics").is_some());
            }
            _ => false,
        };
        if whole {
            return Some(answer.to_string());
        }
        items.iter().find(|item| is_undeclared(item)).map(Value::to_string)
    }
}

/// Asks, and notes what the client has not declared.
fn ask(client: &mut Client, declared: &Declared<'_>, wrong: &mut Vec<String>, method: &str, params: Value) -> Value {
    let answer = client.request(method, params).unwrap_or_else(|error| panic!("{method}: {error}"));
    wrong.extend(declared.answer(method, &answer).map(|what| format!("answer to {method}: {what}")));
    answer
}

/// Goes through the scenario, and returns what was sent although it is not declared.
fn scenario(capabilities: &Value) -> Vec<String> {
    let declared = Declared(capabilities);
    let mut wrong = Vec::new();
    let project = Project::new(PIPELINE);
    let uri = project.uri();
    let mut command = project.command(Runner::Host, &["lsp"]);
    let mut client = Client::spawn_command(&mut command);
    // All of them are looked at below.
    client.ignores = test_client::is_anything;
    let folder = format!("file://{}", project.folder.path().display());
    let params = json!({
        "processId": std::process::id(),
        "capabilities": capabilities,
        "initializationOptions": {"runner": "host"},
        "rootUri": folder,
        "workspaceFolders": [{"uri": folder, "name": "project"}],
    });
    let offered = client.request("initialize", params).unwrap()["capabilities"].clone();
    client.notify("initialized", json!({}));
    let encoding = &offered["positionEncoding"];
    assert!(*encoding == "utf-16" || declared.lists("/general/positionEncodings", encoding), "{encoding}");
    let has_content = offered.pointer("/workspace/textDocumentContent").is_some();
    assert_eq!(has_content, capabilities.pointer("/workspace/textDocumentContent").is_some());
    let pulls = offered.get("diagnosticProvider").is_some();
    assert!(!pulls || capabilities.pointer("/textDocument/diagnostic").is_some());
    client.open(&uri, PIPELINE);
    let document = json!({"textDocument": {"uri": uri}});
    let at = |line: u32, character: u32| json!({"textDocument": {"uri": uri}, "position": {"line": line, "character": character}});
    let range = json!({"start": {"line": 0, "character": 0}, "end": {"line": 11, "character": 0}});
    let found = if pulls {
        let report = ask(&mut client, &declared, &mut wrong, "textDocument/diagnostic", document.clone());
        report["items"].as_array().cloned().unwrap_or_default()
    } else {
        let (found, undeclared) = client.wait("findings", |message| {
            let found = message["params"]["diagnostics"].as_array().cloned()?;
            (message["params"]["version"] == 1).then(|| (found, declared.violation(message)))
        });
        wrong.extend(undeclared);
        found
    };
    assert!(found.len() >= 2, "{found:?}");
    let actions = json!({"textDocument": {"uri": uri}, "range": range, "context": {"diagnostics": found}});
    let asked = [
        ("textDocument/hover", at(3, 5)),
        ("textDocument/completion", at(9, 4)),
        ("textDocument/completion", at(8, 16)),
        ("textDocument/definition", at(8, 17)),
        ("textDocument/documentHighlight", at(8, 17)),
        ("textDocument/prepareRename", at(8, 17)),
        ("textDocument/codeAction", actions),
        ("textDocument/documentSymbol", document.clone()),
        ("textDocument/documentLink", document.clone()),
        ("textDocument/foldingRange", document.clone()),
        ("textDocument/codeLens", document.clone()),
        ("textDocument/semanticTokens/full", document.clone()),
        ("textDocument/inlayHint", json!({"textDocument": {"uri": uri}, "range": range})),
    ];
    for (method, params) in asked {
        let answer = ask(&mut client, &declared, &mut wrong, method, params);
        let is_empty = answer.is_null() || answer.as_array().is_some_and(Vec::is_empty);
        let may_be_empty = matches!(method, "textDocument/documentLink" | "textDocument/inlayHint");
        assert!(!is_empty || may_be_empty, "{method}");
    }
    client.change(&uri, 2, &Value::Null, FIXED);
    let renamed = json!({"textDocument": {"uri": uri}, "position": {"line": 8, "character": 17}, "newName": "made"});
    ask(&mut client, &declared, &mut wrong, "textDocument/rename", renamed);
    let run_id = client.run("pipelens.runPipeline", json!({"uri": uri}));
    // The outcome comes to every client in some form.
    let undeclared = client.wait("the end of the run", |message| {
        let is_message = matches!(message["method"].as_str(), Some("window/showMessage" | "window/showMessageRequest"));
        let is_end = is_message && text(&message["params"]["message"]).contains('✗');
        is_end.then(|| declared.violation(message))
    });
    wrong.extend(undeclared);
    client.execute("pipelens.openLog", json!({"runId": run_id})).unwrap();
    if pulls {
        ask(&mut client, &declared, &mut wrong, "textDocument/diagnostic", document);
    }
    let cancelled = client.run("pipelens.runPipeline", json!({"uri": uri}));
    client.execute("pipelens.cancel", json!({"runId": cancelled})).unwrap();
    client.request("shutdown", Value::Null).unwrap();
    client.notify("exit", Value::Null);
    assert_eq!(client.exit_status().code(), Some(0));
    let pushed = |message: &Value| {
        let params = &message["params"];
        message["method"] == "textDocument/publishDiagnostics"
            && params["uri"] == uri
            && params["diagnostics"] != json!([])
    };
    let all = client.take(|_| true);
    assert!(!pulls || !all.iter().any(pushed), "findings are sent both ways");
    wrong.extend(all.iter().filter_map(|message| declared.violation(message)));
    wrong
}

#[test]
fn no_editor_gets_what_it_has_not_declared() {
    let clients = declared();
    let names: BTreeSet<&str> = clients.iter().filter_map(|(name, _)| name.split_whitespace().next()).collect();
    let expected = ["Helix", "coc.nvim", "Kate", "Neovim", "Sublime", "VS", "Zed", "eglot", "lsp-mode"];
    assert!(expected.iter().all(|name| names.contains(name)), "{names:?}");
    let mut wrong = Vec::new();
    for (name, capabilities) in &clients {
        wrong.extend(scenario(capabilities).into_iter().map(|what| format!("{name}: {what:.300}")));
    }
    // A client that declares nothing at all gets through it too.
    wrong.extend(scenario(&json!({})).into_iter().map(|what| format!("nothing: {what:.300}")));
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_violation_is_noticed() {
    let nothing = json!({});
    let declared = Declared(&nothing);
    for message in [
        json!({"method": "workspace/codeLens/refresh"}),
        json!({"method": "$/logTrace"}),
        json!({"method": "$/progress"}),
        json!({"method": "workspace/textDocumentContent/refresh"}),
        json!({"method": "client/registerCapability", "params": {"registrations": [{"method": "workspace/didChangeWatchedFiles"}]}}),
        json!({"method": "textDocument/publishDiagnostics", "params": {"diagnostics": [{"tags": [1]}]}}),
    ] {
        assert!(declared.violation(&message).is_some(), "{message}");
    }
    let symbols = json!([{"selectionRange": {}}]);
    assert!(declared.answer("textDocument/documentSymbol", &symbols).is_some());
    assert!(declared.answer("textDocument/hover", &json!({"contents": {"kind": "markdown"}})).is_some());
}

//! Edits, requests, cancels and runs in random order, against a model of what the server must do: every request is answered exactly once and about the
//! text as it was then, the findings of the last text are those of a fresh analysis, a cancelled run ends as cancelled, and nothing hangs.
//!
//! `PIPELENS_INTERLEAVINGS=10000` tries so many instead of a few; the same seeds each time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Project, Runner, text};
use test_client::{Client, everything};

/// How many are tried in every run of the tests.
const FEW: u64 = 120;
/// How many one server process goes through.
const PER_SERVER: u64 = 60;
const CANCELLED: i64 = -32800;
const REFUSED: i64 = -32803;

/// Deterministic random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }
}

/// What a version of the document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Quick,
    /// Its run ends only when it is cancelled.
    Endless,
    Broken,
}

fn written(version: i32, content: Content) -> String {
    let cmd = if content == Content::Endless { "sleep 600" } else { "echo done" };
    let more = if content == Content::Broken { format!("    wrong{version}: x\n") } else { String::new() };
    format!("name: ci\nsteps:\n  - key: k{version}\n    cmd: {cmd}\n{more}")
}

/// A request that is not answered yet.
#[derive(Debug)]
struct Asked {
    id: i64,
    method: &'static str,
    version: i32,
    is_cancelled: bool,
}

/// A run, from the request on.
#[derive(Debug)]
struct Started {
    asked: i64,
    version: i32,
    content: Content,
    is_cancelled: bool,
    id: Option<String>,
}

/// The server, and what the model knows about it.
struct World {
    client: Client,
    uri: String,
    copy: String,
    version: i32,
    content: Content,
    requests: Vec<Asked>,
    runs: Vec<Started>,
    /// For each version, how many runs of it were asked for and not refused. They are started in any order.
    not_refused: BTreeMap<i32, usize>,
    random: Random,
}

impl World {
    fn step(&mut self) {
        match self.random.below(16) {
            0..=4 => self.edit(),
            5..=8 => self.ask(),
            9 => {
                let count = self.requests.len();
                if count > 0 {
                    let at = self.random.below(count);
                    let asked = &mut self.requests[at];
                    asked.is_cancelled = true;
                    self.client.notify("$/cancelRequest", json!({"id": asked.id}));
                }
            }
            10 => self.reopen(),
            11 => {
                if !self.requests.is_empty() {
                    let asked = self.requests.remove(0);
                    self.check(&asked);
                }
            }
            12 | 13 => self.cancel_a_run(),
            _ => self.run(),
        }
    }

    fn next_text(&mut self) -> String {
        self.version += 1;
        self.content = [Content::Quick, Content::Endless, Content::Broken][self.random.below(3)];
        written(self.version, self.content)
    }

    /// Replaces the whole text, or the text after its first line.
    fn edit(&mut self) {
        let text = self.next_text();
        let range = json!({"start": {"line": 1, "character": 0}, "end": {"line": 99, "character": 0}});
        let rest = text.strip_prefix("name: ci\n").unwrap();
        if self.random.below(2) == 0 {
            self.client.change(&self.uri, self.version, &Value::Null, &text);
        } else {
            self.client.change(&self.uri, self.version, &range, rest);
        }
    }

    fn reopen(&mut self) {
        let text = self.next_text();
        self.client.notify("textDocument/didClose", json!({"textDocument": {"uri": self.uri}}));
        let document = json!({"uri": self.uri, "languageId": "yaml", "version": self.version, "text": text});
        self.client.notify("textDocument/didOpen", json!({"textDocument": document}));
    }

    fn ask(&mut self) {
        let document = json!({"uri": self.uri});
        let place = json!({"textDocument": document, "position": {"line": 2, "character": 11}});
        let (method, params) = match self.random.below(6) {
            0 => ("textDocument/documentSymbol", json!({"textDocument": document})),
            1 => ("textDocument/codeLens", json!({"textDocument": document})),
            2 => ("textDocument/foldingRange", json!({"textDocument": document})),
            3 => ("textDocument/completion", place),
            4 => ("pipelens/runs", json!({"uri": self.uri})),
            _ => ("textDocument/hover", place),
        };
        let id = self.client.ask(method, params);
        self.requests.push(Asked { id, method, version: self.version, is_cancelled: false });
    }

    /// Waits for the answer, which must be about the text as it was when the request came.
    fn check(&mut self, asked: &Asked) {
        match self.client.answer(asked.id) {
            Ok(answer) => {
                if matches!(asked.method, "textDocument/documentSymbol" | "textDocument/codeLens" | "pipelens/runs") {
                    let key = format!("k{}", asked.version);
                    assert!(
                        has_text(&answer, &key),
                        "{} is not about version {}: {answer}",
                        asked.method,
                        asked.version
                    );
                }
            }
            Err(error) => assert!(asked.is_cancelled && error["code"] == CANCELLED, "{asked:?}: {error}"),
        }
    }

    fn run(&mut self) {
        let params = json!({"command": "pipelens.runPipeline", "arguments": [{"uri": self.uri}]});
        let asked = self.client.ask("workspace/executeCommand", params);
        let (version, content) = (self.version, self.content);
        *self.not_refused.entry(version).or_default() += 1;
        self.runs.push(Started { asked, version, content, is_cancelled: false, id: None });
    }

    /// Looks at the answer of a request to run.
    fn started(&mut self, at: usize) -> Option<String> {
        let run = &self.runs[at];
        if run.id.is_some() {
            return run.id.clone();
        }
        let not_refused = self.not_refused.entry(run.version).or_default();
        let id = match self.client.answer(run.asked) {
            Ok(answer) => {
                assert_ne!(run.content, Content::Broken, "{answer}");
                text(&answer["runId"])
            }
            Err(error) => {
                *not_refused -= 1;
                let may_be_refused = run.content == Content::Broken || *not_refused > 0;
                assert!(may_be_refused && error["code"] == REFUSED, "{run:?}: {error}");
                self.runs.remove(at);
                return None;
            }
        };
        self.runs[at].id = Some(id.clone());
        Some(id)
    }

    fn cancel_a_run(&mut self) {
        let count = self.runs.len();
        if count == 0 {
            return;
        }
        let at = self.random.below(count);
        if let Some(id) = self.started(at) {
            self.runs[at].is_cancelled = true;
            self.client.execute("pipelens.cancel", json!({"runId": id})).unwrap();
        }
    }

    /// Everything that was begun ends as it must.
    fn end(&mut self) {
        for asked in std::mem::take(&mut self.requests) {
            self.check(&asked);
        }
        for at in (0..self.runs.len()).rev() {
            if self.started(at).is_some() && self.runs[at].content == Content::Endless && !self.runs[at].is_cancelled {
                self.runs[at].is_cancelled = true;
                let id = self.runs[at].id.clone();
                self.client.execute("pipelens.cancel", json!({"runId": id})).unwrap();
            }
        }
        for run in std::mem::take(&mut self.runs) {
            let id = run.id.clone().unwrap();
            let end = self.client.run_event("runEnd", |event| event["runId"] == id.as_str());
            let outcome = text(&end["outcome"]);
            let fits = match run.content {
                Content::Endless => outcome == "cancelled",
                Content::Quick => outcome == "succeeded" || (run.is_cancelled && outcome == "cancelled"),
                Content::Broken => false,
            };
            assert!(fits, "{run:?} has ended as {outcome}");
        }
        self.compare_findings();
        // No request was answered twice.
        let more = self.client.take(|message| message.get("method").is_none());
        assert_eq!(more, Vec::<Value>::new());
        self.client.take(|_| true);
    }

    /// The findings of the last text are those of the same text in a document that was just opened.
    fn compare_findings(&mut self) {
        let last = self.client.diagnostics(&self.uri, self.version);
        let mut all = vec![own(&last)];
        let later = self.client.take(|message| {
            let params = &message["params"];
            message["method"] == "textDocument/publishDiagnostics"
                && params["uri"] == self.uri
                && params["version"] == self.version
        });
        all.extend(later.iter().map(|message| own(message["params"]["diagnostics"].as_array().unwrap())));
        self.client.open(&self.copy, &written(self.version, self.content));
        let fresh = own(&self.client.diagnostics(&self.copy, 1));
        assert_eq!(fresh.is_empty(), self.content != Content::Broken, "{fresh:?}");
        assert!(all.iter().all(|found| *found == fresh), "{all:?} instead of {fresh:?}");
        self.client.notify("textDocument/didClose", json!({"textDocument": {"uri": self.copy}}));
    }
}

/// Whether a string in an answer has this as its text, or in it as a word in backticks.
fn has_text(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted || text.contains(&format!("`{wanted}`")),
        Value::Array(values) => values.iter().any(|value| has_text(value, wanted)),
        Value::Object(values) => values.values().any(|value| has_text(value, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns the findings of the analysis alone, without those of runs.
fn own(found: &[Value]) -> Vec<Value> {
    found.iter().filter(|found| found["source"] == "pipelens").cloned().collect()
}

#[test]
fn any_order_of_edits_requests_cancels_and_runs_ends_as_the_model_says() {
    let count = std::env::var("PIPELENS_INTERLEAVINGS").map_or(FEW, |count| count.parse().expect("a number"));
    let mut counted = BTreeMap::<&str, usize>::new();
    for first in (0..count).step_by(usize::try_from(PER_SERVER).unwrap()) {
        let project = Project::new("steps: []\n");
        let mut command = project.command(Runner::Host, &["lsp"]);
        let mut client = Client::spawn_command(&mut command);
        client.ignores = test_client::is_routine_or_outcome;
        client
            .initialize(everything(), json!({"runner": "host", "shellcheck": false, "hostIsolation": false}))
            .unwrap();
        let copy = format!("file://{}/copy/pipeline.yml", project.folder.path().display());
        let mut version = 1;
        for seed in first..count.min(first + PER_SERVER) {
            let uri = project.uri();
            client.open(&uri, "name: ci\n");
            let random = Random(seed);
            let copy = copy.clone();
            let mut world = World {
                client,
                uri,
                copy,
                version,
                content: Content::Broken,
                requests: Vec::new(),
                runs: Vec::new(),
                not_refused: BTreeMap::new(),
                random,
            };
            world.edit();
            let length = 4 + world.random.below(14);
            let order = std::panic::AssertUnwindSafe(|| {
                (0..length).for_each(|_| world.step());
                *counted.entry("runs").or_default() += world.runs.len();
                *counted.entry("requests").or_default() += world.requests.len();
                world.end();
            });
            // The seed is what one needs to see it again.
            if let Err(panic) = std::panic::catch_unwind(order) {
                eprintln!("with seed {seed}");
                std::panic::resume_unwind(panic);
            }
            world.client.notify("textDocument/didClose", json!({"textDocument": {"uri": world.uri}}));
            (client, version) = (world.client, world.version);
        }
        assert_eq!(client.quit().code(), Some(0));
    }
    println!("{count} interleavings: {counted:?}");
    assert!(counted.values().all(|counted| *counted > 0), "{counted:?}");
}

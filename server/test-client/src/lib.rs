//! A small scripted editor: the real binary over real JSON-RPC. It waits for messages, never for time, and answers what the server asks as
//! an editor would.
//!
//! A test that ends while a message of the server has not been looked at fails, but for those that [`Client::ignores`] names.

#![expect(clippy::panic, reason = "a test that cannot go on says so by ending")]
#![expect(clippy::indexing_slicing, reason = "a JSON value answers null for what it has not")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Nothing a server says takes longer, on any machine; what does not come in this time does not come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a message is one of those that come all the time: whether they are right is for the tests that look at them.
pub fn is_routine(message: &Value) -> bool {
    matches!(
        message["method"].as_str(),
        Some(
            "textDocument/publishDiagnostics"
                | "window/logMessage"
                | "window/workDoneProgress/create"
                | "$/progress"
                | "workspace/codeLens/refresh"
                | "workspace/diagnostic/refresh"
                | "pipelens/runEvent"
        )
    )
}

/// Whether a message is routine or the one that says how a run has ended.
pub fn is_routine_or_outcome(message: &Value) -> bool {
    let says_outcome = || {
        let text = message["params"]["message"].as_str().unwrap_or_default();
        [": ✓ ", ": ✗ ", ": ■ ", ": ⧖ "].iter().any(|mark| text.contains(mark))
    };
    is_routine(message)
        || matches!(message["method"].as_str(), Some("window/showMessage" | "window/showMessageRequest"))
            && says_outcome()
}

/// For a test that leaves requests unanswered on purpose.
pub fn is_anything(_: &Value) -> bool {
    true
}

/// A running server and everything it said that has not been looked at yet.
#[derive(Debug)]
pub struct Client {
    pub child: Child,
    stdin: Option<ChildStdin>,
    incoming: Receiver<(Instant, Value)>,
    /// When the last byte of the newest message that was looked at came.
    pub arrived: Instant,
    gate: Arc<Gate>,
    unread: VecDeque<Value>,
    next_id: i64,
    /// Which messages the test need not look at.
    pub ignores: fn(&Value) -> bool,
    /// Whether the server's questions stay unanswered.
    pub holds_answers: bool,
    /// What to answer when the server asks for a progress token.
    pub refuses_progress: bool,
    /// What to answer to `window/showMessageRequest`.
    pub chosen_action: Option<&'static str>,
    /// What to answer to `workspace/configuration`, by section; or for a folder, by its URI and then by section.
    pub configuration: Value,
}

impl Client {
    /// Starts a server without saying anything to it.
    pub fn spawn(binary: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary);
        // The settings of whoever runs the tests do not count.
        command.args(["lsp", "--stdio"]).env("PIPELENS_SETTINGS", "no-settings.yaml").envs(environment.iter().copied());
        Self::spawn_command(&mut command)
    }

    /// Starts any server that speaks on standard input and output.
    pub fn spawn_command(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().expect("the server starts");
        let stdin = child.stdin.take();
        let gate = Arc::new(Gate::default());
        let incoming = read_messages(child.stdout.take().expect("the output is piped"), gate.clone());
        Self {
            child,
            stdin,
            incoming,
            arrived: Instant::now(),
            gate,
            unread: VecDeque::new(),
            next_id: 0,
            ignores: is_routine,
            holds_answers: false,
            refuses_progress: false,
            chosen_action: None,
            configuration: Value::Null,
        }
    }

    /// Starts a server and introduces an editor that can do everything.
    pub fn start(binary: &Path, environment: &[(&str, &str)], options: Value) -> Self {
        let mut client = Self::spawn(binary, environment);
        client.initialize(everything(), options).expect("initialize is answered");
        client
    }

    pub fn initialize(&mut self, capabilities: Value, options: Value) -> Result<Value, Value> {
        let params = json!({
            "processId": std::process::id(),
            "capabilities": capabilities,
            "initializationOptions": options,
            "rootUri": null,
        });
        let answer = self.request("initialize", params)?;
        self.notify("initialized", json!({}));
        Ok(answer)
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        // A server that is gone shows in what the test expects next.
        stdin.write_all(bytes).and_then(|()| stdin.flush()).ok();
    }

    pub fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.send_raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// Sends a request and returns its id; the answer is waited for with `answer`.
    pub fn ask(&mut self, method: &str, params: Value) -> i64 {
        self.next_id += 1;
        let id = self.next_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// Waits for the answer to a request.
    pub fn answer(&mut self, id: i64) -> Result<Value, Value> {
        let answer = self.wait(&format!("the answer to request {id}"), |message| {
            (message.get("method").is_none() && message["id"] == json!(id)).then(|| message.clone())
        });
        match answer.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(answer["result"].clone()),
        }
    }

    pub fn request(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.ask(method, params);
        self.answer(id)
    }

    pub fn open(&mut self, uri: &str, text: &str) {
        let language = if uri.ends_with(".json") { "json" } else { "yaml" };
        let document = json!({"uri": uri, "languageId": language, "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
    }

    /// Replaces a range, or the whole text with `null`.
    pub fn change(&mut self, uri: &str, version: i32, range: &Value, text: &str) {
        let change = if range.is_null() { json!({"text": text}) } else { json!({"range": range, "text": text}) };
        let params = json!({"textDocument": {"uri": uri, "version": version}, "contentChanges": [change]});
        self.notify("textDocument/didChange", params);
    }

    /// Waits for the diagnostics of one version of a document.
    pub fn diagnostics(&mut self, uri: &str, version: i32) -> Vec<Value> {
        self.wait(&format!("diagnostics of version {version}"), |message| {
            let params = &message["params"];
            let fits = message["method"] == "textDocument/publishDiagnostics"
                && params["uri"] == uri
                && params["version"] == json!(version);
            fits.then(|| params["diagnostics"].as_array().cloned().unwrap_or_default())
        })
    }

    pub fn lenses(&mut self, uri: &str) -> Vec<Value> {
        let answer = self.request("textDocument/codeLens", json!({"textDocument": {"uri": uri}}));
        answer.expect("lenses are answered").as_array().cloned().unwrap_or_default()
    }

    /// Returns the lenses as `line: title`.
    pub fn lens_titles(&mut self, uri: &str) -> Vec<String> {
        let lenses = self.lenses(uri);
        let title = |lens: &Value| {
            format!("{}: {}", lens["range"]["start"]["line"], lens["command"]["title"].as_str().unwrap_or("?"))
        };
        lenses.iter().map(title).collect()
    }

    pub fn execute(&mut self, command: &str, argument: Value) -> Result<Value, Value> {
        self.request("workspace/executeCommand", json!({"command": command, "arguments": [argument]}))
    }

    /// Starts a run and returns its id.
    pub fn run(&mut self, command: &str, argument: Value) -> String {
        let answer = self.execute(command, argument).expect("the run starts");
        answer["runId"].as_str().expect("a run has an id").to_owned()
    }

    /// Starts a run with a command and waits until it is over; returns its id and all its events.
    pub fn run_to_end(&mut self, command: &str, argument: Value) -> (String, Vec<Value>) {
        let run_id = self.run(command, argument);
        let events = self.run_events(&run_id);
        (run_id, events)
    }

    /// Waits for a run event of one kind, which fits.
    pub fn run_event(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.wait(&format!("run event {kind}"), |message| {
            let params = &message["params"];
            let is_it = message["method"] == "pipelens/runEvent" && params["kind"] == kind && fits(params);
            is_it.then(|| params.clone())
        })
    }

    /// Waits until a run is over; returns all its events.
    pub fn run_events(&mut self, run_id: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.wait("the next event of the run", |message| {
                let params = &message["params"];
                (message["method"] == "pipelens/runEvent" && params["runId"] == run_id).then(|| params.clone())
            });
            let is_last = event["kind"] == "runEnd";
            events.push(event);
            if is_last {
                return events;
            }
        }
    }

    /// Waits for the first message that yields something, and takes it; all others stay to be looked at.
    pub fn wait<T>(&mut self, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        self.wait_for(what, PATIENCE, look)
    }

    pub fn wait_for<T>(&mut self, what: &str, patience: Duration, look: impl Fn(&Value) -> Option<T>) -> T {
        let found = self.unread.iter().enumerate().find_map(|(index, message)| Some((index, look(message)?)));
        if let Some((index, found)) = found {
            self.unread.remove(index);
            return found;
        }
        let deadline = Instant::now() + patience;
        loop {
            match self.incoming.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((arrived, message)) => {
                    self.arrived = arrived;
                    self.react(&message);
                    if let Some(found) = look(&message) {
                        return found;
                    }
                    self.unread.push_back(message);
                }
                Err(RecvTimeoutError::Timeout) => panic!("{what} did not come; unread: {}", self.unread_text()),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the server is gone while {what} was waited for; unread: {}", self.unread_text())
                }
            }
        }
    }

    /// Takes every message that was read so far and fits.
    pub fn take(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        while let Ok((_, message)) = self.incoming.try_recv() {
            self.react(&message);
            self.unread.push_back(message);
        }
        let (taken, kept) = self.unread.drain(..).partition(|message| fits(message));
        self.unread = kept;
        taken.into_iter().collect()
    }

    /// Returns the text of every `window/logMessage` so far.
    pub fn log_text(&mut self) -> String {
        let messages = self.take(|message| message["method"] == "window/logMessage");
        messages
            .iter()
            .map(|message| format!("{}\n", message["params"]["message"].as_str().unwrap_or_default()))
            .collect()
    }

    fn unread_text(&self) -> String {
        let tail = self.unread.iter().rev().take(10).rev();
        tail.map(|message| format!("\n  {message}")).collect()
    }

    /// Answers a request of the server as an editor would.
    fn react(&mut self, message: &Value) {
        let (Some(method), Some(id)) = (message["method"].as_str(), message.get("id")) else { return };
        if self.holds_answers {
            return;
        }
        let mut answer = json!({"jsonrpc": "2.0", "id": id, "result": null});
        match method {
            "window/workDoneProgress/create" if self.refuses_progress => {
                answer = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": "no"}});
            }
            "workspace/configuration" => {
                let items = message["params"]["items"].as_array().cloned().unwrap_or_default();
                let section = |item: &Value| {
                    let of_scope = item["scopeUri"].as_str().and_then(|scope| self.configuration.get(scope));
                    of_scope.unwrap_or(&self.configuration)[item["section"].as_str().unwrap_or_default()].clone()
                };
                answer["result"] = items.iter().map(section).collect();
            }
            "window/showDocument" => answer["result"] = json!({"success": true}),
            "window/showMessageRequest" => {
                answer["result"] = self.chosen_action.map_or(Value::Null, |title| json!({"title": title}));
            }
            _ => {}
        }
        self.send(&answer);
    }

    /// Stops sending; the server sees the end of its input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Stops reading: the pipe fills, and the server's writes wait.
    pub fn stop_reading(&mut self) {
        *self.gate.is_closed.lock().expect("no reader panics") = true;
    }

    /// Ends the session as the protocol has it and returns the exit status.
    pub fn quit(mut self) -> ExitStatus {
        self.request("shutdown", Value::Null).expect("shutdown is answered");
        self.notify("exit", Value::Null);
        self.exit_status()
    }

    /// Fails if the server has said something that the test did not look at.
    fn check_unread(&mut self) {
        let unread = self.unread.drain(..).chain(self.incoming.try_iter().map(|(_, message)| message));
        let overlooked = unread.filter(|message| !(self.ignores)(message));
        let overlooked: String = overlooked.map(|message| format!("\n  {:.400}", message.to_string())).collect();
        assert!(overlooked.is_empty(), "the test ends without looking at these messages:{overlooked}");
    }

    /// Waits for the process to end by itself.
    pub fn exit_status(&mut self) -> ExitStatus {
        exit_status(&mut self.child)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A test that failed leaves no server behind; one that passed has waited for its end.
        self.stdin = None;
        self.child.kill().ok();
        self.child.wait().ok();
        self.gate.open();
        if !std::thread::panicking() {
            self.check_unread();
        }
    }
}

/// Waits for a process to end by itself.
pub fn exit_status(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("the process can be asked") {
            return status;
        }
        assert!(Instant::now() < deadline, "the process does not end");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The capabilities of an editor that can do everything.
pub fn everything() -> Value {
    json!({
        "general": {"positionEncodings": ["utf-16"]},
        "window": {"workDoneProgress": true, "showDocument": {"support": true}, "showMessage": {}},
        "workspace": {"codeLens": {"refreshSupport": true}},
        "textDocument": {
            "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": []}}, "isPreferredSupport": true},
            "completion": {"completionItem": {"documentationFormat": ["markdown"]}},
            "documentSymbol": {"hierarchicalDocumentSymbolSupport": true},
            "hover": {"contentFormat": ["markdown"]},
            "publishDiagnostics": {"relatedInformation": true, "codeDescriptionSupport": true},
        },
        "experimental": {"pipelensRunEvents": true},
    })
}

/// Holds the reading thread back.
#[derive(Debug, Default)]
struct Gate {
    is_closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let closed = self.is_closed.lock().expect("no reader panics");
        drop(self.opened.wait_while(closed, |is_closed| *is_closed).expect("no reader panics"));
    }

    fn open(&self) {
        *self.is_closed.lock().expect("no reader panics") = false;
        self.opened.notify_all();
    }
}

fn read_messages(output: ChildStdout, gate: Arc<Gate>) -> Receiver<(Instant, Value)> {
    let (tx, rx) = channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        while let Some(message) = read_message(&mut output) {
            if tx.send(message).is_err() {
                return;
            }
            gate.pass();
        }
    });
    rx
}

fn read_message(output: &mut impl BufRead) -> Option<(Instant, Value)> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            header => {
                if let Some(value) = header.strip_prefix("Content-Length: ") {
                    length = value.parse().ok()?;
                }
            }
        }
    }
    let mut body = vec![0; length];
    output.read_exact(&mut body).ok()?;
    let arrived = Instant::now();
    Some((arrived, serde_json::from_slice(&body).ok()?))
}

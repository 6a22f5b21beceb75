//! A keystroke, from `didChange` to `publishDiagnostics`: this server beside yaml-language-server, which is given our schema.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{millis, resident_kib};
use crate::tools;
use test_client::Client;

const LINES: [usize; 3] = [100, 1_000, 10_000];
const ROUNDS: usize = 40;
/// The peer takes seconds for the longest file.
const PEER_ROUNDS: usize = 6;
const PEER_PATIENCE: Duration = Duration::from_secs(120);
/// When a file has taken this long, two rounds of it are enough.
const LONG_ENOUGH: Duration = Duration::from_secs(20);
const PEER: &str = "yaml-language-server@2.0.0";

/// A place near the end of the file that an edit makes wrong and right again.
#[derive(Clone, Copy)]
enum Mistake {
    /// A number beyond what the schema allows: the YAML stays whole.
    Value,
    /// A quote that is not closed.
    Syntax,
}

pub(super) fn measure(binary: &Path) -> Result<()> {
    let peer = install_peer()?;
    println!("didChange to publishDiagnostics, median");
    println!(
        "{:>6}  {:<9} {:<8} {:>12} {:>22} {:>8}",
        "lines", "steps", "edit", "pipelens", "yaml-language-server", "ratio"
    );
    for (lines, style) in LINES.into_iter().flat_map(|lines| [(lines, Style::Plain), (lines, Style::Merged)]) {
        let text = pipeline(lines, style)?;
        let style = style.name();
        for (name, mistake) in [("intact", Mistake::Value), ("broken", Mistake::Syntax)] {
            let ours = keystrokes(&mut ours(binary), &text, mistake, ROUNDS)?;
            let theirs = match &peer {
                Some(peer) => Some(keystrokes(&mut theirs(peer)?, &text, mistake, PEER_ROUNDS)?),
                None => None,
            };
            let (shown, ratio) = match theirs {
                Some(theirs) => (
                    format!("{:.0} ms", millis(&theirs, 50)),
                    format!("{:.0}x", millis(&theirs, 50) / millis(&ours, 50)),
                ),
                None => ("not installed".to_owned(), String::new()),
            };
            println!("{lines:>6}  {style:<9} {name:<8} {:>9.2} ms {shown:>22} {ratio:>8}", millis(&ours, 50));
        }
    }
    requests(binary)
}

/// Measures the requests an editor sends after each keystroke, in the longest file.
fn requests(binary: &Path) -> Result<()> {
    let lines = LINES.iter().copied().max().unwrap_or_default();
    let text = pipeline(lines, Style::Plain)?;
    let mut client = ours(binary);
    client.open(URI, &text);
    client.diagnostics(URI, 1);
    let document = json!({"textDocument": {"uri": URI}});
    let at = json!({"textDocument": {"uri": URI}, "position": {"line": lines / 2, "character": 8}});
    println!("\n{lines} lines, median of {ROUNDS}");
    for (method, params) in [
        ("textDocument/codeLens", &document),
        ("textDocument/documentSymbol", &document),
        ("textDocument/foldingRange", &document),
        ("textDocument/hover", &at),
        ("textDocument/completion", &at),
    ] {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let answer = client.request(method, params.clone());
            // What the client needs to read so many lenses is not the server's.
            times.push(client.arrived - start);
            ensure!(answer.is_ok(), "{method} was not answered: {answer:?}");
        }
        times.sort();
        println!("{method:<28} {:>6.2} ms", millis(&times, 50));
    }
    println!(
        "resident                     {:>6.1} MB",
        f64::from(u32::try_from(resident_kib(client.child.id())?)?) * 1.024 / 1000.0
    );
    client.quit();
    Ok(())
}

pub(super) const URI: &str = "file:///bench/pipeline.yml";

pub(super) fn ours(binary: &Path) -> Client {
    Client::start(binary, &[("DOCKER_HOST", "unix:///nonexistent/docker.sock")], Value::Null)
}

fn theirs(program: &Path) -> Result<Client> {
    let schema = format!("file://{}", tools::root().join("schemas/pipeline.schema.json").display());
    let mut client = Client::spawn_command(Command::new(program).arg("--stdio").stderr(Stdio::null()));
    // Only its findings are measured.
    client.ignores = test_client::is_anything;
    client.configuration =
        json!({"yaml": {"schemas": {schema: "*.yml"}, "schemaStore": {"enable": false}, "validate": true}});
    let capabilities = json!({
        "workspace": {"configuration": true, "didChangeConfiguration": {"dynamicRegistration": true}},
        "textDocument": {"publishDiagnostics": {"relatedInformation": true}},
    });
    client.initialize(capabilities, Value::Null).map_err(|error| anyhow::anyhow!("initialize: {error}"))?;
    let settings = client.configuration.clone();
    client.notify("workspace/didChangeConfiguration", json!({"settings": settings}));
    Ok(client)
}

/// Makes the mistake and takes it back, again and again; returns the sorted times until the server said so.
fn keystrokes(client: &mut Client, text: &str, mistake: Mistake, rounds: usize) -> Result<Vec<Duration>> {
    let (range, wrong, right) = place(text, mistake)?;
    client.open(URI, text);
    let before = findings(client, |_| true);
    let mut times = Vec::new();
    for round in 0..rounds {
        let is_wrong = round % 2 == 0;
        let (new, old_len) = if is_wrong { (wrong, right.len()) } else { (right, wrong.len()) };
        let end = json!({"line": range.0, "character": range.1 + old_len});
        let change = json!({"start": {"line": range.0, "character": range.1}, "end": end});
        client.take(|message| message["method"] == "textDocument/publishDiagnostics");
        let start = Instant::now();
        client.change(URI, i32::try_from(round)? + 2, &change, new);
        findings(client, |count| if is_wrong { count > before } else { count == before });
        times.push(client.arrived - start);
        if times.len() >= 2 && times.iter().sum::<Duration>() > LONG_ENOUGH {
            break;
        }
    }
    times.sort();
    Ok(times)
}

/// Waits until as many findings are there as expected, and returns their number.
fn findings(client: &mut Client, is_expected: impl Fn(usize) -> bool) -> usize {
    client.wait_for("the findings", PEER_PATIENCE, |message| {
        let params = &message["params"];
        let is_ours = message["method"] == "textDocument/publishDiagnostics" && params["uri"] == URI;
        let count = params["diagnostics"].as_array().map_or(0, Vec::len);
        (is_ours && is_expected(count)).then_some(count)
    })
}

/// Returns line and column of what is changed, its wrong and its right spelling.
fn place(text: &str, mistake: Mistake) -> Result<((usize, usize), &'static str, &'static str)> {
    let (mark, wrong, right) = match mistake {
        Mistake::Value => ("retry: ", "99", "1"),
        // The closing quote of a label.
        Mistake::Syntax => ("part end", "", "\""),
    };
    let offset = text.rfind(mark).context("the file has the place")? + mark.len();
    let before = text.get(..offset).context("a character border")?;
    let line = before.matches('\n').count();
    let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1);
    Ok(((line, column), wrong, right))
}

/// How the steps say what they have in common.
#[derive(Clone, Copy)]
pub(super) enum Style {
    /// Each says it all.
    Plain,
    /// Each merges `<<: *defaults`, as people write long files.
    Merged,
}

impl Style {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Merged => "merged",
        }
    }
}

/// Steps of ten lines each, as people write them; the last has the place for the mistake.
pub(super) fn pipeline(lines: usize, style: Style) -> Result<String> {
    let mut text = String::from(
        r#"name: bench
default_image: alpine:3.20
env:
  CI: "1"
steps:
"#,
    );
    let steps = (lines - 5) / 10;
    for step in 0..steps {
        let label = if step + 1 == steps { "end".to_owned() } else { step.to_string() };
        let env = match style {
            Style::Plain => format!(
                r#"    env:
      RUST_LOG: debug
      LEVEL: "{step}"
"#
            ),
            Style::Merged if step == 0 => r#"    env: &defaults
      RUST_LOG: debug
      LEVEL: "0"
"#
            .to_owned(),
            Style::Merged => format!(
                r#"    env:
      <<: *defaults
      LEVEL: "{step}"
"#
            ),
        };
        let boots = if step == 0 { "image: rust:1.95".to_owned() } else { format!("builds_in: step-{}", step / 2) };
        write!(
            text,
            r#"  - key: step-{step}
    label: ":rust: Build part {label}"
    cmd: |
      cargo build --release --locked
      echo "done {step}"
    {boots}
{env}    retry: 1
"#
        )?;
    }
    Ok(text)
}

/// Returns the peer's program, installed below `target`; `None` where there is no npm.
fn install_peer() -> Result<Option<PathBuf>> {
    if tools::find("npm").is_none() {
        println!("npm is missing: only this server is measured");
        return Ok(None);
    }
    let folder = tools::folder()?.join("peers");
    let program = folder.join("node_modules/.bin/yaml-language-server");
    if !program.is_file() {
        println!("installing {PEER} with npm");
        std::fs::create_dir_all(&folder)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).arg(PEER);
        tools::run_command(&mut npm)?;
    }
    Ok(Some(program))
}

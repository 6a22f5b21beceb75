//! Programs that make pipelines: what rendering one costs beside the SDK alone, how soon its buttons are there, and typing in a long one.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use test_client::Client;

use super::analysis::{Style, pipeline};
use super::{millis, typing};
use crate::{harmont, tools};

const ROUNDS: usize = 21;
const LINES: usize = 2_000;
/// What people have, and ten times as many.
const STEPS: [usize; 2] = [20, 200];

/// What the Harmont tools execute, in the folder of a project.
const PLAIN: &str = include_str!("../fixtures/programs/plain.py");

pub(super) fn measure(binary: &Path) -> Result<()> {
    harmont::prepare()?;
    match harmont::python()? {
        Some(python) => beside_the_sdk(binary, &python)?,
        None => println!("The Harmont SDK for Python is missing: nothing is measured beside it"),
    }
    for steps in STEPS {
        buttons(binary, steps)?;
    }
    typing::header();
    let yaml = pipeline(LINES, Style::Plain)?;
    typing::in_file(binary, "YAML", ("file:///bench/pipeline.yml", &yaml), "label: \"")?;
    typing::in_file(binary, "Python", ("file:///bench/.hm/pipeline.py", &program(LINES)), "label=\"")
}

/// Whole processes: `pipelens convert`, and Python with the SDK.
fn beside_the_sdk(binary: &Path, python: &Path) -> Result<()> {
    println!("milliseconds, median of {ROUNDS} whole processes   pipelens  the SDK  pipelens/SDK");
    for name in ["chain", "fork", "rust"] {
        let folder = tempfile::tempdir()?;
        let project = folder.path().join("project");
        fs::create_dir_all(project.join(".hm"))?;
        let program = tools::root().join(format!("tests/fixtures/programs/python/{name}.py"));
        fs::copy(program, project.join(".hm/pipeline.py"))?;
        let environment = python.ancestors().nth(2).context("the interpreter is in an environment")?;
        let mut ours = Command::new(binary);
        ours.args(["convert", ".hm/pipeline.py", "--to", "envelope"]).env("VIRTUAL_ENV", environment);
        ours.env("PIPELENS_STATE_DIR", folder.path().join("state")).env("PIPELENS_SETTINGS", "no-settings.yaml");
        let mut plain = Command::new(python);
        plain.args(["-c", PLAIN]).arg(folder.path().join("envelope.json"));
        let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            for (command, times) in [(&mut ours, &mut our_times), (&mut plain, &mut their_times)] {
                let began = Instant::now();
                let output = command.current_dir(&project).output()?;
                times.push(began.elapsed());
                ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            }
        }
        our_times.sort();
        their_times.sort();
        let (ours, plain) = (millis(&our_times, 50), millis(&their_times, 50));
        println!("{:<45} {ours:>9.1} {plain:>8.1} {:>13.2}", format!("{name}.py"), ours / plain);
    }
    Ok(())
}

/// How long after a program has printed its pipeline the editor has a button on each of its steps. The program writes down when that was.
fn buttons(binary: &Path, steps: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("project");
    // What makes it the root of a project.
    fs::create_dir_all(root.join(".hm"))?;
    fs::create_dir_all(root.join("ci"))?;
    let file = root.join("ci/pipeline.gen");
    let (printed, clock) = (folder.path().join("printed.json"), folder.path().join("clock"));
    let text: String = (0..LINES).map(|line| format!("step {line}\n")).collect();
    fs::write(&file, &text)?;
    let key = |step: usize| format!("s{step}");
    let apart = LINES / steps;
    let nodes: Vec<_> = (0..steps)
        .map(|step| json!({"step": {"key": key(step), "cmd": "true", "image": "alpine:3"}, "env": {}}))
        .collect();
    let places: serde_json::Map<_, _> =
        (0..steps).map(|step| (key(step), json!([step * apart + 1, 1, step * apart + 1, 5]))).collect();
    let plan = json!({"version": "0", "graph": {"nodes": nodes, "node_holes": [], "edge_property": "directed", "edges": []},
        "places": {"": {"steps": places}}});
    fs::write(&printed, plan.to_string())?;
    let script = format!("cat {}; date +%s%N >{}", printed.display(), clock.display());
    let options =
        json!({"runner": "host", "programs": {"render": "always", "commands": {"ci/*.gen": ["sh", "-c", script]}}});
    let state = folder.path().join("state").display().to_string();
    let environment = [("PIPELENS_STATE_DIR", state.as_str()), ("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
    let mut client = Client::start(binary, &environment, options);
    client.ignores = test_client::is_anything;
    let uri = format!("file://{}", file.display());
    client.open(&uri, &text);
    client.wait("lenses", |message| (message["method"] == "workspace/codeLens/refresh").then_some(()));
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        // A client is asked to refresh at most four times a second, and a person does not save more often.
        thread::sleep(Duration::from_millis(500));
        client.take(|_| true);
        client.notify("textDocument/didSave", json!({"textDocument": {"uri": uri}}));
        client.wait("the refresh of the lenses", |message| {
            (message["method"] == "workspace/codeLens/refresh").then_some(())
        });
        let lenses = client.lenses(&uri).len();
        // When the answer was there, before it was read.
        let now = (SystemTime::now() - client.arrived.elapsed()).duration_since(UNIX_EPOCH)?;
        ensure!(lenses > steps, "there are {lenses} lenses for {steps} steps");
        let ended = Duration::from_nanos(fs::read_to_string(&clock)?.trim().parse()?);
        times.push(now.saturating_sub(ended));
    }
    times.sort();
    println!(
        "{steps} steps, from the end of a rendering to the buttons: {:.1} ms (median of {ROUNDS}; longest {:.1} ms)",
        millis(&times, 50),
        millis(&times, 100)
    );
    client.quit();
    Ok(())
}

/// Returns a program of about that many lines.
fn program(lines: usize) -> String {
    let mut text = "import harmont as hm\n\n".to_owned();
    let mut pipeline = 0;
    while text.lines().count() < lines {
        write!(text, "\n@hm.pipeline(\"p{pipeline}\")\ndef p{pipeline}():\n    built = hm.sh(\"make\", label=\"build {pipeline}\")\n").ok();
        text.push_str("    return (\n");
        for step in 0..10 {
            writeln!(
                text,
                "        built.sh(\"make part-{step}\", label=\"part {step}\", env={{\"PART\": \"{step}\"}}),"
            )
            .ok();
        }
        text.push_str("    )\n");
        pipeline += 1;
    }
    text
}

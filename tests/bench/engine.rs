//! What a run costs: the whole program beside the Harmont CLI where that is installed, then the engine alone beside the bare calls of
//! the API. Both read the same plan, on the same daemon, in turn.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::millis;
use crate::tools;

const ROUNDS: usize = 5;
const IMAGE: &str = "pipelens-test/busybox";

/// Measures on a daemon.
pub(super) fn measure(binary: &Path, host: &str) -> Result<()> {
    match env::var_os("PIPELENS_BENCH_HM").map(Into::into).or_else(|| tools::find("hm")) {
        Some(hm) => beside_hm(binary, &hm, host)?,
        None => println!("`hm` is neither on the path nor named by PIPELENS_BENCH_HM: nothing is measured beside it"),
    }
    let mut figures = tools::cargo();
    figures.args(["bench", "--locked", "--package", "pipelens-engine", "--bench", "figures"]);
    tools::run_command(figures.env("PIPELENS_TEST_DOCKER_HOST", host))
}

fn beside_hm(binary: &Path, hm: &Path, host: &str) -> Result<()> {
    println!("milliseconds, median of {ROUNDS} whole processes   pipelens      hm   hm/pipelens");
    for (what, plan) in [("one step", line(1)), ("chain of ten", line(10)), ("fan-out of twenty", fan(20))] {
        let project = tempfile::tempdir()?;
        let (folder, state) = (project.path().join("project"), project.path().join("state"));
        fs::create_dir_all(folder.join(".harmont"))?;
        fs::write(folder.join("plan.json"), plan.to_string())?;
        fs::write(folder.join(".harmont/ci.py"), program(&plan)?)?;
        let ours = || {
            let mut command = Command::new(binary);
            command.args(["run", "plan.json"]).env("PIPELENS_STATE_DIR", &state);
            command
        };
        let theirs = || {
            let mut command = Command::new(hm);
            command.args(["run", "ci", "--logs", "--dir"]).arg(&folder);
            command
        };
        let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            our_times.push(timed(ours().current_dir(&folder).env("DOCKER_HOST", host))?);
            their_times.push(timed(theirs().current_dir(&folder).env("DOCKER_HOST", host))?);
        }
        our_times.sort();
        their_times.sort();
        let (ours, theirs) = (millis(&our_times, 50), millis(&their_times, 50));
        println!("{what:<46} {ours:>7.0} {theirs:>7.0} {:>13.2}", theirs / ours);
    }
    Ok(())
}

/// A program for `hm`, which takes no plan from a file: it hands out this one as its own.
fn program(plan: &Value) -> Result<String> {
    let pipeline = json!({"slug": "ci", "name": "ci", "allow_manual": true, "triggers": [], "definition": plan});
    let envelope = json!({"schema_version": "1", "pipelines": [pipeline]}).to_string();
    Ok(format!("import harmont\nharmont.dump_registry_json = lambda: {}\n", serde_json::to_string(&envelope)?))
}

fn timed(command: &mut Command) -> Result<Duration> {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output().context("the program starts")?;
    let took = began.elapsed();
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(took)
}

fn line(length: usize) -> Value {
    let edges = (1..length).map(|index| json!([index - 1, index, "builds_in"])).collect();
    plan(length, |index| index == 0, edges)
}

fn fan(width: usize) -> Value {
    plan(width, |_| true, Vec::new())
}

fn plan(length: usize, has_image: impl Fn(usize) -> bool, edges: Vec<Value>) -> Value {
    let node = |index| {
        let image = has_image(index).then_some(IMAGE);
        json!({"step": {"key": format!("step-{index}"), "cmd": "true", "image": image}, "env": {}})
    };
    let nodes: Vec<Value> = (0..length).map(node).collect();
    json!({"version": "0", "graph": {"nodes": nodes, "node_holes": [], "edge_property": "directed", "edges": edges}})
}

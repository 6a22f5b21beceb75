//! What a person feels while a step floods: how long a hover takes, how long after an edit its findings are there, how much memory the server holds, whether the log is whole.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{millis, resident_kib};
use test_client::Client;

const LINES: usize = 200_000;

/// Measures on the `host` runner, and on Docker where `PIPELENS_TEST_DOCKER_HOST` names a daemon.
pub(super) fn measure(binary: &Path) -> Result<()> {
    println!(
        "runner   idle hover p50   flood hover p50      p95      max   findings after an edit p50      p95      max   resident   lines in the file"
    );
    flood(binary, "host", "unix:///nonexistent/docker.sock")?;
    if let Ok(host) = env::var("PIPELENS_TEST_DOCKER_HOST") {
        flood(binary, "docker", &host)?;
    }
    Ok(())
}

fn flood(binary: &Path, runner: &str, docker_host: &str) -> Result<()> {
    let (project, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let text = format!(
        r#"default_image: pipelens-test/busybox:latest
steps:
  - key: flood
    cmd: i=0; while [ $i -lt {LINES} ]; do echo "line $i of the flood"; i=$((i+1)); done
"#
    );
    let file = project.path().join("pipeline.yml");
    fs::write(&file, &text)?;
    let uri = format!("file://{}", file.display());
    let state_folder = state.path().display().to_string();
    let environment = [("PIPELENS_STATE_DIR", state_folder.as_str()), ("DOCKER_HOST", docker_host)];
    let mut client = Client::start(binary, &environment, json!({"runner": runner}));
    client.open(&uri, &text);
    let mut idle: Vec<Duration> = (0..200).map(|_| hover(&mut client, &uri)).collect();
    let run_id = client.run("pipelens.runPipeline", json!({"uri": uri}));
    client.run_event("stepLog", |event| event["runId"] == run_id.as_str());
    let (mut busy, mut edited, mut peak_kib) = (Vec::new(), Vec::new(), 0);
    let end = loop {
        busy.push(hover(&mut client, &uri));
        let version = i32::try_from(edited.len())? + 2;
        edited.push(edit(&mut client, &uri, version));
        peak_kib = peak_kib.max(resident_kib(client.child.id())?);
        let events = client.take(|_| true);
        if let Some(end) = events.into_iter().find(|message| message["params"]["kind"] == "stepEnd") {
            break end;
        }
    };
    let log = fs::read_to_string(end["params"]["logFile"].as_str().context("a step has a log file")?)?;
    ensure!(end["params"]["outcome"] == "succeeded", "the flood did not succeed: {end}");
    idle.sort();
    busy.sort();
    edited.sort();
    println!(
        "{runner:<8} {:>11.2} ms   {:>12.2} ms {:>5.2} ms {:>5.2} ms   {:>23.2} ms {:>5.2} ms {:>5.2} ms {:>7.1} MB   {:>17}",
        millis(&idle, 50),
        millis(&busy, 50),
        millis(&busy, 95),
        millis(&busy, 100),
        millis(&edited, 50),
        millis(&edited, 95),
        millis(&edited, 100),
        f64::from(u32::try_from(peak_kib)?) * 1.024 / 1000.0,
        log.lines().count(),
    );
    client.quit();
    Ok(())
}

fn hover(client: &mut Client, uri: &str) -> Duration {
    let params = json!({"textDocument": {"uri": uri}, "position": {"line": 2, "character": 6}});
    let start = Instant::now();
    let answer: Result<Value, Value> = client.request("textDocument/hover", params);
    let took = start.elapsed();
    drop(answer);
    took
}

/// Types a character, and waits for the findings of the new text.
fn edit(client: &mut Client, uri: &str, version: i32) -> Duration {
    let at = json!({"line": 0, "character": 0});
    let start = Instant::now();
    client.change(uri, version, &json!({"start": at, "end": at}), if version == 2 { "#\n" } else { "#" });
    drop(client.diagnostics(uri, version));
    start.elapsed()
}

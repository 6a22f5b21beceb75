//! When this process is killed with no time to say a word, what it started ends within seconds.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use pipelens_engine::event::BuildEvent;
use pipelens_engine::run::RunnerKind;

use crate::bench::{Bench, assert_nothing_left, docker_client, eventually, is_available, step};

const ROLE: &str = "PIPELENS_TEST_RUNNER_TO_KILL";

/// Not a test: what the tests below start, and kill.
#[tokio::test]
async fn process_to_be_killed() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let runner = if role == "host" { RunnerKind::Host } else { RunnerKind::Docker };
    let marker = std::env::var("PIPELENS_TEST_MARKER").unwrap();
    // It never ends by itself, so whatever ends it is the runner.
    let cmd = format!("(trap '' TERM; exec sleep {marker}) & echo begun; while :; do sleep {marker}; done");
    let mut running = Bench::new(runner, vec![step("a", &cmd)]).start();
    println!("\nrun {}", running.run_id);
    running.wait_for_line("begun").await;
    println!("\nbegun");
    running.wait_for(|event| matches!(event, BuildEvent::BuildEnd { .. })).await;
}

/// Starts a run in a process of its own, kills that process, and returns the run's id.
fn start_and_kill(role: &str, marker: &str) -> uuid::Uuid {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::process_to_be_killed", "--nocapture"])
        .env(ROLE, role)
        .env("PIPELENS_TEST_MARKER", marker)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut run_id = None;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(id) = line.strip_prefix("run ") {
            run_id = Some(id.parse().unwrap());
        }
        if line == "begun" {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    run_id.expect("the run started")
}

#[tokio::test]
async fn no_container_outlives_us_and_the_next_run_removes_it() {
    if !is_available(RunnerKind::Docker) {
        return;
    }
    let run_id = start_and_kill("docker", "1000");
    let filter = format!("label=dev.pipelens.run={run_id}");
    eventually("the container has ended", async || {
        docker_client(&["ps", "-q", "--filter", &filter]).is_empty().then_some(())
    })
    .await;
    let ran = Bench::docker(vec![step("a", "true")]).run().await;
    ran.assert_succeeded();
    assert_nothing_left(run_id);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_process_outlives_us_and_the_next_run_removes_its_folder() {
    // A number that no other process sleeps for.
    let marker = format!("{}", 100_000 + std::process::id());
    let run_id = start_and_kill("host", &marker);
    eventually("the processes have ended", async || (!is_sleeping(&marker)).then_some(())).await;
    let folder = std::env::temp_dir().join(format!("pipelens-{run_id}"));
    Bench::new(RunnerKind::Host, vec![step("a", "true")]).run().await.assert_succeeded();
    assert!(!folder.exists());
}

#[cfg(target_os = "linux")]
fn is_sleeping(marker: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let command_line = |process: std::fs::DirEntry| std::fs::read(process.path().join("cmdline")).ok();
    let wanted = format!("sleep\0{marker}\0");
    processes.filter_map(command_line).any(|line| line == wanted.as_bytes())
}

//! What ends a run before its end: Ctrl-C, once and twice, SIGTERM, and a reader that goes away.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Project, Runner, docker, left_of, runners, text};
use test_client::{PATIENCE, exit_status};

#[expect(
    clippy::zombie_processes,
    reason = "the caller waits for it; a test that fails here ends with its process group"
)]
/// Starts a run that does not end by itself, and waits until it does something; returns it with its run's id.
fn started(project: &Project, runner: Runner) -> (Child, BufReader<impl Read + use<>>, String) {
    let mut child = project
        .command(runner, &["run", "pipeline.yml", "--format", "json", "--runner", runner.name()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    loop {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "the run ended early");
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["kind"] == "stepLog" {
            return (child, output, text(&event["runId"]));
        }
    }
}

const LONG: &str = r"default_image: pipelens-test/busybox:latest
steps:
  - key: first
    cmd: echo ready
  - key: a
    cmd: echo here; sleep 600
    builds_in: first
";

#[test]
#[cfg(unix)]
fn ctrl_c_and_sigterm_cancel_and_clean_up() {
    for runner in runners() {
        for signal in ["-INT", "-TERM"] {
            let project = Project::new(LONG);
            let (mut child, mut output, run_id) = started(&project, runner);
            send(signal, &child);
            assert_cancelled(&mut child, &mut output, runner, &run_id);
        }
    }
}

#[test]
#[cfg(unix)]
fn two_signals_at_once_are_one() {
    for runner in runners() {
        let project = Project::new(LONG);
        let (mut child, mut output, run_id) = started(&project, runner);
        wait_for_line(&mut output, "here");
        send("-INT", &child);
        send("-INT", &child);
        assert_cancelled(&mut child, &mut output, runner, &run_id);
    }
}

#[test]
#[cfg(unix)]
fn a_second_ctrl_c_stops_waiting_and_still_leaves_nothing_running() {
    if !runners().contains(&Runner::Docker) {
        return;
    }
    let stubborn = LONG.replace("echo here; sleep 600", "trap '' TERM; echo here; while true; do sleep 1; done");
    let project = Project::new(&stubborn);
    let (mut child, mut output, run_id) = started(&project, Runner::Docker);
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    wait_for_line(&mut output, "here");
    send("-INT", &child);
    let mut said = String::new();
    errors.read_line(&mut said).unwrap();
    assert!(said.contains("press Ctrl-C again"), "{said}");
    // Within a second, it would be the same signal.
    while child.try_wait().unwrap().is_none() {
        send("-INT", &child);
        std::thread::park_timeout(Duration::from_millis(50));
    }
    assert_eq!(exit_status(&mut child).code(), Some(130));
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("\"outcome\":\"cancelled\""), "it waited for the cleanup: {rest}");
    let filter = format!("label=dev.pipelens.run={run_id}");
    let deadline = Instant::now() + PATIENCE;
    while !docker(&["ps", "--quiet", "--filter", &filter]).is_empty() {
        assert!(Instant::now() < deadline, "a container is still running although its run is gone");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    // The next start sweeps what is left of it.
    assert_eq!(project.output(Runner::Docker, &["run", "pipeline.yml", "--step", "first"]).0, 0);
    assert_eq!(left_of(&run_id), "");
}

#[cfg(unix)]
fn send(signal: &str, child: &Child) {
    let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "{signal}");
}

/// Asserts that a run ends as cancelled, and leaves nothing.
#[cfg(unix)]
fn assert_cancelled(child: &mut Child, output: &mut impl Read, runner: Runner, run_id: &str) {
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(exit_status(child).code(), Some(130), "{rest}");
    assert!(rest.lines().last().unwrap().contains("\"outcome\":\"cancelled\""), "{rest}");
    if runner == Runner::Docker {
        assert_eq!(left_of(run_id), "");
    }
}

#[cfg(unix)]
fn wait_for_line(output: &mut impl BufRead, wanted: &str) {
    let mut line = String::new();
    while !line.contains(wanted) {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "{wanted} did not come");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    for runner in runners() {
        let project = Project::new(
            r"default_image: pipelens-test/busybox:latest
steps:
  - key: a
    cmd: while true; do echo again; sleep 0.1; done
",
        );
        let (mut child, output, run_id) = started(&project, runner);
        drop(output);
        assert_eq!(exit_status(&mut child).code(), Some(130));
        if runner == Runner::Docker {
            assert_eq!(left_of(&run_id), "");
        }
    }
}

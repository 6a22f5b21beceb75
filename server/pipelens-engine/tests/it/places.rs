//! On the host: where a step sees its workspace, and which processes it can reach.

use std::path::Path;

use pipelens_core::plan::PlanStep;
use pipelens_engine::event::{BuildEvent, Outcome};

use crate::bench::{Bench, Ran, StepExt as _, host_runner, in_own_process, role, step};
use crate::cache::forever;

/// Whether steps have a PID namespace here: then the supervisor is its first process.
async fn has_processes() -> bool {
    let ran = Bench::new(host_runner(), vec![step("a", "echo $PPID")]).run().await;
    let is_first = ran.text_of("a") == ["1"];
    if !is_first {
        crate::skipped::skipped("PID namespaces", "steps have no PID namespace on this machine");
    }
    is_first
}

/// A folder that holds its own path, as a virtual environment does.
fn environment() -> PlanStep {
    step("deps", "mkdir bin; printf '#!/bin/sh\\necho \"%s\"\\n' \"$PWD\" > bin/tool; chmod +x bin/tool; pwd")
}

fn uses_it(key: &str) -> PlanStep {
    step(key, "[ \"$(bin/tool)\" = \"$PWD\" ] && pwd").builds_in(0)
}

#[tokio::test]
async fn every_step_and_run_of_a_project_sees_the_same_folder() {
    if !has_processes().await {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let project = tempfile::tempdir().unwrap();
    let mut folders = Vec::new();
    for cached in [false, true] {
        let steps = vec![forever(environment()), uses_it("left"), uses_it("right"), step("other", "cd .; pwd")];
        let mut bench = Bench::new(host_runner(), steps).caching_in(state.path());
        bench.request.source_root = project.path().to_owned();
        let ran = bench.run().await;
        ran.assert_succeeded();
        assert_eq!(*ran.outcome_of("deps") == Outcome::Cached, cached);
        folders.extend(["left", "right", "other"].into_iter().flat_map(|key| ran.text_of(key)).map(str::to_owned));
    }
    assert_eq!(folders.len(), 6);
    folders.dedup();
    assert_eq!(folders.len(), 1, "{folders:?}");
    assert!(!Path::new(&folders[0]).exists(), "it is gone with the run");
}

#[tokio::test]
async fn steps_at_the_same_path_see_their_own_files_at_the_same_time() {
    if !has_processes().await {
        return;
    }
    let meeting = tempfile::tempdir().unwrap();
    let meets = |key: &str, other: &str| {
        let folder = meeting.path().display();
        let cmd = format!(
            "echo {key} > mine; touch {folder}/{key}; until [ -e {folder}/{other} ]; do sleep 0.01; done; cat mine"
        );
        step(key, &cmd)
    };
    let ran = Bench::new(host_runner(), vec![meets("a", "b"), meets("b", "a")]).run().await;
    ran.assert_succeeded();
    assert_eq!((ran.text_of("a"), ran.text_of("b")), (vec!["a"], vec!["b"]));
}

#[tokio::test]
async fn a_step_sees_and_ends_no_process_but_its_own() {
    if !has_processes().await {
        return;
    }
    // Only where it is certain that this is no process of ours.
    let kills = "sleep 1000 & [ $PPID = 1 ] && [ $(ls /proc | grep -c '^[0-9]') -lt 20 ] && kill -9 -1; wait; ls /proc | grep -c '^[0-9]'; kill -9 $PPID; echo on";
    let ran = Bench::new(host_runner(), vec![step("a", kills)]).run().await;
    ran.assert_succeeded();
    // The supervisor, its child and the two of the pipe.
    let text = ran.text_of("a");
    assert!(text[0].parse::<u32>().unwrap() <= 5, "{text:?}");
    assert_eq!(text[1], "on");
}

#[tokio::test]
async fn a_supervisor_that_is_killed_from_outside_has_no_exit_code() {
    if !has_processes().await {
        return;
    }
    let forgiven = PlanStep { soft_fail: true, retry: 3, ..step("a", "echo begun; sleep 1000") };
    let mut running = Bench::new(host_runner(), vec![forgiven]).start();
    running.wait_for_line("begun").await;
    // The run's processes are those of this one.
    let supervisor = descendants(std::process::id()).into_iter().find(|process| is_first_of_its_namespace(*process));
    kill(supervisor.unwrap());
    let ran = running.finish().await;
    let begun = ran.text_of("a").into_iter().filter(|line| *line == "begun").count();
    assert_eq!(begun, 1, "nothing is repeated");
    assert!(ran.error_of("a").contains("its supervisor was killed"), "{}", ran.error_of("a"));
}

fn status(process: u32, name: &str) -> Vec<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn descendants(process: u32) -> Vec<u32> {
    let all: Vec<u32> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().and_then(|name| name.parse().ok()))
        .collect();
    let mut found = vec![process];
    for index in 0.. {
        let Some(parent) = found.get(index).copied() else { break };
        found.extend(all.iter().filter(|child| status(**child, "PPid:") == [parent]));
    }
    found
}

fn is_first_of_its_namespace(process: u32) -> bool {
    matches!(status(process, "NSpid:")[..], [_, .., 1])
}

fn kill(process: u32) {
    let process = rustix::process::Pid::from_raw(process.try_into().unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn programs_outside_find_the_folder_by_a_variable() {
    let ran =
        Bench::new(host_runner(), vec![step("a", "echo here > file; echo $PIPELENS_WORKDIR; echo begun; sleep 1000")]);
    let mut running = ran.start();
    running.wait_for_line("begun").await;
    let line = running.seen.iter().find_map(|event| match event {
        BuildEvent::StepLog { lines, .. } => Some(lines.first()?.text.to_string()),
        _ => None,
    });
    let file = Path::new(&line.unwrap()).join("file");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "here\n");
    running.cancel.cancel();
    running.finish().await;
}

#[tokio::test]
async fn the_shell_for_a_failed_step_sees_the_same_folder() {
    if !has_processes().await {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let steps = vec![step("a", "pwd; echo left > file; exit 1").env("NAME", "it's")];
    let ran = Bench::new(host_runner(), steps).caching_in(state.path()).run().await;
    let shell = ran.events.iter().find_map(|event| match event {
        BuildEvent::StepKept { shell, .. } => Some(shell.clone()),
        _ => None,
    });
    let shell = shell.unwrap();
    let mut child = std::process::Command::new("sh")
        .args(["-c", &shell])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"pwd; cat file; echo $NAME\n").unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let folder = ran.text_of("a").remove(0);
    std::fs::remove_dir_all(Path::new(&folder).parent().unwrap()).ok();
    assert_eq!(output, format!("{folder}\nleft\nit's\n"), "{shell}");
}

/// What holds without namespaces as well.
async fn check_turns(bench: impl Fn(Vec<PlanStep>) -> Bench) {
    let project = tempfile::tempdir().unwrap();
    let run = async || -> Ran {
        let steps = vec![
            environment(),
            uses_it("left"),
            uses_it("right"),
            uses_it("again").builds_in(1),
            step("other", "cd .; pwd"),
        ];
        let mut bench = bench(steps);
        bench.request.source_root = project.path().to_owned();
        bench.run().await
    };
    let (one, two) = tokio::join!(run(), run());
    let mut folders = Vec::new();
    for ran in [one, two] {
        ran.assert_succeeded();
        folders
            .extend(["deps", "left", "right", "again"].into_iter().flat_map(|key| ran.text_of(key)).map(str::to_owned));
    }
    folders.dedup();
    assert_eq!(folders.len(), 1, "{folders:?}");
}

#[tokio::test]
async fn without_isolation_steps_that_share_a_folder_take_turns() {
    check_turns(|steps| {
        let mut bench = Bench::new(host_runner(), steps);
        bench.request.host_isolation = false;
        bench
    })
    .await;
}

/// Not a test: a run of a process that finds no `unshare`.
#[tokio::test]
async fn process_without_unshare() {
    if role().is_some() {
        check_turns(|steps| Bench::new(host_runner(), steps)).await;
    }
}

#[tokio::test]
async fn without_the_program_for_namespaces_steps_take_turns() {
    let (programs, path) = (tempfile::tempdir().unwrap(), std::env::var_os("PATH").unwrap());
    for name in ["sh", "mkdir", "chmod", "grep", "git"] {
        let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.exists());
        if let Some(found) = found {
            std::os::unix::fs::symlink(found, programs.path().join(name)).unwrap();
        }
    }
    let path = programs.path().to_str().unwrap();
    in_own_process("places::process_without_unshare", "runs", &[("PATH", path)]).await;
}

//! When this process is killed with no time to say a word, what it started ends within seconds.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use std::path::Path;

use pipelens_core::plan::{Cache, CachePolicy, PlanStep};
use pipelens_engine::event::BuildEvent;

use crate::bench::{
    Bench, Runner, assert_nothing_left, docker_client, docker_runner, eventually, host_runner, is_available, step,
};
use crate::services::with_services;

const ROLE: &str = "PIPELENS_TEST_RUNNER_TO_KILL";

/// Not a test: what the tests below start, and kill.
#[tokio::test]
async fn process_to_be_killed() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let runner = if role == "host" { host_runner() } else { docker_runner() };
    let marker = std::env::var("PIPELENS_TEST_MARKER").unwrap();
    // It never ends by itself, so whatever ends it is the runner.
    let cmd = format!(
        "(trap '' TERM; exec sleep {marker}) & setsid sleep {marker} & echo begun; while :; do sleep {marker}; done"
    );
    let mut a = step("a", &cmd);
    if role == "services" {
        // One that handles what it can, in each shell.
        let stubborn = |name: &str, image: &str| {
            let cmd = format!("trap : HUP INT QUIT TERM; touch /tmp/up; while :; do sleep {marker}; done");
            format!("{name}: {{image: pipelens-test/{image}, ready: test -e /tmp/up, cmd: '{cmd}'}}")
        };
        let images = ["busybox", "dash", "bash", "user"];
        a = with_services(a, &images.map(|image| stubborn(image, image)).join(", "));
    }
    if role == "networks" {
        let listening = |name: &str| {
            format!(
                "{name}: {{image: pipelens-test/busybox, ready: 7000, cmd: 'trap : TERM; httpd -f -p 7000; while :; do sleep {marker}; done'}}"
            )
        };
        a = with_services(a, &["one", "two"].map(listening).join(", "));
    }
    let mut running = Bench::new(runner, vec![a]).start();
    println!("\nrun {}", running.run_id);
    running.wait_for_line("begun").await;
    println!("\nbegun");
    running.wait_for(|event| matches!(event, BuildEvent::BuildEnd { .. })).await;
}

/// Not a test: a run in a process of its own, which has ended before the test below goes on.
#[tokio::test]
async fn process_that_keeps_a_result() {
    let (Ok(state_dir), Ok(key)) = (std::env::var("PIPELENS_TEST_STATE"), std::env::var("PIPELENS_TEST_KEY")) else {
        return;
    };
    let runner = if std::env::var_os(ROLE).is_some() { host_runner() } else { docker_runner() };
    keeping(runner, Path::new(&state_dir), &key).run().await.assert_succeeded();
}

fn keeping(runner: Runner, state_dir: &Path, key: &str) -> Bench {
    let cache = Cache { policy: CachePolicy::Forever { env_keys: vec![] }, key: None };
    let mut bench = Bench::new(runner, vec![PlanStep { cache: Some(cache), ..step(key, "echo kept > kept") }]);
    bench = bench.caching_in(state_dir);
    bench
}

#[tokio::test]
async fn a_kept_snapshot_that_no_store_knows_is_removed_by_the_next_run() {
    if !is_available(docker_runner()) {
        return;
    }
    let kept = |key: &str| docker_client(&["images", "-aq", "--filter", &format!("label=dev.pipelens.step={key}")]);
    let projects = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let keys = projects.each_ref().map(|_| uuid::Uuid::new_v4().to_string());
    for (state, key) in projects.iter().zip(&keys) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::process_that_keeps_a_result"])
            .env("PIPELENS_TEST_STATE", state.path())
            .env("PIPELENS_TEST_KEY", key)
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");
    }
    let before = keys.each_ref().map(|key| kept(key));
    assert_eq!(before.each_ref().map(|ids| ids.lines().count()), [1, 1]);
    // As if the process had been killed between the making and the remembering.
    for file in std::fs::read_dir(projects[0].path()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    keeping(docker_runner(), projects[0].path(), &keys[0]).run().await.assert_succeeded();
    let after = keys.each_ref().map(|key| kept(key));
    assert!(after[0] != before[0] && after[0].lines().count() == 1, "{before:?} {after:?}");
    assert_eq!(after[1], before[1], "another store's is none of this one's business");
}

#[cfg(unix)]
#[tokio::test]
async fn a_kept_folder_that_no_store_knows_is_removed_by_the_next_run() {
    let state = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::process_that_keeps_a_result"])
        .env(ROLE, "host")
        .env("PIPELENS_TEST_STATE", state.path())
        .env("PIPELENS_TEST_KEY", "kept")
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    let kept = || {
        let entries = std::fs::read_dir(state.path().join("host-snapshots")).unwrap().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let before = kept();
    assert_eq!(before.len(), 1);
    // As if the process had been killed between the making and the remembering.
    for file in std::fs::read_dir(state.path()).unwrap().flatten().filter(|file| file.path().is_file()) {
        std::fs::remove_file(file.path()).unwrap();
    }
    keeping(host_runner(), state.path(), "kept").run().await.assert_succeeded();
    let after = kept();
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
    assert_eq!(std::fs::read_to_string(after[0].join("kept")).unwrap(), "kept\n");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_that_leaves_its_group_ends_with_its_step() {
    let marker = format!("{}", 200_000 + std::process::id());
    // It has left when the step's shell goes on.
    let cmd = format!(
        "setsid -f sh -c 'exec sleep {marker}'; setsid -f sh -c 'trap \"\" TERM; setsid -f sleep {marker}; exec sleep {marker}'"
    );
    Bench::new(host_runner(), vec![step("a", &cmd)]).run().await.assert_succeeded();
    assert!(!is_sleeping(&marker));
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
    if !is_available(docker_runner()) {
        return;
    }
    for (role, containers) in [("docker", 1), ("services", 5), ("networks", 4)] {
        let run_id = start_and_kill(role, "1000");
        let filter = format!("label=dev.pipelens.run={run_id}");
        assert_eq!(docker_client(&["ps", "-aq", "--filter", &filter]).lines().count(), containers);
        eventually("the containers have ended", async || {
            docker_client(&["ps", "-q", "--filter", &filter]).is_empty().then_some(())
        })
        .await;
        let ran = Bench::docker(vec![step("a", "true")]).run().await;
        ran.assert_succeeded();
        assert_nothing_left(run_id);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_process_outlives_us_and_the_next_run_removes_its_folder() {
    // A number that no other process sleeps for.
    let marker = format!("{}", 100_000 + std::process::id());
    let run_id = start_and_kill("host", &marker);
    eventually("the processes have ended", async || (!is_sleeping(&marker)).then_some(())).await;
    let folder = std::env::temp_dir().join(format!("pipelens-{run_id}"));
    Bench::new(host_runner(), vec![step("a", "true")]).run().await.assert_succeeded();
    assert!(!folder.exists());
}

#[cfg(target_os = "linux")]
fn is_sleeping(marker: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let command_line = |process: std::fs::DirEntry| std::fs::read(process.path().join("cmdline")).ok();
    let wanted = format!("sleep\0{marker}\0");
    processes.filter_map(command_line).any(|line| line == wanted.as_bytes())
}

//! What a step leaves for its children in Docker: a container for the only one, an image for several, and no trace of ours.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use pipelens_core::plan::PlanStep;
use pipelens_engine::event::{BuildEvent, Outcome, Phase, RunOutcome};

use crate::bench::{Bench, Ran, StepExt as _, assert_nothing_left, docker_client, step};
use crate::docker::{needs_docker, run};

/// How a compressed file begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

pub(crate) fn snapshots(ran: &Ran) -> usize {
    ran.events.iter().filter(|event| matches!(event, BuildEvent::StepPhase { phase: Phase::Snapshotting, .. })).count()
}

#[tokio::test]
async fn only_a_fork_is_saved() {
    needs_docker!();
    let line = run(vec![step("a", "true"), step("b", "true").builds_in(0), step("c", "true").after(&[0])]).await;
    line.assert_succeeded();
    assert_eq!(snapshots(&line), 0);
    let fork = run(vec![step("a", "true"), step("b", "true").builds_in(0), step("c", "true").builds_in(0)]).await;
    fork.assert_succeeded();
    assert_eq!(snapshots(&fork), 1);
}

#[tokio::test]
async fn a_retried_child_starts_from_its_parents_files_every_time() {
    needs_docker!();
    let child = PlanStep { retry: 2, ..step("b", "echo b >> list; cat list; exit 1").builds_in(0) };
    let ran = run(vec![step("a", "echo a > list"), child]).await;
    assert_eq!(ran.text_of("b"), ["a", "b", "a", "b", "a", "b"]);
}

#[tokio::test]
async fn a_lineage_of_steps_adds_up() {
    needs_docker!();
    let mut steps = vec![step("0", "echo 0 > /root-file; echo 0 >> list")];
    steps.extend((1..6).map(|index| step(&index.to_string(), &format!("echo {index} >> list")).builds_in(index - 1)));
    steps.push(step("last", "cat list /root-file").builds_in(5));
    let ran = run(steps).await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("last"), ["0", "1", "2", "3", "4", "5", "0"]);
}

/// Returns every file of the image: its configuration, its history, its layers, which the image store of containerd compresses.
pub(crate) fn saved_image(image: &str) -> Vec<u8> {
    let mut save = std::process::Command::new("docker")
        .env("DOCKER_HOST", crate::bench::docker_host().unwrap())
        .args(["save", image])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut archive = tar::Archive::new(save.stdout.take().unwrap());
    let mut all = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut bytes = Vec::new();
        entry.unwrap().read_to_end(&mut bytes).unwrap();
        match bytes.starts_with(&GZIP) {
            true => drop(MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut all).unwrap()),
            false => all.extend(bytes),
        }
    }
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).unwrap();
    assert!(save.wait().unwrap().success());
    all
}

fn image_holds(image: &str, needle: &str) -> bool {
    memchr::memmem::find(&saved_image(image), needle.as_bytes()).is_some()
}

#[tokio::test]
async fn nothing_of_ours_is_in_a_snapshot() {
    needs_docker!();
    let parent =
        PlanStep { secrets: vec!["TOKEN".into()], ..step("a", "echo kept-by-the-step > file; : in-the-command") };
    let parent = parent.env("VARIABLE", "value-of-the-variable").image("pipelens-test/entrypoint");
    let long = format!("echo {}; : {}", "from-the-long-command", "x".repeat(200_000));
    let steps = vec![
        parent,
        step("b", &long).builds_in(0),
        step("fork", "true").builds_in(0),
        step("wait", "echo begun; sleep 1000").builds_in(1),
        step("fork again", "true").builds_in(1),
    ];
    let mut running = Bench::docker(steps).secret("TOKEN", "value-of-the-secret").start();
    running.wait_for_line("begun").await;
    for index in 0..2 {
        let filter = format!("reference=pipelens-snapshot:{}-{index}-*", running.run_id.simple());
        let image = docker_client(&["images", "-q", "--filter", &filter]).trim().to_owned();
        assert!(image_holds(&image, "kept-by-the-step"));
        for trace in ["value-of-the", "in-the-command", "from-the-long-command", "TOKEN", "VARIABLE"] {
            assert!(!image_holds(&image, trace), "`{trace}` is in snapshot {index}");
        }
        let config = docker_client(&["image", "inspect", "-f", "{{json .Config}}", &image]);
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["Entrypoint"], serde_json::json!(["false"]));
        assert_eq!(config["Cmd"], serde_json::json!(["argument"]));
        assert_ne!(config["OpenStdin"], true);
    }
    running.cancel.cancel();
    let ran = running.finish().await;
    assert_eq!(ran.outcome, RunOutcome::Cancelled);
    assert_nothing_left(ran.run_id);
}

#[tokio::test]
async fn a_cancelled_snapshot_is_not_a_success_and_leaves_no_image() {
    needs_docker!();
    // Enough bytes for the commit to take a while.
    let parent = step("a", "dd if=/dev/zero of=/big bs=1048576 count=300 2>/dev/null");
    let mut running =
        Bench::docker(vec![parent, step("b", "true").builds_in(0), step("c", "true").builds_in(0)]).start();
    running.wait_for(|event| matches!(event, BuildEvent::StepPhase { phase: Phase::Snapshotting, .. })).await;
    running.cancel.cancel();
    let ran = running.finish().await;
    assert_eq!(ran.outcome, RunOutcome::Cancelled);
    assert_eq!(*ran.outcome_of("a"), Outcome::Cancelled);
    assert_nothing_left(ran.run_id);
}

#[tokio::test]
async fn a_snapshot_removed_during_the_run_is_an_error() {
    needs_docker!();
    let gate = PlanStep { soft_fail: true, ..step("gate", "echo begun; sleep 1000").after(&[0]).timeout(2) };
    let late = |key| step(key, "true").after(&[1]).builds_in(0);
    let steps = vec![step("a", "true"), gate, late("c"), late("d")];
    let mut running = Bench::docker(steps).start();
    running.wait_for_line("begun").await;
    docker_client(&["rmi", "-f", &format!("pipelens-snapshot:{}-0-a", running.run_id.simple())]);
    let ran = running.finish().await;
    assert_eq!(ran.outcome, RunOutcome::Failed);
    assert!(ran.error_of("c").contains("it was removed during the run"), "{}", ran.error_of("c"));
}

#[tokio::test]
async fn runners_do_not_mix_in_a_lineage() {
    needs_docker!();
    let parent = PlanStep { runner: Some("host".into()), ..step("a", "true") };
    let ran = run(vec![parent, step("b", "true").builds_in(0)]).await;
    assert!(ran.error_of("b").contains("must use the same runner"), "{}", ran.error_of("b"));
}

//! Steps of a line share a container, and no step can tell: whatever they do, a line whose steps each boot from an image of
//! their own says the same and ends the same.

use pipelens_core::plan::PlanStep;
use pipelens_engine::event::Outcome;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::bench::{BUSYBOX, Bench, StepExt as _, assert_nothing_left, docker_host, step};
use crate::docker::{needs_docker, run};
use crate::lineage::snapshots;
use crate::skipped::skipped;

/// What a command can leave behind in a container, and ways to end.
const TRACES: [&str; 24] = [
    "sleep 1000 & echo started",
    "(sleep 1000 &); exit 4",
    "nohup sleep 1000 >/dev/null 2>&1 & trap '' TERM HUP; exit 5",
    "setsid sh -c 'sleep 0; setsid sleep 1000' & sleep 0.05",
    "export LEFT=1; readonly LEFT; set -f",
    "cd /; umask 077; ulimit -n 64",
    "echo x >> /tmp/left",
    "echo x > /dev/shm/left",
    "mkdir -p /dev/shm/.left; ln -s /tmp /dev/left",
    "echo 1.2.3.4 left >> /etc/hosts",
    "echo x >> file; mkdir -m 500 sealed; ln -s /no/where dangling",
    "rm -rf /workspace; mkdir -p /workspace; echo new > /workspace/file",
    "rm -rf /workspace/* /workspace",
    "kill 0",
    "kill -TERM $$",
    "trap 'echo asked' TERM; kill -TERM -1; echo still here",
    "kill -HUP 0; exit 3",
    "exec 3>/tmp/three; echo three >&3; exit 9",
    "printf 'no end'; printf 'err no end' >&2",
    "printf 'a\\000b 0 clean enough\\n'; exit 255",
    "set -e; false; echo never",
    "no-such-command",
    "trap 'echo at the end' EXIT; exit 1",
    "while read line; do echo $line; done; echo through",
];

const LOOK: &str = "pwd; cat file; ls -A . /dev /dev/shm /tmp; grep -c left /etc/hosts; ps -o comm | grep -c '^sleep'; env | sort; id -u; umask; ulimit -n; hostname; stat -c '%n %u %a' *; cat /tmp/left";

/// Runs commands as one line of steps, a look after each, and returns how each ended and what it said. With a second child at
/// every step, none is the only heir, so that each boots from an image.
async fn run_as_a_line(image: &str, cmds: &[&str], is_forked: bool) -> Vec<(Outcome, String, String)> {
    let key = |index: usize| index.to_string();
    let cmds: Vec<&str> = cmds.iter().flat_map(|cmd| [*cmd, LOOK]).collect();
    let mut steps: Vec<PlanStep> = Vec::new();
    for (index, cmd) in cmds.iter().enumerate() {
        let root = PlanStep { soft_fail: true, ..step(&key(index), cmd).image(image) }.env("OWN", &key(index));
        steps.push(if index == 0 { root } else { root.builds_in(index - 1) });
    }
    if is_forked {
        steps.extend((0..cmds.len() - 1).map(|parent| step(&format!("fork {parent}"), "true").builds_in(parent)));
    }
    let ran = Bench::docker(steps).file("file", "text\n").run().await;
    assert_nothing_left(ran.run_id);
    let said = |key: &str, stream| ran.stream_of(key, stream).join("\n");
    let told = |index: usize| {
        let key = key(index);
        let [out, err] = [pipelens_engine::event::StdStream::Stdout, pipelens_engine::event::StdStream::Stderr];
        (ran.outcome_of(&key).clone(), said(&key, out), said(&key, err))
    };
    (0..cmds.len()).map(told).collect()
}

async fn assert_same_either_way(image: &str, cmds: &[&str]) {
    let (shared, isolated) = tokio::join!(run_as_a_line(image, cmds, false), run_as_a_line(image, cmds, true));
    for (index, (shared, isolated)) in shared.iter().zip(&isolated).enumerate() {
        assert_eq!(shared, isolated, "{image}, {cmds:?}, step {index}");
    }
}

#[tokio::test]
async fn a_chain_whose_traces_can_be_wiped_is_never_saved() {
    needs_docker!();
    let cmds = [TRACES[0], TRACES[3], TRACES[4], TRACES[5], TRACES[6], TRACES[13]];
    let steps = cmds.iter().enumerate().map(|(index, cmd)| {
        let step = PlanStep { soft_fail: true, ..step(&index.to_string(), cmd) };
        if index == 0 { step } else { step.builds_in(index - 1) }
    });
    assert_eq!(snapshots(&run(steps.collect()).await), 0);
}

#[tokio::test]
async fn each_trace_is_wiped_or_costs_a_new_container() {
    needs_docker!();
    // Many lines at once keep a machine of two processors busy enough.
    for (half, image) in TRACES.chunks(TRACES.len().div_ceil(4)).zip([
        BUSYBOX,
        "pipelens-test/dash",
        "pipelens-test/bash",
        "pipelens-test/user",
    ]) {
        assert_same_either_way(image, half).await;
    }
}

#[test]
fn a_shared_container_looks_like_a_new_one() {
    if docker_host().is_none() {
        skipped("a container engine", "no Docker");
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let images = prop_oneof![
        Just(BUSYBOX),
        Just("pipelens-test/dash"),
        Just("pipelens-test/bash"),
        Just("pipelens-test/user"),
        Just("pipelens-test/entrypoint"),
    ];
    let cmds = proptest::collection::vec(proptest::sample::select(&TRACES[..]), 1..5);
    let config = Config { cases: 4, max_shrink_iters: 8, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(images, cmds), |(image, cmds)| {
            runtime.block_on(assert_same_either_way(image, &cmds));
            Ok(())
        })
        .unwrap();
}

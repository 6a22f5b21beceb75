//! What a run in a cluster costs beside the bare calls of Kubernetes and of the nodes' container engines, in turn, so that both see the same
//! machine: `cargo xtask bench kubernetes`. All images are where they are needed, on both sides, except what a fork has to bring there.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that cannot go on says so by ending")]
#![expect(clippy::print_stdout, reason = "figures are printed")]

#[expect(dead_code, clippy::panic, reason = "the tests need more of it than the figures")]
#[path = "../../tests/it/bench.rs"]
mod bench;
#[expect(dead_code, unused_imports, reason = "the tests need more of it than the figures")]
#[path = "../../tests/it/cluster.rs"]
mod cluster;
mod floors;
mod kubelet;
#[path = "../../../../tests/skipped.rs"]
mod skipped;

use std::time::{Duration, Instant};

use pipelens_core::plan::PlanStep;
use pipelens_engine::event::BuildEvent;
use serde_json::json;

use bench::{Bench, StepExt as _, is_available, step};

const ROUNDS: usize = 20;
/// What the parent of a fork changes.
const CHANGE: &str = "i=0; while [ $i -lt 200 ]; do head -c 100000 /dev/urandom > /opt/$i; i=$((i+1)); done";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if is_available(cluster::runner()) {
            figures().await;
        }
    });
}

async fn figures() {
    let floor = floors::Floor::new().await;
    let node = cluster::nodes().swap_remove(0);
    println!("milliseconds, medians of {ROUNDS}                                    ours   floor   ours/floor");
    // The first ones bring the images to the node.
    pod(&node).await;
    floor.pod(&node).await;
    let (mut ours, mut bare, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        kubelet::moment(&node, round, ROUNDS).await;
        ours.push(pod(&node).await);
        kubelet::moment(&node, round, ROUNDS).await;
        bare.push(floor.pod(&node).await);
        steps.push(further_step().await);
    }
    print("a pod with one step, until it is deleted", median(ours), median(bare));
    println!("{:<52} {:>8.1}", "each further step of a line", median(steps));
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let fork = fork().await;
        any_moment().await;
        let bare_fork = floor.fork(CHANGE).await;
        if round > 0 {
            ours.push(fork);
            bare.push(bare_fork);
        }
    }
    print("a fork: 20 MB in 200 files, from node to node", median(ours), median(bare));
}

/// What waits for the kubelets of several nodes must not be in step with one of them.
async fn any_moment() {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..1_000))).await;
}

fn print(what: &str, ours: f64, floor: f64) {
    println!("{what:<52} {ours:>8.0} {floor:>7.0} {:>8.2}", ours / floor);
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).unwrap().as_secs_f64() * 1000.0
}

/// A run of one step on a node, until its pod is deleted.
async fn pod(node: &str) -> Duration {
    let mut bench = Bench::new(cluster::runner(), line(1));
    let spec = json!({ "nodeSelector": { "kubernetes.io/hostname": node } });
    bench.request.cluster = Some(cluster::with_pod_spec(&spec));
    let began = Instant::now();
    bench.run().await.assert_succeeded();
    began.elapsed()
}

/// A step in a pod that has run another one, from the end of the one before it to its own end.
async fn further_step() -> Duration {
    const MORE: usize = 9;
    let mut running = Bench::new(cluster::runner(), line(1 + MORE)).start();
    running.wait_for(|event| matches!(event, BuildEvent::StepEnd { step: 0, .. })).await;
    let began = Instant::now();
    running.wait_for(|event| matches!(event, BuildEvent::StepEnd { step: MORE, .. })).await;
    let took = began.elapsed() / MORE as u32;
    running.finish().await.assert_succeeded();
    took
}

/// Steps that each start from what the last one left.
fn line(length: usize) -> Vec<PlanStep> {
    let steps = (0..length).map(|number| step(&number.to_string(), "true"));
    steps.enumerate().map(|(number, step)| if number == 0 { step } else { step.builds_in(number - 1) }).collect()
}

/// From the end of the parent's command until the commands of both children run, of which at least one is on another node.
async fn fork() -> Duration {
    // At any moment: see `any_moment`.
    let pause = fastrand::u64(0..1_000);
    let steps = vec![
        step("parent", &format!("{CHANGE}; sleep 0.{pause:03}; echo end")),
        step("a", "true").builds_in(0),
        step("b", "true").builds_in(0),
    ];
    let mut bench = Bench::new(cluster::runner(), steps);
    let run = json!({ "matchLabels": { "pipelens.dev/run": bench.request.run_id.to_string() } });
    let apart = json!([{
        "weight": 100,
        "podAffinityTerm": { "labelSelector": run, "topologyKey": "kubernetes.io/hostname" },
    }]);
    let spec =
        json!({ "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": apart } } });
    bench.request.cluster = Some(cluster::with_pod_spec(&spec));
    let mut running = bench.start();
    running.wait_for_line("end").await;
    let began = Instant::now();
    for _ in 0..2 {
        running
            .wait_for(|event| {
                matches!(event, BuildEvent::StepPhase { step: 1 | 2, phase: pipelens_engine::event::Phase::Running })
            })
            .await;
    }
    let took = began.elapsed();
    running.finish().await.assert_succeeded();
    took
}

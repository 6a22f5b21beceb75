//! How many requests a run of a thousand steps on a hundred nodes makes, and how much memory the client needs. The API server, the nodes and the
//! registry are stand-ins that count requests; nothing is polled.

use std::collections::BTreeMap;

use pipelens_core::plan::PlanStep;
use pipelens_engine::cluster_settings::ClusterSettings;
use pipelens_engine::event::BuildEvent;

use super::stand_in::{StandIn, WAITS};
use crate::bench::{Bench, StepExt as _, as_role, role, step};
use crate::cluster::runner;

const ROLE: &str = "client of a stand-in";

/// Lines of five steps, of which each second one forks from the end of another line.
fn plan(steps: usize, image: &str, cmd: &str) -> Vec<PlanStep> {
    let mut plan: Vec<PlanStep> = Vec::with_capacity(steps);
    for number in 0..steps {
        let one = step(&format!("step-{number}"), cmd);
        plan.push(match (number % 10, number) {
            (0, _) => one.image(image),
            // Two lines fork from the end of the first five.
            (5, number) => one.builds_in(number - 1),
            (6, number) => one.builds_in(number - 2),
            (_, number) => one.builds_in(number - 1),
        });
    }
    plan
}

fn bench(stand_in: &str, folder: &std::path::Path, steps: usize, cmd: &str) -> Bench {
    let kubeconfig = folder.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: {{server: \"http://{stand_in}\"}}}}]\n\
         users: [{{name: a, user: {{}}}}]\ncontexts: [{{name: a, context: {{cluster: a, user: a, namespace: a}}}}]\n"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let mut bench = Bench::new(runner(), plan(steps, &format!("{stand_in}/sim/base:1"), cmd));
    bench.request.parallelism = Some(100);
    bench.request.cluster = Some(ClusterSettings {
        kubeconfig: Some(kubeconfig),
        registry: format!("http://{stand_in}/sim/state"),
        ..ClusterSettings::default()
    });
    bench
}

/// Not a test: a client in a process of its own, whose memory is measured. It prints its peak in kB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client() {
    if role().as_deref() != Some(ROLE) {
        return;
    }
    let variable = |name: &str| std::env::var(format!("PIPELENS_TEST_{name}")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    bench(&variable("STAND_IN"), folder.path(), variable("STEPS").parse().unwrap(), "true")
        .run()
        .await
        .assert_succeeded();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("\npeak {}", peak.trim().trim_end_matches(" kB"));
}

/// Returns what a run asked for, and the client's peak in kB.
async fn run(steps: usize) -> (BTreeMap<&'static str, usize>, usize) {
    let stand_in = StandIn::start().await;
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kubernetes::simulation::client"]);
    as_role(&mut command, ROLE)
        .env("PIPELENS_TEST_STAND_IN", stand_in.address.to_string())
        .env("PIPELENS_TEST_STEPS", steps.to_string());
    let output = tokio::process::Command::from(command).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let peak = text.lines().find_map(|line| line.strip_prefix("peak ")).unwrap().parse().unwrap();
    (stand_in.asked(), peak)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_memory_grow_linearly_up_to_a_thousand_steps() {
    let (small, middle, large) = (run(100).await, run(500).await, run(1_000).await);
    println!("{:<24} {:>8} {:>8} {:>8}   per step", "calls", 100, 500, 1_000);
    for (what, &count) in &large.0 {
        let of = |run: &BTreeMap<&'static str, usize>| run.get(what).copied().unwrap_or(0);
        println!("{what:<24} {:>8} {:>8} {count:>8} {:>10.2}", of(&small.0), of(&middle.0), count as f64 / 1_000.0);
        // What is asked once in a run is asked once, and the rest once for each step of its kind.
        let (first, second) = (of(&middle.0) - of(&small.0), count - of(&middle.0));
        assert!(second <= first * 5 / 4 + 4, "{what}: {first} for 400 steps more, then {second} for 500");
    }
    assert_eq!(large.0.get("watch"), Some(&1));
    let per_step = |more: usize, less: usize, steps: usize| more.saturating_sub(less) as f64 / steps as f64;
    let (first, second) = (per_step(middle.1, small.1, 400), per_step(large.1, middle.1, 500));
    println!(
        "the client's peak in kB   {:>6} {:>8} {:>8}   {second:.1} kB for each step more",
        small.1, middle.1, large.1
    );
    assert!(second <= first.max(4.0) * 1.5, "{first} kB, then {second} kB for each step more");
    // Pods, and what is in the registry, are for lines and forks, not for steps.
    assert_eq!(large.0["create a pod"], 300);
    assert_eq!(large.0["exec"], 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_polled_while_steps_run() {
    let stand_in = StandIn::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut bench = bench(&stand_in.address.to_string(), folder.path(), 1, WAITS);
    let lines = bench.request.plan.steps.remove(0);
    bench.request.plan.steps = (0..50).map(|number| PlanStep { key: number.to_string(), ..lines.clone() }).collect();
    let mut running = bench.start();
    for _ in 0..50 {
        let is_running = |event: &BuildEvent| {
            matches!(event, BuildEvent::StepPhase { phase: pipelens_engine::event::Phase::Running, .. })
        };
        running.wait_for(is_running).await;
    }
    let before = stand_in.asked();
    // Each of the fifty connections says a few times that it lives.
    stand_in.hear(50 * 5).await;
    assert_eq!(stand_in.asked(), before);
    stand_in.let_all_end();
    running.finish().await.assert_succeeded();
}

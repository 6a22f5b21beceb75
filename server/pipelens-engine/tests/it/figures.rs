//! What a run costs: `cargo nextest run -p pipelens-engine --run-ignored only figures --no-capture`.

use std::time::{Duration, Instant};

use pipelens_core::plan::PlanStep;
use pipelens_engine::run::RunnerKind;

use crate::bench::{Bench, StepExt as _, is_available, step};

const ROUNDS: usize = 5;

/// Returns the median of some rounds.
async fn time(runner: RunnerKind, steps: impl Fn() -> Vec<PlanStep>) -> Duration {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut bench = Bench::new(runner, steps());
        for index in 0..10 {
            bench = bench.file(&format!("file-{index}"), &"x".repeat(10_000));
        }
        let started = Instant::now();
        bench.run().await.assert_succeeded();
        times.push(started.elapsed());
    }
    times.sort();
    times[ROUNDS / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures; says nothing of right or wrong"]
async fn figures() {
    for runner in [RunnerKind::Docker, RunnerKind::Host] {
        if !is_available(runner) {
            continue;
        }
        let chain = |is_forked: bool| {
            let mut steps = vec![step("0", "true")];
            steps.extend((1..10).map(|index| step(&index.to_string(), "true").builds_in(index - 1)));
            if is_forked {
                // A child that may be repeated is no only heir, so every parent is saved.
                steps.iter_mut().for_each(|step| step.retry = 1);
            }
            steps
        };
        let one = time(runner, || vec![step("a", "true")]).await;
        let line = time(runner, || chain(false)).await;
        let saved = time(runner, || chain(true)).await;
        let wide = time(runner, || (0..20).map(|index| step(&index.to_string(), "true")).collect()).await;
        let lines =
            time(runner, || vec![step("a", "yes 'a line of eighty-eight bytes or so' | head -n 1000000")]).await;
        println!(
            "{runner:?}: 1 step {one:.2?}; line of 10 {line:.2?}, each saved {saved:.2?}; 20 at once {wide:.2?}; 1,000,000 lines {lines:.2?}"
        );
    }
}

//! What a run costs: `cargo bench -p pipelens-engine`, with `PIPELENS_TEST_DOCKER_HOST` naming a daemon that has the test images.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that cannot go on says so by ending")]
#![expect(clippy::print_stdout, reason = "figures are printed")]

#[expect(dead_code, clippy::panic, reason = "the tests need more of it than the figures")]
#[path = "../tests/it/bench.rs"]
mod bench;

use std::time::{Duration, Instant};

use pipelens_core::plan::PlanStep;
use pipelens_engine::run::RunnerKind;

use bench::{Bench, StepExt as _, is_available, step};

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

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        run_figures().await;
        #[cfg(target_os = "linux")]
        memory_figures().await;
        cancel_figures().await;
    });
}

async fn run_figures() {
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

#[cfg(target_os = "linux")]
async fn memory_figures() {
    if !is_available(RunnerKind::Docker) {
        return;
    }
    let bench = Bench::docker(vec![step("a", "stat -c %s big")]);
    let file = std::fs::File::create(bench.sources.path().join("big")).unwrap();
    file.set_len(1_000_000_000).unwrap();
    let ran = bench.run().await;
    assert_eq!(ran.text_of("a"), ["1000000000"]);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("1 GB of sources: {}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}

async fn cancel_figures() {
    if !is_available(RunnerKind::Docker) {
        return;
    }
    let mut bench = Bench::docker((0..20).map(|index| step(&index.to_string(), "echo begun; sleep 1000")).collect());
    bench.request.parallelism = Some(20);
    let mut running = bench.start();
    for _ in 0..20 {
        running.wait_for_line("begun").await;
    }
    let cancelled = Instant::now();
    running.cancel.cancel();
    running.finish().await;
    println!("20 containers: cancelled and gone after {:.2?}", cancelled.elapsed());
}

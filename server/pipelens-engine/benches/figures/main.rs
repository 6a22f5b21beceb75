//! What a run costs beside the engine's own calls: `cargo bench -p pipelens-engine`, with `PIPELENS_TEST_DOCKER_HOST` naming a
//! daemon that has the test images and few others. Ours and the floor take turns, so that both see the same machine. Words after `--` choose among
//! `memory`, `cache`, `floor` and `log`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that cannot go on says so by ending")]
#![expect(clippy::print_stdout, reason = "figures are printed")]

#[expect(dead_code, clippy::panic, reason = "the tests need more of it than the figures")]
#[path = "../../tests/it/bench.rs"]
mod bench;
#[expect(dead_code, reason = "the figures are of Docker and the host")]
#[cfg_attr(feature = "kubernetes", expect(unused_imports, reason = "the figures are of Docker and the host"))]
#[path = "../../tests/it/cluster.rs"]
mod cluster;
mod floors;
#[path = "../../../../tests/skipped.rs"]
mod skipped;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker;
use pipelens_core::plan::{Cache, CachePolicy, PlanStep};
use pipelens_engine::cache::{Budget, CacheRequest};
use pipelens_engine::event::BuildEvent;

use bench::{Bench, StepExt as _, docker_host, docker_runner, host_runner, is_available, step};

const ROUNDS: usize = 7;
/// One start differs from the next by a tenth.
const ROUNDS_OF_SHORT_ONES: usize = 41;
const FLOOD: &str = "yes 'a line of ninety-one bytes or so, which is what compilers and test runners like to say....' | head -n 1000000";
const FLOOD_BYTES: u64 = 91_000_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    runtime.block_on(async {
        // First: the other figures keep whole logs in memory.
        #[cfg(target_os = "linux")]
        if is_wanted("memory") {
            memory_figures().await;
        }
        if let Some(host) = docker_host().filter(|_| is_wanted("floor")) {
            let docker = Docker::connect_with_unix(&host, 600, bollard::API_DEFAULT_VERSION).unwrap();
            beside_the_floor(&docker.negotiate_version().await.unwrap()).await;
        }
        if is_wanted("log") {
            log_figures().await;
        }
        // Last, for it keeps images, and an engine that has many is slower at some things.
        if is_wanted("cache") {
            cache_figures().await;
        }
    });
}

async fn beside_the_floor(docker: &Docker) {
    let tree = &floors::small_tree();
    println!("milliseconds, medians                  ours   floor   ours/floor");
    compare_often(
        ROUNDS_OF_SHORT_ONES,
        "one step",
        async || run(vec![step("a", "true")]).await,
        async || timed(floors::one_step(docker, tree)).await,
    )
    .await;
    compare("chain of ten", async || run(chain()).await, async || timed(floors::chain(docker, tree, 10)).await).await;
    let saved = || {
        // A child that may be repeated is no only heir, so every parent is saved.
        chain().into_iter().map(|step| PlanStep { retry: 1, ..step }).collect()
    };
    compare(
        "chain of ten, each saved",
        async || run(saved()).await,
        async || timed(floors::chain(docker, tree, 10)).await,
    )
    .await;
    let wide = || (0..20).map(|index| step(&index.to_string(), "true")).collect();
    for at_once in [4, 20] {
        compare(
            &format!("fan-out of twenty, floor {at_once} at once"),
            async || run(wide()).await,
            async || timed(floors::fan_out(docker, tree, 20, at_once)).await,
        )
        .await;
    }
    compare("cancel of twenty, till all is gone", async || cancel().await.1, async || floors::cancel(docker, 20).await)
        .await;
    println!("cancel of twenty, till each has ended: {:.0} ms", cancel().await.0.as_secs_f64() * 1000.0);
    let began = Instant::now();
    let bytes = floors::attach_and_count(docker, FLOOD).await;
    println!("Docker attach alone: {:.0} MB/s", bytes as f64 / 1e6 / began.elapsed().as_secs_f64());
}

async fn compare(what: &str, ours: impl AsyncFn() -> Duration, floor: impl AsyncFn() -> Duration) {
    compare_often(ROUNDS, what, ours, floor).await;
}

async fn compare_often(rounds: usize, what: &str, ours: impl AsyncFn() -> Duration, floor: impl AsyncFn() -> Duration) {
    let (mut our_times, mut floor_times) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        our_times.push(ours().await);
        floor_times.push(floor().await);
    }
    let (ours, floor) = (median(our_times), median(floor_times));
    println!("{what:<36} {:>7.0} {:>7.0} {:>8.2}", ours * 1000.0, floor * 1000.0, ours / floor);
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

async fn timed(work: impl Future<Output = ()>) -> Duration {
    let began = Instant::now();
    work.await;
    began.elapsed()
}

fn chain() -> Vec<PlanStep> {
    let mut steps = vec![step("0", "true")];
    steps.extend((1..10).map(|index| step(&index.to_string(), "true").builds_in(index - 1)));
    steps
}

async fn run(steps: Vec<PlanStep>) -> Duration {
    let mut bench = Bench::docker(steps);
    bench.request.parallelism = None;
    for index in 0..10 {
        bench = bench.file(&format!("file-{index}"), &"x".repeat(10_000));
    }
    let began = Instant::now();
    bench.run().await.assert_succeeded();
    began.elapsed()
}

/// Until each step has ended, and until nothing is left of them.
async fn cancel() -> (Duration, Duration) {
    let mut bench = Bench::docker((0..20).map(|index| step(&index.to_string(), "echo begun; sleep 1000")).collect());
    bench.request.parallelism = Some(20);
    let mut running = bench.start();
    for _ in 0..20 {
        running.wait_for_line("begun").await;
    }
    let cancelled = Instant::now();
    running.cancel.cancel();
    for _ in 0..20 {
        running.wait_for(|event| matches!(event, BuildEvent::StepEnd { .. })).await;
    }
    let ended = cancelled.elapsed();
    running.finish().await;
    (ended, cancelled.elapsed())
}

/// A run of which nothing has to run, and sources of which few have changed.
async fn cache_figures() {
    if !is_available(docker_runner()) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let sources = tempfile::tempdir().unwrap();
    let forever = |step: PlanStep| {
        let policy = CachePolicy::Forever { env_keys: vec![] };
        PlanStep { cache: Some(Cache { policy, key: None }), ..step }
    };
    let steps = || (0..50).map(|index| forever(step(&index.to_string(), "true"))).collect::<Vec<_>>();
    kept(sources.path(), state.path(), steps()).await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(kept(sources.path(), state.path(), steps()).await);
    }
    println!("fifty steps, all cached: {:.0} ms", median(times) * 1000.0);

    let write = |folder: &Path, files: usize, text: &str| {
        for index in 0..files {
            let folder = folder.join(format!("{}", index % 100));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{index}.rs")), text.repeat(500)).unwrap();
        }
    };
    let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(few.path(), 1_000, "a");
    write(many.path(), 20_000, "a");
    let steps = || vec![forever(step("a", "true")), step("b", "true").builds_in(0)];
    kept(many.path(), state.path(), steps()).await;
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        write(many.path(), 1_000, &round.to_string());
        of_many.push(kept(many.path(), state.path(), steps()).await);
        let other = tempfile::tempdir().unwrap();
        of_few.push(kept(few.path(), other.path(), vec![step("b", "true")]).await);
    }
    let (few, many) = (median(of_few) * 1000.0, median(of_many) * 1000.0);
    println!("1,000 files: {few:.0} ms; 1,000 changed of 20,000: {many:.0} ms; ratio {:.2}", many / few);
}

async fn kept(sources: &Path, state_dir: &Path, steps: Vec<PlanStep>) -> Duration {
    let mut bench = Bench::docker(steps);
    bench.request.source_root = sources.to_owned();
    bench.request.parallelism = None;
    let variables = BTreeMap::new();
    let cache = CacheRequest {
        state_dir: state_dir.to_owned(),
        is_read: true,
        variables,
        budget: Budget::default(),
        shares_with_harmont: false,
        registry: None,
    };
    bench.request.cache = Some(cache);
    let began = Instant::now();
    bench.run().await.assert_succeeded();
    began.elapsed()
}

async fn log_figures() {
    for runner in [docker_runner(), host_runner()] {
        if !is_available(runner) {
            continue;
        }
        let with_secrets = || {
            let flood = PlanStep { secrets: vec!["KEY".into(), "TOKEN".into()], ..step("a", FLOOD) };
            Bench::new(runner, vec![flood]).secret("KEY", &private_key()).secret("TOKEN", "hunter2-hunter2")
        };
        let (mut plain, mut masked) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            plain.push(flood(Bench::new(runner, vec![step("a", FLOOD)])).await);
            masked.push(flood(with_secrets()).await);
        }
        let rate = |times| FLOOD_BYTES as f64 / 1e6 / median(times);
        let (plain, masked) = (rate(plain), rate(masked));
        println!("{}: {plain:.0} MB/s of log, {masked:.0} MB/s with a private key among the secrets", runner.name());
    }
}

async fn flood(bench: Bench) -> Duration {
    let began = Instant::now();
    let ran = bench.run().await;
    ran.assert_succeeded();
    assert!(std::fs::metadata(ran.log_path_of("a")).unwrap().len() >= FLOOD_BYTES);
    began.elapsed()
}

/// Text with the shape of an RSA key of 4,096 bits: many lines, each of which is a secret of its own.
fn private_key() -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 1_u32;
    let mut digit = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(digits[(state >> 26) as usize])
    };
    let lines: Vec<String> = (0..50).map(|_| (0..64).map(|_| digit()).collect()).collect();
    format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", lines.join("\n"))
}

#[cfg(target_os = "linux")]
async fn memory_figures() {
    if !is_available(docker_runner()) {
        return;
    }
    let bench = Bench::docker(vec![step("a", "stat -c %s big")]);
    let file = std::fs::File::create(bench.sources.path().join("big")).unwrap();
    file.set_len(1_000_000_000).unwrap();
    let ran = bench.run().await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["1000000000"]);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("1 GB of sources: {}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}

//! Runs that are disturbed at random moments in every way a cluster can fail.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use fastrand::Rng;
use pipelens_core::plan::{Cache, CachePolicy};
use pipelens_engine::event::RunOutcome;

use super::*;

/// Names the number of runs; the suite makes a few, `PIPELENS_CHAOS_RUNS=100 cargo xtask test --nodes 3 kubernetes chaos` many.
const RUNS: &str = "PIPELENS_CHAOS_RUNS";
const SEED: &str = "PIPELENS_CHAOS_SEED";
const ROLE: &str = "a disturbed run";
const STATE: &str = "PIPELENS_TEST_STATE";

/// A line, a fork with a cached step whose artifacts another needs, one beside them that is tried again, and an end that needs all.
const STEPS: [(&str, &str, &str); 7] = [
    ("a", "sleep 0.3; echo a >> trail", "a"),
    ("b", "sleep 0.3; echo b >> trail", "a b"),
    ("c", "sleep 0.3; echo c >> trail", "a b c"),
    ("d", "sleep 0.3; echo d >> trail", "a b d"),
    ("e", "sleep 0.3; cat trail > /tmp/trail; echo e >> trail", "a b d e"),
    ("f", "i=0; while [ $i -lt 60 ]; do i=$((i+1)); sleep 0.05; done; echo f >> trail", "f"),
    ("g", "sleep 0.2; echo g >> trail", "a b c g"),
];

fn graph() -> Vec<PlanStep> {
    let [a, b, c, d, e, f, g] = STEPS.map(|(key, work, _)| {
        // Only the last line of a step's output says what it has made.
        step(key, &format!("set -e; echo begin {key}; {work}; echo $(cat trail)"))
    });
    let cache = Some(Cache { policy: CachePolicy::Forever { env_keys: vec![] }, key: None });
    vec![
        a,
        b.builds_in(0),
        c.builds_in(1),
        PlanStep { cache, artifacts: vec!["trail".to_owned()], ..d.builds_in(1) },
        PlanStep { needs_artifacts: vec![3], ..e.after(&[3]) },
        PlanStep { retry: 1, ..f },
        PlanStep { retry: 1, ..g.builds_in(2).after(&[4, 5]) },
    ]
}

#[derive(Debug, Clone, Copy)]
enum Disturbance {
    Nothing,
    Cancel,
    KillClient,
    DeletePod,
    CutConnections,
    RestartApiServer,
    RestartKubelet,
    StopKubelet { seconds: u64 },
    RestartRegistry,
    CutLink { seconds: u64 },
}

impl Disturbance {
    fn random(rng: &mut Rng) -> Self {
        let seconds = rng.u64(1..30);
        let all = [
            Self::Nothing,
            Self::Cancel,
            Self::KillClient,
            Self::DeletePod,
            Self::CutConnections,
            Self::CutConnections,
            Self::RestartApiServer,
            Self::RestartKubelet,
            Self::StopKubelet { seconds },
            Self::RestartRegistry,
            Self::CutLink { seconds },
        ];
        all[rng.usize(..all.len())]
    }

    /// Whether the run must succeed all the same. A kubelet may take longer to restart than an agent waits, if the machine is busy.
    fn is_survived(self) -> bool {
        matches!(self, Self::Nothing | Self::CutConnections | Self::RestartApiServer | Self::RestartRegistry)
    }
}

fn bench(state: &Path, project: &Path, settings: ClusterSettings) -> Bench {
    let mut bench = Bench::new(runner(), graph()).caching_in(state);
    bench.request.source_root = project.to_owned();
    bench.request.cluster = Some(settings);
    bench
}

/// Not a test: a run in a process of its own, which is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_to_be_killed() {
    if role().as_deref() == Some(ROLE) {
        let state = std::env::var(STATE).unwrap();
        let state = Path::new(&state);
        bench(state, &state.join("project"), settings().unwrap()).run().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_disturbance_makes_a_wrong_success() {
    if !is_ready().await {
        return;
    }
    let runs: usize = std::env::var(RUNS).map_or(3, |runs| runs.parse().unwrap());
    let seed = std::env::var(SEED).map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let state = tempfile::tempdir().unwrap();
    let project = state.path().join("project");
    std::fs::create_dir(&project).unwrap();
    let (proxy, settings) = behind_a_proxy(state.path()).await;
    for number in 0..runs {
        let (what, moment) = (Disturbance::random(&mut rng), Duration::from_millis(rng.u64(..7_000)));
        // Other sources than the last time, so that not everything is taken from there, and sometimes the same.
        if number % 3 == 0 {
            std::fs::write(project.join("source"), rng.u64(..).to_string()).unwrap();
        }
        if let Disturbance::KillClient = what {
            println!("{number}: {what:?} after {moment:?}");
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "faulty_kubernetes::chaos::process_to_be_killed"]).env(STATE, state.path());
            let mut child = as_role(&mut command, ROLE).stdout(Stdio::null()).spawn().unwrap();
            tokio::time::sleep(moment).await;
            child.kill().unwrap();
            child.wait().unwrap();
            continue;
        }
        let running = bench(state.path(), &project, settings.clone()).start();
        let (run_id, cancel, pick) = (running.run_id, running.cancel.clone(), rng.usize(..));
        let disturbed = async {
            tokio::time::sleep(moment).await;
            disturb(what, run_id, pick, &proxy, || cancel.cancel()).await;
        };
        let (ran, ()) = tokio::join!(running.finish(), disturbed);
        println!("{number}: {what:?} after {moment:?}: {:?}", ran.outcome);
        judge(&ran, what);
        all_nodes_ready().await;
    }
    // The last one finds what all others left.
    let last = Bench::new(runner(), vec![step("last", "true")]).run().await;
    last.assert_succeeded();
    eventually("no pod is left", async || kubectl(&["get", "pods", "--output=name"]).is_empty().then_some(())).await;
}

async fn disturb(what: Disturbance, run_id: uuid::Uuid, pick: usize, proxy: &Proxy, cancel: impl FnOnce()) {
    let node = || {
        let nodes = nodes();
        nodes[pick % nodes.len()].clone()
    };
    match what {
        Disturbance::Nothing | Disturbance::KillClient => {}
        Disturbance::Cancel => cancel(),
        Disturbance::DeletePod => {
            let pods = kubectl(&["get", "pods", "--output=name", &format!("--selector=pipelens.dev/run={run_id}")]);
            let pods: Vec<&str> = pods.lines().collect();
            if !pods.is_empty() {
                kubectl(&["delete", pods[pick % pods.len()], "--wait=false", "--ignore-not-found"]);
            }
        }
        Disturbance::CutConnections => {
            proxy.set(Flow::Cut);
            proxy.set(Flow::Open);
        }
        Disturbance::RestartApiServer => fault(&["restart", "apiserver"]),
        Disturbance::RestartKubelet => fault(&["restart", &format!("{}/kubelet", node())]),
        Disturbance::RestartRegistry => fault(&["restart", "registry"]),
        Disturbance::StopKubelet { seconds } => {
            let kubelet = format!("{}/kubelet", node());
            fault(&["stop", &kubelet]);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            fault(&["start", &kubelet]);
        }
        Disturbance::CutLink { seconds } => {
            let node = node();
            fault(&["cut", &node]);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            fault(&["restore", &node]);
        }
    }
}

/// A step that counts as passed has said what it has to say, and its parents' files were there.
fn judge(ran: &Ran, what: Disturbance) {
    let mut has_all = true;
    for (key, _, trail) in STEPS {
        match ran.outcome_of(key) {
            Outcome::Succeeded => {
                let log = ran.log_of(key);
                assert!(log.ends_with(&format!("begin {key}\n{trail}\n")), "{key} after {what:?}: {log}");
            }
            Outcome::Cached => assert_eq!(key, "d"),
            _ => has_all = false,
        }
    }
    assert_eq!(ran.outcome == RunOutcome::Succeeded, has_all, "after {what:?}");
    if what.is_survived() {
        let ends: Vec<_> = STEPS.iter().map(|(key, ..)| (key, ran.outcome_of(key))).collect();
        assert!(has_all, "after {what:?}: {ends:#?} {:#?}", ran.notices());
    }
}

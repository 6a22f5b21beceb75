//! Connections to the engine that break in every way there is, at every call there is: no step succeeds that did not, no run waits
//! for ever, nothing stays.
//!
//! `PIPELENS_FAULTS_SEED` picks the faults, `PIPELENS_FAULTS_COUNT` says how many runs there are, and with `PIPELENS_FAULTS_REAL=1` the
//! deadlines are those of a person's run, which takes longer.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use pipelens_core::plan::PlanStep;
use pipelens_engine::deadlines::Deadlines;
use pipelens_engine::event::{BuildEvent, Outcome, RunOutcome, StdStream};
use pipelens_engine::run::artifact_folder;
use uuid::Uuid;

use crate::bench::{
    Bench, Ran, Running, StepExt as _, assert_nothing_left, docker_client, docker_host, role, step, try_docker_client,
};
use crate::docker::needs_docker;
use crate::proxy::{Fault, Flow, Kind, Proxy};

const RUNS: usize = 300;
/// Most of a run is waiting.
const RUNS_AT_ONCE: usize = 16;
const SEED: u64 = 14;

/// A tenth of what a person's run has.
const DEADLINES: Deadlines = Deadlines {
    liveness: Duration::from_millis(500),
    question: Duration::from_secs(4),
    work: Duration::from_secs(6),
    silence: Duration::from_secs(4),
    stall: Duration::from_secs(60),
    saving: Duration::from_secs(6),
    after_silence: Duration::from_secs(1),
    quiet: Duration::from_secs(3),
    tidying: Duration::from_secs(5),
    closing: Duration::from_secs(5),
};
/// A run without a fault takes two seconds; on a busy machine more. What does not come from [`DEADLINES`] (the grace before KILL, the
/// wait for a process that is dying) is in here as it is.
const RUN_WITHIN: Duration = Duration::from_secs(60);

/// What a person's run may take, with a few seconds of its own.
const REAL_RUN_WITHIN: Duration = Duration::from_secs(100);

/// For runs that need the engine's answers, to succeed or to explain what broke: on a busy machine it answers later than [`DEADLINES`]
/// allow, and it is not broken. The container is checked as often as with those.
fn patient() -> Deadlines {
    Deadlines { liveness: DEADLINES.liveness, quiet: DEADLINES.quiet, ..Deadlines::default() }
}

const KINDS: [Kind; 8] =
    [Kind::Cut, Kind::Refuse, Kind::Stall, Kind::BlackHole, Kind::Truncate, Kind::Error500, Kind::Garbage, Kind::Slow];
const QUESTIONS: [&str; 14] = [
    "",
    "/_ping",
    "/images/",
    "/containers/create",
    "/attach?",
    "/attach?",
    "/start",
    "PUT /containers/",
    "GET /containers/",
    "POST /commit",
    "/kill",
    "/wait",
    "DELETE /containers/",
    "DELETE /images/",
];

/// One run and what happens to it.
#[derive(Debug, Clone, Copy)]
struct Case {
    fault: Fault,
    is_tcp: bool,
    /// The whole engine stops answering when the first step has begun, besides.
    freezes: bool,
    is_cancelled: bool,
    times_out: bool,
}

impl Case {
    fn of(random: &mut fastrand::Rng) -> Self {
        let after_bytes = [0, 0, 1, 100, 250, 400, 600];
        Self {
            fault: Fault {
                kind: KINDS[random.usize(..KINDS.len())],
                question: QUESTIONS[random.usize(..QUESTIONS.len())],
                nth: [0, 0, 0, 1, 2, 3][random.usize(..6)],
                lasts: random.u8(..4) == 0,
                after_bytes: after_bytes[random.usize(..after_bytes.len())],
            },
            is_tcp: random.bool(),
            freezes: random.u8(..20) == 0,
            is_cancelled: random.u8(..8) == 0,
            times_out: random.u8(..8) == 0,
        }
    }

    /// Whether a step waits until it is ended.
    fn waits(&self) -> bool {
        self.is_cancelled || self.times_out
    }

    fn must_succeed(&self) -> bool {
        matches!(self.fault.kind, Kind::Slow) && !self.freezes && !self.waits()
    }

    /// The deadlines of the run, and how long it may take.
    fn deadlines(&self) -> (Deadlines, Duration) {
        if number("PIPELENS_FAULTS_REAL", 0) != 0 {
            return (Deadlines::default(), REAL_RUN_WITHIN);
        }
        if self.must_succeed() { (patient(), REAL_RUN_WITHIN) } else { (DEADLINES, RUN_WITHIN) }
    }
}

/// Steps that never fail by themselves, as forgiving as steps can be: a line, a fork whose parent is saved, an artifact.
fn steps(case: &Case) -> Vec<PlanStep> {
    let forgiving = |step: PlanStep| PlanStep { soft_fail: true, retry: 2, ..step };
    let mut steps = vec![
        step("root", "cat file; echo root > made; echo out; echo err >&2; echo end of root"),
        step("left", "cat made; echo end of left").builds_in(0),
        step("right", "cat made; echo right >> made; echo end of right").builds_in(0),
        PlanStep {
            artifacts: vec!["made".into()],
            ..step("last", "cat made; echo begun; sleep 0.2; echo end of last").builds_in(2)
        },
    ];
    if case.waits() {
        let waits = step("waits", "echo waiting; sleep 1000");
        steps.push(if case.times_out { waits.timeout(1) } else { waits });
    }
    steps.into_iter().map(forgiving).collect()
}

async fn run(case: Case) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, socket) = (docker_host().unwrap(), folder.path().join("docker.sock"));
    let (proxy, host) = if case.is_tcp {
        let proxy = Proxy::start(&daemon).await;
        let host = format!("tcp://{}", proxy.address);
        (proxy, host)
    } else {
        (Proxy::start_on(&socket, &daemon), format!("unix://{}", socket.display()))
    };
    proxy.plan(case.fault);
    let mut bench = Bench::docker(steps(&case)).file("file", "from the sources\n");
    bench.request.docker_host = Some(host);
    let (deadlines, within) = case.deadlines();
    bench.request.deadlines = deadlines;
    let (run_id, started) = (bench.request.run_id, Instant::now());
    let mut running = bench.start();
    let mut ended = false;
    while !ended {
        let Some(event) = running.events.recv().await else { break };
        let says = |wanted: &str| matches!(&event, BuildEvent::StepLog { lines, .. } if lines.iter().any(|line| &*line.text == wanted));
        if case.freezes && says("begun") {
            proxy.set(Flow::HeldAfter(0));
        }
        if case.is_cancelled && (says("waiting") || matches!(event, BuildEvent::StepEnd { step: 0, .. })) {
            running.cancel.cancel();
        }
        ended = matches!(event, BuildEvent::BuildEnd { .. });
        running.seen.push(event);
    }
    let ran = running.finish().await;
    let mut wrong = problems(&case, &ran);
    if started.elapsed() > within {
        wrong.push(format!("it took {:?}", started.elapsed()));
    }
    Report { case, run_id, has_struck: proxy.has_struck(), took: started.elapsed(), wrong }
}

struct Report {
    case: Case,
    run_id: Uuid,
    has_struck: bool,
    took: Duration,
    /// One sentence for each thing that must not be.
    wrong: Vec<String>,
}

fn problems(case: &Case, ran: &Ran) -> Vec<String> {
    let mut wrong = Vec::new();
    let keys: Vec<String> = steps(case).into_iter().map(|step| step.key).collect();
    for (index, key) in keys.iter().map(String::as_str).enumerate() {
        let outcome = ran.outcome_of(key);
        match outcome {
            Outcome::Succeeded => {
                let mut expected = match key {
                    "root" => vec!["from the sources", "out"],
                    "left" | "right" => vec!["root"],
                    "last" => vec!["root", "right", "begun"],
                    _ => vec!["waiting", "it never ends"],
                };
                let end = format!("end of {key}");
                expected.push(&end);
                let said = ran.stream_of(key, StdStream::Stdout);
                let complained = ran.stream_of(key, StdStream::Stderr);
                if said != expected || complained.len() != usize::from(key == "root") {
                    wrong.push(format!("`{key}` succeeded and said {said:?} and {complained:?}"));
                }
                let log = ran.log_of(key);
                if log.lines().count() != said.len() + complained.len() {
                    wrong.push(format!("`{key}` succeeded and its file has {log:?}"));
                }
            }
            Outcome::Errored(_) | Outcome::Skipped(_) => {}
            Outcome::Cancelled if case.is_cancelled => {}
            Outcome::TimedOut if case.times_out && key == "waits" => {}
            Outcome::Failed(_) | Outcome::TimedOut | Outcome::Cancelled | Outcome::Cached => {
                wrong.push(format!("`{key}` ended as {outcome:?}"));
            }
        }
        let is_start = |event: &&BuildEvent| matches!(event, BuildEvent::StepStart { step, .. } if *step == index);
        let starts = ran.events.iter().filter(is_start).count();
        if starts > 1 && !(case.times_out && key == "waits") {
            wrong.push(format!("`{key}` was tried {starts} times"));
        }
    }
    if *ran.outcome_of("last") == Outcome::Succeeded {
        let made = artifact_folder(ran.log_path_of("last").parent().unwrap(), "last").join("made");
        let content = std::fs::read_to_string(made).unwrap_or_default();
        if content != "root\nright\n" {
            wrong.push(format!("`last` succeeded and handed back {content:?}"));
        }
    }
    let all: Vec<_> = keys.iter().map(|key| ran.outcome_of(key)).collect();
    let is_good = |outcome: &&Outcome| matches!(outcome, Outcome::Succeeded | Outcome::TimedOut);
    if ran.outcome == RunOutcome::Succeeded && !all.iter().all(is_good) {
        wrong.push(format!("the run succeeded with {all:?}"));
    }
    if case.must_succeed() && ran.outcome != RunOutcome::Succeeded {
        wrong.push(format!("slow is not broken: {all:?}"));
    }
    wrong
}

/// Starts steps on an engine behind a proxy.
fn behind(proxy: &Proxy, deadlines: Deadlines, steps: Vec<PlanStep>) -> Running {
    let mut bench = Bench::docker(steps);
    bench.request.docker_host = Some(format!("tcp://{}", proxy.address));
    bench.request.deadlines = deadlines;
    bench.start()
}

#[tokio::test]
async fn a_frozen_engine_delays_neither_a_cancel_nor_a_timeout() {
    needs_docker!();
    for times_out in [false, true] {
        let proxy = Proxy::start(&docker_host().unwrap()).await;
        let waits = PlanStep { soft_fail: true, retry: 3, ..step("a", "echo begun; sleep 1000") };
        let waits = if times_out { waits.timeout(2) } else { waits };
        let mut running = behind(&proxy, DEADLINES, vec![waits, step("b", "true").builds_in(0)]);
        running.wait_for_line("begun").await;
        proxy.set(Flow::HeldAfter(0));
        if !times_out {
            running.cancel.cancel();
        }
        let started = Instant::now();
        let ran = running.finish().await;
        assert!(started.elapsed() < RUN_WITHIN, "{:?}", started.elapsed());
        let outcome = ran.outcome_of("a");
        match times_out {
            // The engine may be given up before the time is over, and is not there for another attempt.
            true => assert!(matches!(outcome, Outcome::Errored(_)), "{outcome:?}"),
            false => assert_eq!(*outcome, Outcome::Cancelled),
        }
        assert_ne!(ran.outcome, RunOutcome::Succeeded);
        proxy.set(Flow::Open);
        remove_leftovers(&ran);
    }
}

/// Removes what a run could not, for the process that made it still lives.
fn remove_leftovers(ran: &Ran) {
    let containers = docker_client(&["ps", "-aq", "--filter", &format!("label=dev.pipelens.run={}", ran.run_id)]);
    for container in containers.lines() {
        docker_client(&["rm", "-f", container]);
    }
}

#[tokio::test]
async fn a_silently_dead_connection_to_a_command_is_noticed_while_others_answer() {
    needs_docker!();
    for (kind, after_bytes) in [(Kind::BlackHole, 300), (Kind::Stall, 300), (Kind::Stall, 150)] {
        for has_child in [false, true] {
            let proxy = Proxy::start(&docker_host().unwrap()).await;
            proxy.plan(Fault { kind, question: "/attach?", nth: 0, lasts: false, after_bytes });
            let said = "i=0; while [ $i -lt 50 ]; do echo a line; i=$((i + 1)); done";
            let talks = PlanStep { soft_fail: true, retry: 3, ..step("a", said) };
            let mut steps = vec![talks];
            if has_child {
                // Its container waits for the next command of its line, so nothing ends.
                steps.push(step("b", "true").builds_in(0));
            }
            let ran = behind(&proxy, DEADLINES, steps).finish().await;
            assert!(proxy.has_struck());
            assert!(ran.error_of("a").starts_with("It is unknown how the command ended: "), "{}", ran.error_of("a"));
            assert_eq!(ran.outcome, RunOutcome::Failed);
            assert_nothing_left(ran.run_id);
        }
    }
}

#[tokio::test]
async fn one_dropped_connection_of_a_living_engine_loses_no_step() {
    needs_docker!();
    for kind in [Kind::Cut, Kind::Refuse, Kind::Stall, Kind::Garbage, Kind::Error500] {
        let proxy = Proxy::start(&docker_host().unwrap()).await;
        // The first look at the container while its command runs.
        proxy.plan(Fault { kind, question: "/json", nth: 1, lasts: false, after_bytes: 0 });
        let ran = behind(&proxy, patient(), vec![step("a", "sleep 3; echo done")]).finish().await;
        assert!(proxy.has_struck(), "{kind:?}");
        ran.assert_succeeded();
        assert_nothing_left(ran.run_id);
    }
}

#[tokio::test]
async fn a_cut_connection_to_a_command_is_an_error_that_explains_it() {
    needs_docker!();
    let proxy = Proxy::start(&docker_host().unwrap()).await;
    proxy.plan(Fault { kind: Kind::Cut, question: "/attach?", nth: 0, lasts: false, after_bytes: 300 });
    let talks = PlanStep { soft_fail: true, retry: 3, ..step("a", "while :; do echo a line; sleep 0.01; done") };
    // The engine is asked what has happened; a busy machine must not be what is explained.
    let ran = behind(&proxy, patient(), vec![talks]).finish().await;
    assert!(ran.error_of("a").contains("the connection to"), "{}", ran.error_of("a"));
    assert_eq!(ran.outcome, RunOutcome::Failed);
    assert_nothing_left(ran.run_id);
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Not a test by itself: the runs, in a process that is dead when the test below looks for what they have left.
#[tokio::test]
async fn process_with_a_broken_engine() {
    let Some(list) = role() else { return };
    let seed = number("PIPELENS_FAULTS_SEED", SEED);
    let count = usize::try_from(number("PIPELENS_FAULTS_COUNT", RUNS as u64)).unwrap();
    println!("\nPIPELENS_FAULTS_SEED={seed} PIPELENS_FAULTS_COUNT={count}");
    let mut random = fastrand::Rng::with_seed(seed);
    let cases: Vec<Case> = (0..count).map(|_| Case::of(&mut random)).collect();
    let runs = futures_util::stream::iter(cases).map(run).buffer_unordered(RUNS_AT_ONCE);
    let reports: Vec<Report> = runs.collect().await;
    let ids: Vec<String> = reports.iter().map(|report| report.run_id.to_string()).collect();
    std::fs::write(list, ids.join("\n")).unwrap();
    let struck = reports.iter().filter(|report| report.has_struck).count();
    let longest = reports.iter().max_by_key(|report| report.took).unwrap();
    println!("{struck} of {count} runs had their fault; the longest took {:?}: {:?}", longest.took, longest.case);
    assert!(2 * struck > count, "the faults miss");
    let wrong = reports.iter().filter(|report| !report.wrong.is_empty());
    let wrong: Vec<_> = wrong.map(|report| format!("{:?}: {:#?}", report.case, report.wrong)).collect();
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_broken_connection_is_never_a_success_nor_a_hang_and_leaves_nothing() {
    needs_docker!();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("runs").display().to_string();
    crate::bench::in_own_process("broken::process_with_a_broken_engine", &list, &[]).await;
    // The next start.
    Bench::docker(vec![step("a", "true")]).run().await.assert_succeeded();
    let ids = std::fs::read_to_string(&list).unwrap();
    let left_by = |labels: String| -> Vec<String> {
        labels.lines().filter(|run_id| ids.lines().any(|id| id == *run_id)).map(str::to_owned).collect()
    };
    let label = "dev.pipelens.run";
    let containers = docker_client(&["ps", "-a", "--format", &format!("{{{{.Label {label:?}}}}}")]);
    assert_eq!(left_by(containers), [""; 0], "containers");
    let images = docker_client(&["images", "-aq", "--no-trunc", "--filter", &format!("label={label}")]);
    for image in images.lines() {
        // Runs beside this test remove theirs meanwhile.
        let format = format!("{{{{index .Config.Labels {label:?}}}}}");
        let run_id = try_docker_client(&["inspect", "-f", &format, image]).unwrap_or_default();
        assert_eq!(left_by(run_id), [""; 0], "images");
    }
}

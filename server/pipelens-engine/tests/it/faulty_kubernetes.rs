//! What becomes of a run when the cluster breaks: no wrong success, no byte lost, nothing left.
//!
//! What these tests break is everybody's, so they run one after another, and nothing beside them: `cargo xtask test kubernetes` sees to that.

mod chaos;

use std::collections::BTreeMap;
use std::path::Path;

use pipelens_core::plan::PlanStep;
use pipelens_engine::cluster_settings::ClusterSettings;
use pipelens_engine::event::{BuildEvent, Outcome, Phase};
use serde_json::json;

use crate::bench::{Bench, Ran, Running, StepExt as _, as_role, eventually, is_available, role, step};
use crate::cluster::{assert_nothing_left, fault, kubectl, nodes, runner, settings, with_pod_spec};
use crate::proxy::{Flow, Proxy};

/// Counts to 200 in ten seconds or so.
const COUNTING: &str = "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); sleep 0.05; done";

fn counted() -> String {
    (0..200).map(|number| format!("line {number}\n")).collect()
}

fn on_node(node: &str) -> ClusterSettings {
    with_pod_spec(&json!({ "nodeSelector": { "kubernetes.io/hostname": node } }))
}

/// Whether there is a cluster. The faults of an earlier test are over.
async fn is_ready() -> bool {
    if !is_available(runner()) {
        return false;
    }
    all_nodes_ready().await;
    true
}

async fn all_nodes_ready() {
    eventually("all nodes are ready", async || are_all_ready().then_some(())).await;
}

fn are_all_ready() -> bool {
    let path = "{range .items[*]}{.status.conditions[?(@.type=='Ready')].status} {.spec.taints}{'\\n'}{end}";
    let states = kubectl(&["get", "nodes", &format!("--output=jsonpath={path}")]);
    states.lines().all(|state| state.trim() == "True")
}

/// Starts a run, and returns it with the node of its only pod once the step has said the line.
async fn started(bench: Bench, line: &str) -> (Running, String) {
    let mut running = bench.start();
    running.wait_for_line(line).await;
    let node = node_of(&running);
    (running, node)
}

fn node_of(running: &Running) -> String {
    let selector = format!("--selector=pipelens.dev/run={}", running.run_id);
    kubectl(&["get", "pods", &selector, "--output=jsonpath={.items[0].spec.nodeName}"])
}

fn counting(retry: u64) -> PlanStep {
    PlanStep { retry, ..step("a", COUNTING) }
}

#[track_caller]
fn assert_all_was_said(ran: &Ran) {
    ran.assert_succeeded();
    assert_eq!(ran.log_of("a"), counted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_restarted_costs_no_line() {
    if !is_ready().await {
        return;
    }
    let (running, _) = started(Bench::new(runner(), vec![counting(0)]), "line 20").await;
    fault(&["restart", "apiserver"]);
    let ran = running.finish().await;
    assert_all_was_said(&ran);
    assert_nothing_left(ran.run_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_can_be_made_while_the_api_server_is_restarted() {
    if !is_ready().await {
        return;
    }
    let second = step("b", "echo second").after(&[0]);
    let (running, _) = started(Bench::new(runner(), vec![step("a", "echo begun"), second]), "begun").await;
    // It answers only seconds later, and then refuses everything for a moment.
    fault(&["restart", "apiserver"]);
    let ran = running.finish().await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("b"), ["second"]);
    assert_nothing_left(ran.run_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubelet_that_is_restarted_costs_no_line() {
    if !is_ready().await {
        return;
    }
    let (running, node) = started(Bench::new(runner(), vec![counting(0)]), "line 20").await;
    fault(&["restart", &format!("{node}/kubelet")]);
    let ran = running.finish().await;
    assert_all_was_said(&ran);
    assert_nothing_left(ran.run_id);
}

/// Takes a node away while a step runs on it. After the run, the node comes back.
async fn lose_a_node(words: [&str; 2], is_program: bool) {
    if !is_ready().await {
        return;
    }
    let has_others = nodes().len() > 1;
    for retry in [0, 1] {
        if retry == 1 && !has_others {
            break;
        }
        let (running, node) = started(Bench::new(runner(), vec![counting(retry)]), "line 20").await;
        let target = if is_program { format!("{node}/kubelet") } else { node };
        fault(&[words[0], &target]);
        let ran = running.finish().await;
        // First, for the tests that come next.
        fault(&[words[1], &target]);
        match (retry, ran.outcome_of("a")) {
            (0, Outcome::Errored(why)) => {
                // The cluster may have noticed it before we did, and then deletes the pod.
                let sentences =
                    ["The connection to the step's pod was lost: ", "The step's pod ended before its command did: "];
                assert!(sentences.iter().any(|sentence| why.starts_with(sentence)), "{why}");
                assert!(counted().starts_with(&ran.log_of("a")), "{}", ran.log_of("a"));
            }
            // On another node; what the first attempt has said stays.
            (1, Outcome::Succeeded) => assert!(ran.log_of("a").ends_with(&counted())),
            (_, other) => panic!("{other:?}: {:?}", ran.notices()),
        }
        all_nodes_ready().await;
        assert_nothing_left(ran.run_id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_kubelet_is_stopped_is_no_success() {
    lose_a_node(["stop", "start"], true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_node_is_cut_off_is_no_success() {
    lose_a_node(["cut", "restore"], false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_node_loses_its_power_is_no_success() {
    lose_a_node(["power-off", "power-on"], false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_for_a_moment_costs_no_line() {
    if !is_ready().await {
        return;
    }
    let (running, node) = started(Bench::new(runner(), vec![counting(0)]), "line 20").await;
    fault(&["cut", &node]);
    // The cluster gives a node up later than a connection may be silent, and earlier than the agent stops waiting.
    eventually("the node is given up", async || (!are_all_ready()).then_some(())).await;
    fault(&["restore", &node]);
    let ran = running.finish().await;
    assert_all_was_said(&ran);
    assert_nothing_left(ran.run_id);
}

/// A step, and two that start from what it leaves, so that it has to be pushed.
fn fork() -> Vec<PlanStep> {
    vec![
        step(
            "a",
            "echo begun; while [ ! -e go ]; do sleep 0.1; go=$((go+1)); [ $go -lt 20 ] || break; done; echo a > a",
        ),
        step("b", "cat a").builds_in(0),
        step("c", "cat a").builds_in(0),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_away_for_a_moment_is_waited_for_when_a_layer_is_pushed() {
    if !is_ready().await {
        return;
    }
    let (mut running, _) = started(Bench::new(runner(), fork()), "begun").await;
    fault(&["stop", "registry"]);
    running.wait_for(|event| matches!(event, BuildEvent::StepPhase { step: 0, phase: Phase::Snapshotting })).await;
    fault(&["start", "registry"]);
    let ran = running.finish().await;
    ran.assert_succeeded();
    assert_eq!((ran.text_of("b"), ran.text_of("c")), (vec!["a"], vec!["a"]));
    assert_nothing_left(ran.run_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_stays_away_is_an_error_that_names_it() {
    if !is_ready().await {
        return;
    }
    let (running, _) = started(Bench::new(runner(), fork()), "begun").await;
    fault(&["stop", "registry"]);
    let ran = running.finish().await;
    fault(&["start", "registry"]);
    let why = ran.error_of("a");
    assert!(why.contains("registry") || why.contains("pushed"), "{why}");
    assert!(!matches!(ran.outcome_of("b"), Outcome::Succeeded));
    assert_nothing_left(ran.run_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_away_when_a_node_pulls_is_waited_for() {
    if !is_ready().await {
        return;
    }
    let node = nodes().pop().unwrap();
    let kubelet = format!("{node}/kubelet");
    fault(&["pause", &kubelet]);
    // No node has these sources, and they are too large to be sent to the pod: its image has them.
    let sources = format!("{}\n{}", uuid::Uuid::new_v4(), "x".repeat(9_000_000));
    let mut bench = Bench::new(runner(), vec![step("a", "head -n 1 new")]).file("new", &sources);
    bench.request.cluster = Some(on_node(&node));
    let mut running = bench.start();
    let selector = format!("--selector=pipelens.dev/run={}", running.run_id);
    eventually("the pod has its node", async || {
        (!kubectl(&["get", "pods", &selector, "--output=jsonpath={.items[*].spec.nodeName}"]).is_empty()).then_some(())
    })
    .await;
    fault(&["stop", "registry"]);
    fault(&["resume", &kubelet]);
    running
        .wait_for(|event| matches!(event, BuildEvent::Notice { message } if message.contains("ImagePullBackOff")))
        .await;
    fault(&["start", "registry"]);
    let ran = running.finish().await;
    ran.assert_succeeded();
    assert_nothing_left(ran.run_id);
}

/// Writes the settings of a client that reaches the API server through a proxy.
async fn behind_a_proxy(folder: &Path) -> (Proxy, ClusterSettings) {
    let own = settings().unwrap();
    let text = std::fs::read_to_string(own.kubeconfig.as_ref().unwrap()).unwrap();
    let server = text.split("https://").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let (host, _) = server.rsplit_once(':').unwrap();
    let proxy = Proxy::start(server).await;
    let reached = format!("\"https://{}\", tls-server-name: \"{host}\"", proxy.address);
    let file = folder.join("kubeconfig");
    std::fs::write(&file, text.replace(&format!("\"https://{server}\""), &reached)).unwrap();
    (proxy, ClusterSettings { kubeconfig: Some(file), ..own })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_lines_arrive_over_a_connection_that_is_cut_twenty_times() {
    if !is_ready().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (proxy, settings) = behind_a_proxy(folder.path()).await;
    let mut bench = Bench::new(runner(), vec![step("a", "seq 1 1000000")]);
    bench.request.cluster = Some(settings);
    bench.request.limits.logs_bytes = 100_000_000;
    let mut running = bench.start();
    running.wait_for_line("1").await;
    let mut cuts = 0;
    let mut seen = 0;
    while cuts < 20 {
        let event = running.wait_for(|event| matches!(event, BuildEvent::StepLog { .. })).await;
        let BuildEvent::StepLog { lines, .. } = event else { unreachable!() };
        seen += lines.len();
        if seen >= (cuts + 1) * 5_000 {
            proxy.set(Flow::Cut);
            proxy.set(Flow::Open);
            cuts += 1;
        }
    }
    let ran = running.finish().await;
    ran.assert_succeeded();
    let log = ran.log_of("a");
    let expected: String = (1..=1_000_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(log.len(), expected.len());
    assert!(log == expected, "the log has other lines");
    assert_nothing_left(ran.run_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_to_be_killed() {
    if role().as_deref() != Some("a run in a cluster") {
        return;
    }
    let mut running = Bench::new(runner(), vec![step("a", "echo begun; while :; do sleep 1; done")]).start();
    println!("\nrun {}", running.run_id);
    running.wait_for_line("begun").await;
    println!("\nbegun");
    running.wait_for(|event| matches!(event, BuildEvent::BuildEnd { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_killed_leaves_no_pod() {
    use std::io::BufRead as _;

    if !is_ready().await {
        return;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "faulty_kubernetes::process_to_be_killed"]).stdout(std::process::Stdio::piped());
    let mut child = as_role(&mut command, "a run in a cluster").spawn().unwrap();
    let mut words = BTreeMap::new();
    for line in std::io::BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((word, rest)) = line.split_once(' ') {
            words.insert(word.to_owned(), rest.to_owned());
        }
        if line == "begun" {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let selector = format!("--selector=pipelens.dev/run={}", words["run"]);
    let phases = || kubectl(&["get", "pods", &selector, "--output=jsonpath={.items[*].status.phase}"]);
    // The agent ends the pod by itself.
    eventually("the pod has ended", async || matches!(phases().as_str(), "Failed" | "Succeeded" | "").then_some(()))
        .await;
    // The next run removes what is left of it.
    Bench::new(runner(), vec![step("next", "true")]).run().await.assert_succeeded();
    eventually("the pod is gone", async || phases().is_empty().then_some(())).await;
}

//! What only a cluster needs: state that moves between nodes, secrets that are stored nowhere, and pods that others may delete.

mod simulation;
mod stand_in;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use pipelens_core::plan::PlanStep;
use pipelens_engine::event::Outcome;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, StepExt as _, docker_runner, is_available, step};
use crate::cluster::{assert_nothing_left, data, kubectl, nodes, runner, with_pod_spec};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_somebody_deletes_is_no_success_and_its_step_may_run_again() {
    if !is_available(runner()) {
        return;
    }
    for retry in [0, 1] {
        // Only the second attempt, in another pod, ends by itself.
        let cmd = "echo begun; case $(cat /proc/sys/kernel/hostname) in *-0) sleep 1000;; esac; echo end";
        let a = PlanStep { retry, ..step("a", cmd) };
        let mut running = Bench::new(runner(), vec![a]).start();
        running.wait_for_line("begun").await;
        kubectl(&["delete", "pods", "--wait=false", &format!("--selector=pipelens.dev/run={}", running.run_id)]);
        let ran = running.finish().await;
        match (retry, ran.outcome_of("a")) {
            (0, Outcome::Errored(why)) => {
                assert!(why.starts_with("The step's pod ended before its command did: it was deleted."), "{why}");
            }
            (1, Outcome::Succeeded) => {
                assert!(ran.log_of("a").ends_with("begun\nend\n"));
                assert!(ran.notices().iter().any(|notice| notice.contains("`a` runs again")), "{:?}", ran.notices());
            }
            (_, other) => panic!("{other:?}"),
        }
        assert_nothing_left(ran.run_id);
    }
}

/// A change that a step makes to its files. Names come from a few, so that changes meet.
#[derive(Debug, Clone)]
enum Change {
    Write(u8, u16),
    Append(u8),
    Remove(u8),
    MakeFolder(u8),
    Link(u8, u8),
    HardLink(u8, u8),
    Rename(u8, u8),
    Mode(u8, u8),
    Age(u8, u32),
}

/// Three folders with three files each, one of them outside the sources.
fn place(number: u8) -> String {
    let folder = ["sub", "sub/deep", "/opt/out"][usize::from(number / 3 % 3)];
    format!("{folder}/{}", number % 3)
}

impl Change {
    fn command(&self) -> String {
        let at = |number: &u8| place(*number);
        match self {
            Self::Write(a, text) => format!("echo {text} > {}", at(a)),
            Self::Append(a) => format!("echo more >> {}", at(a)),
            Self::Remove(a) => format!("rm -rf {}", at(a)),
            Self::MakeFolder(a) => format!("mkdir {}", at(a)),
            Self::Link(a, b) => format!("ln -s {} {}", at(a), at(b)),
            Self::HardLink(a, b) => format!("ln {} {}", at(a), at(b)),
            Self::Rename(a, b) => format!("mv {} {}", at(a), at(b)),
            Self::Mode(a, bits) => format!("chmod 0{:o} {}", 0o400 | u16::from(bits & 0o77), at(a)),
            Self::Age(a, seconds) => format!("touch -h -d @{} {}", 1_000_000_000 + seconds, at(a)),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let any = || 0..9_u8;
    prop_oneof![
        (any(), 0..999_u16).prop_map(|(a, text)| Change::Write(a, text)),
        any().prop_map(Change::Append),
        any().prop_map(Change::Remove),
        any().prop_map(Change::MakeFolder),
        (any(), any()).prop_map(|(a, b)| Change::Link(a, b)),
        (any(), any()).prop_map(|(a, b)| Change::HardLink(a, b)),
        (any(), any()).prop_map(|(a, b)| Change::Rename(a, b)),
        (any(), any()).prop_map(|(a, bits)| Change::Mode(a, bits)),
        (any(), 0..999_999_u32).prop_map(|(a, seconds)| Change::Age(a, seconds)),
    ]
}

/// Prints every file: its kind, mode, owner, target, number of names (of a folder, filesystems count differently), time, and contents.
const LIST: &str = "for root in . /opt/out; do find $root | sort | while read -r it; do
  stat -c '%N %F %a %u:%g' \"$it\"; t=$(stat -c %Y \"$it\"); [ $t -lt 1100000000 ] || t=new; [ -d \"$it\" ] || echo $(stat -c %h \"$it\") $t; [ -L \"$it\" ] || [ -d \"$it\" ] || cat \"$it\"; done; done";

/// Half of the changes before, and half after the end of a step; then two children of that state, and one of the state before.
fn fork(changes: &[Change]) -> Vec<PlanStep> {
    let (first, second) = changes.split_at(changes.len() / 2);
    let commands =
        |changes: &[Change]| changes.iter().map(|it| it.command() + " 2>/dev/null || true\n").collect::<String>();
    let prepare = "mkdir -p sub/deep /opt/out\n";
    vec![
        step("first", &format!("{prepare}{}", commands(first))),
        step("second", &commands(second)).builds_in(0),
        step("left", LIST).builds_in(1),
        step("right", LIST).builds_in(1),
        step("alone", LIST).builds_in(0),
    ]
}

#[test]
fn the_children_of_a_fork_on_other_nodes_see_the_files_that_they_see_on_docker() {
    if !is_available(runner()) || !is_available(docker_runner()) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cases = std::env::var("PIPELENS_FORK_CASES").map_or(3, |cases| cases.parse().unwrap());
    let mut property =
        TestRunner::new(Config { cases, max_shrink_iters: 20, failure_persistence: None, ..Config::default() });
    let result = property.run(&proptest::collection::vec(change(), 8..48), |changes| {
        let [there, here] = [true, false].map(|is_cluster| {
            let chosen = if is_cluster { runner() } else { docker_runner() };
            let mut bench = Bench::new(chosen, fork(&changes)).file("sub/0", "from the sources\n");
            if is_cluster && nodes().len() > 1 {
                // No two pods of the run are on one node if there is another.
                let run = json!({ "matchLabels": { "pipelens.dev/run": bench.request.run_id.to_string() } });
                let term = json!({ "labelSelector": run, "topologyKey": "kubernetes.io/hostname" });
                let apart = json!([{ "weight": 100, "podAffinityTerm": term }]);
                let spec = json!({ "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": apart } } });
                bench.request.cluster = Some(with_pod_spec(&spec));
            }
            runtime.block_on(bench.run())
        });
        there.assert_succeeded();
        here.assert_succeeded();
        for key in ["left", "right", "alone"] {
            prop_assert_eq!(there.text_of(key), here.text_of(key), "{}", key);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_in_no_file_of_the_cluster() {
    if !is_available(runner()) {
        return;
    }
    let secret = format!("secret-{}", Uuid::new_v4().simple());
    let variable = format!("variable-{}", Uuid::new_v4().simple());
    let with_secret = |it: PlanStep| PlanStep { secrets: vec!["TOKEN".into()], ..it.env("PLAIN", &variable) };
    let mut steps = vec![
        with_secret(step("a", "echo $TOKEN; echo $TOKEN >&2; test -n \"$PLAIN\"")),
        with_secret(step("b", "echo $TOKEN | rev; env | grep -c TOKEN").builds_in(0)),
        with_secret(step("c", "echo $TOKEN > /dev/null").builds_in(0)),
        PlanStep { artifacts: vec!["out".into()], ..with_secret(step("d", "echo x > out; exit 3").builds_in(0)) },
    ];
    steps[3].soft_fail = true;
    let ran = Bench::new(runner(), steps).secret("TOKEN", &secret).run().await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["***", "***"]);
    // What is looked for can be found: the test of the search.
    let marker = format!("marker-{}", Uuid::new_v4().simple());
    let marked = vec![
        step("a", &format!("echo {marker} > marker; sleep 0.1")),
        step("b", "true").builds_in(0),
        step("c", "true").builds_in(0),
    ];
    Bench::new(runner(), marked).run().await.assert_succeeded();
    let mut found = BTreeMap::new();
    let base64 = base64_of(&secret);
    search(&data(), &[&secret, &base64, &variable, &marker], &mut found);
    for word in [&secret, &base64, &variable] {
        assert_eq!(found.get(word), None);
    }
    assert!(found.contains_key(&marker), "the search does not look into layers");
    // Kubernetes says nothing either.
    for kind in ["pods", "events"] {
        let said = kubectl(&["get", kind, "--output=json"]);
        assert!(!said.contains(&secret) && !said.contains(&base64) && !said.contains(&variable), "{kind}");
    }
}

/// Encodes what no alignment hides: the beginning of a text.
fn base64_of(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let whole = text.as_bytes().chunks_exact(3);
    let digits = whole.flat_map(|chunk| {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63]))
    });
    digits.collect()
}

/// Looks for words in all files below a folder, as they are and unpacked, and notes where they are.
fn search(folder: &Path, words: &[&String], found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        // The nodes' root filesystems have the files of running containers, which a step may write what it likes to.
        if kind.is_dir() && !path.ends_with("overlay2") {
            search(&path, words, found);
        } else if kind.is_file() {
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let mut note = |bytes: &[u8]| {
                for word in words {
                    if bytes.windows(word.len()).any(|window| window == word.as_bytes()) {
                        found.insert((*word).clone(), path.display().to_string());
                    }
                }
            };
            note(&bytes);
            if bytes.starts_with(&[0x1f, 0x8b]) {
                let mut unpacked = Vec::new();
                if MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).is_ok() {
                    note(&unpacked);
                }
            }
        }
    }
}

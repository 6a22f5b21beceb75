//! Sources are sent once: later steps and later runs boot from an image that holds them, and get what has changed since.

use std::path::Path;

use pipelens_core::plan::PlanStep;
use pipelens_engine::cache::{Budget, CacheRequest};
use pipelens_engine::event::{BuildEvent, Phase};

use crate::bench::{Bench, Ran, StepExt as _, assert_nothing_left, docker_client, step};
use crate::docker::needs_docker;

/// Everything in the working folder, with its content and its owner.
const LOOK: &str = "find . -type f | sort | while read f; do stat -c '%n %u' $f; cat $f; done";
const LOOK_WITHOUT_OWNER: &str = "for f in $(echo folder/* folder/deep/*); do [ -f $f ] && cat $f; done; :";

/// Files enough for an image of them to be worth it.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..250 {
        write(folder.path(), &format!("folder/file-{index:03}"), &format!("{index}\n"));
    }
    folder
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

async fn run(sources: &Path, state_dir: &Path, steps: Vec<PlanStep>) -> Ran {
    let mut bench = Bench::docker(steps);
    bench.request.source_root = sources.to_owned();
    bench.request.cache = Some(CacheRequest {
        state_dir: state_dir.to_owned(),
        is_read: true,
        variables: Default::default(),
        budget: Budget::default(),
        shares_with_harmont: false,
        registry: None,
    });
    let ran = bench.run().await;
    ran.assert_succeeded();
    assert_nothing_left(ran.run_id);
    ran
}

/// Returns how many files each sending had.
fn sent(ran: &Ran) -> Vec<u64> {
    let files = ran.events.iter().filter_map(|event| match event {
        BuildEvent::StepPhase { phase: Phase::SendingSources { files, .. }, .. } => Some(*files),
        _ => None,
    });
    files.collect()
}

#[tokio::test]
async fn a_later_run_is_sent_only_changes_and_sees_the_same_files_as_a_first_run() {
    needs_docker!();
    for (image, look) in [
        ("pipelens-test/busybox", LOOK),
        ("pipelens-test/user", LOOK),
        ("pipelens-test/username", LOOK),
        // It has no `rm`.
        ("pipelens-test/bare", LOOK_WITHOUT_OWNER),
    ] {
        let (sources, state) = (project(), tempfile::tempdir().unwrap());
        let steps = || vec![step("a", look).image(image)];
        let look_anew = async || run(sources.path(), tempfile::tempdir().unwrap().path(), steps()).await;
        let first = run(sources.path(), state.path(), steps()).await;
        assert_eq!(sent(&first), [250], "{image}");
        let second = run(sources.path(), state.path(), steps()).await;
        assert_eq!(sent(&second), [] as [u64; 0], "{image}");
        assert_eq!(second.text_of("a"), first.text_of("a"), "{image}");

        write(sources.path(), "folder/file-007", "changed\n");
        write(sources.path(), "folder/deep/new", "new\n");
        let changed = run(sources.path(), state.path(), steps()).await;
        assert_eq!(sent(&changed), [2], "{image}");
        assert_eq!(changed.text_of("a"), look_anew().await.text_of("a"), "{image}");

        std::fs::remove_dir_all(sources.path().join("folder/deep")).unwrap();
        std::fs::remove_file(sources.path().join("folder/file-100")).unwrap();
        let removed = run(sources.path(), state.path(), steps()).await;
        let wanted = look_anew().await;
        assert_eq!(removed.text_of("a"), wanted.text_of("a"), "{image}");
        assert!(!removed.text_of("a").join(" ").contains("file-100"), "{image}");
        // What was removed is gone from the image too: nothing has to be done again.
        let after = run(sources.path(), state.path(), steps()).await;
        assert_eq!(sent(&after), [] as [u64; 0], "{image}");
        assert_eq!(after.text_of("a"), wanted.text_of("a"), "{image}");
    }
}

#[tokio::test]
async fn an_image_of_the_sources_is_not_a_steps_result() {
    needs_docker!();
    let (sources, state) = (project(), tempfile::tempdir().unwrap());
    let steps = || vec![step("a", "test ! -e mark; echo x > mark; rm folder/file-000")];
    run(sources.path(), state.path(), steps()).await;
    run(sources.path(), state.path(), steps()).await;
    let other = run(sources.path(), state.path(), vec![step("b", "cat folder/file-000")]).await;
    assert_eq!((other.text_of("b"), sent(&other)), (vec!["0"], vec![]));
    // Another folder is another ground.
    let elsewhere = PlanStep { workdir: "/elsewhere".into(), ..step("c", "cat folder/file-000") };
    let elsewhere = run(sources.path(), state.path(), vec![elsewhere]).await;
    assert_eq!((elsewhere.text_of("c"), sent(&elsewhere)), (vec!["0"], vec![250]));
}

#[tokio::test]
async fn many_steps_of_one_run_share_what_was_sent_once() {
    needs_docker!();
    let steps = (0..8).map(|index| step(&index.to_string(), "cat file; echo mine > file")).collect();
    let ran = Bench::docker(steps).file("file", "from the sources\n").run().await;
    ran.assert_succeeded();
    assert_eq!(sent(&ran), [1]);
    for index in 0..8 {
        assert_eq!(ran.text_of(&index.to_string()), ["from the sources"]);
    }
    assert_nothing_left(ran.run_id);
}

#[tokio::test]
async fn a_lost_image_of_the_sources_only_costs_time() {
    needs_docker!();
    let (sources, state) = (project(), tempfile::tempdir().unwrap());
    let key = uuid::Uuid::new_v4().to_string();
    let steps = || vec![step(&key, "cat folder/file-249")];
    run(sources.path(), state.path(), steps()).await;
    let kept = docker_client(&["images", "-aq", "--filter", &format!("label=dev.pipelens.step={key}")]);
    docker_client(&["rmi", "-f", kept.trim()]);
    let again = run(sources.path(), state.path(), steps()).await;
    assert_eq!((again.text_of(&key), sent(&again)), (vec!["249"], vec![250]));
}

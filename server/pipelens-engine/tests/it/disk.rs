//! What a run writes to this machine's disk: how much, for whose eyes, and what happens where it cannot.

use std::path::{Path, PathBuf};

use pipelens_core::plan::{Cache, CachePolicy, PlanStep};
use pipelens_engine::cache::{Budget, CacheRequest};
use pipelens_engine::event::Outcome;
use pipelens_engine::run::{artifact_folder, history, usable_log_dir};

use crate::bench::{
    Bench, Ran, Runner, StepExt as _, docker_runner, host_runner, in_own_process, is_available, role, step,
};
use crate::runners::for_each_runner;

fn cache(state_dir: &Path) -> Option<CacheRequest> {
    Some(CacheRequest {
        state_dir: state_dir.to_owned(),
        is_read: true,
        variables: Default::default(),
        budget: Budget::default(),
        shares_with_harmont: false,
        registry: None,
    })
}

/// A step whose result is kept, and one that hands something back.
fn steps() -> Vec<PlanStep> {
    let policy = CachePolicy::Forever { env_keys: vec![] };
    let kept =
        PlanStep { cache: Some(Cache { policy, key: None }), ..step("kept", "mkdir -p deep; echo made > deep/made") };
    vec![kept, PlanStep { artifacts: vec!["deep".into()], ..step("back", "cat deep/made").builds_in(0) }]
}

fn artifacts_of(ran: &Ran, key: &str) -> PathBuf {
    artifact_folder(ran.log_path_of(key).parent().unwrap(), key)
}

for_each_runner! {
    async fn a_state_folder_that_cannot_be_written_costs_the_history_and_no_more(runner: Runner) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "no folder").unwrap();
        let state_dir = folder.path().join("file/state");
        let mut bench = Bench::new(runner, steps());
        bench.request.cache = cache(&state_dir);
        bench.request.log_dir = usable_log_dir(state_dir.join("runs/x"), bench.request.run_id);
        assert!(!bench.request.log_dir.starts_with(&state_dir));
        let log_dir = bench.request.log_dir.clone();
        let ran = bench.run().await;
        ran.assert_succeeded();
        assert!(ran.log_of("back").contains("made"));
        std::fs::remove_dir_all(&log_dir).unwrap();
        let said = ran.notices().join("\n");
        let expected = format!(" Its logs are in `{}`. Set `PIPELENS_STATE_DIR` to a folder that you can write to.", log_dir.display());
        assert!(said.contains("does not use earlier results") && said.contains(&expected), "{said}");
    }

    async fn a_corrupt_store_is_set_aside_and_the_run_is_remembered_in_a_new_one(runner: Runner) {
        let state = tempfile::tempdir().unwrap();
        let store = state.path().join("pipelens.db");
        std::fs::write(&store, "no database".repeat(1_000)).unwrap();
        let project = tempfile::tempdir().unwrap();
        for is_first in [true, false] {
            let mut bench = Bench::new(runner, steps());
            bench.request.source_root = project.path().to_owned();
            bench.request.cache = cache(state.path());
            let ran = bench.run().await;
            ran.assert_succeeded();
            let said = ran.notices().join("\n");
            assert_eq!(said.contains("was corrupt"), is_first, "{said}");
            assert_eq!(*ran.outcome_of("kept"), if is_first { Outcome::Succeeded } else { Outcome::Cached });
        }
        assert_eq!(history(state.path(), project.path()).unwrap().len(), 2);
        pipelens_engine::run::clean(state.path(), &crate::cluster::engines(), Some(project.path()), None).await.unwrap();
    }

    async fn a_step_that_floods_its_log_succeeds_and_the_log_has_its_limit(runner: Runner) {
        let cmd = "i=0; while [ $i -lt 20000 ]; do echo 'a line of thirty-two characters.'; i=$((i + 1)); done; echo last";
        let mut bench = Bench::new(runner, vec![step("a", cmd), step("b", "echo b").after(&[0])]);
        bench.request.limits.logs_bytes = 100_000;
        let ran = bench.run().await;
        ran.assert_succeeded();
        let log = ran.log_of("a");
        assert!(log.len() < 101_000, "{}", log.len());
        assert!(log.ends_with("[pipelens: the logs of this run have reached 100.0 kB; the rest of the output is not kept]\n"));
        assert!(ran.notices().iter().any(|notice| notice.contains("a.log` ends early")), "{:?}", ran.notices());
        assert_eq!(ran.text_of("a").last(), Some(&"last"), "live output goes on");
    }

    async fn a_disk_that_is_almost_full_is_left_alone(runner: Runner) {
        let mut bench = Bench::new(runner, vec![PlanStep { artifacts: vec!["made".into()], ..step("a", "echo made | tee made") }]);
        bench.request.limits.free_bytes = u64::MAX / 2;
        let ran = bench.run().await;
        ran.assert_succeeded();
        assert_eq!(ran.log_of("a"), "[pipelens: the disk is almost full; the rest of the output is not kept]\n");
        assert!(!artifacts_of(&ran, "a").join("made").exists());
        let said = ran.notices().join("\n");
        assert!(said.contains("Left out: 1 file, starting with `made`, because the disk is almost full."), "{said}");
    }

    async fn holes_in_artifacts_stay_holes_and_count_for_nothing(runner: Runner) {
        let cmd = "mkdir out; truncate -s 300M out/hole; printf end >> out/hole; truncate -s 100M out/empty; echo small > out/small; \
                   head -c 200000 /dev/zero | tr '\\0' x > out/large";
        let mut bench = Bench::new(runner, vec![PlanStep { artifacts: vec!["out".into()], ..step("a", cmd) }]);
        bench.request.limits.artifacts_bytes = 100_000_000;
        let ran = bench.run().await;
        ran.assert_succeeded();
        let out = artifacts_of(&ran, "a").join("out");
        let size = |name: &str| out.join(name).metadata().unwrap();
        assert_eq!((size("hole").len(), size("empty").len(), size("large").len()), ((300 << 20) + 3, 100 << 20, 200_000));
        for name in ["hole", "empty"] {
            use std::os::unix::fs::MetadataExt as _;
            assert!(size(name).blocks() * 512 < 1_000_000, "{name}: {} blocks", size(name).blocks());
        }
        let mut end = [0; 4];
        let hole = std::fs::File::open(out.join("hole")).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&hole, &mut end, (300 << 20) - 1).unwrap();
        assert_eq!(&end, b"\0end");
    }

    async fn artifacts_beyond_the_budget_of_the_run_are_left_out_and_named(runner: Runner) {
        let back = |key: &str| {
            let cmd = "mkdir out; head -c 60000 /dev/zero | tr '\\0' x > out/file";
            PlanStep { artifacts: vec!["out".into()], ..step(key, cmd) }
        };
        let mut bench = Bench::new(runner, vec![back("one"), back("two").after(&[0])]);
        bench.request.limits.artifacts_bytes = 100_000;
        let ran = bench.run().await;
        ran.assert_succeeded();
        assert!(artifacts_of(&ran, "one").join("out/file").exists());
        assert!(!artifacts_of(&ran, "two").join("out/file").exists());
        let said = ran.notices().join("\n");
        assert!(said.contains("Left out: 1 file, starting with `out/file`, because the artifacts of a run are limited to 100.0 kB."), "{said}");
    }
}

/// Not a test by itself: a run in a process whose umask forbids nothing.
#[tokio::test]
async fn process_without_a_umask() {
    let Some(state_dir) = role().map(PathBuf::from) else { return };
    rustix::process::umask(rustix::fs::Mode::empty());
    let runner = if state_dir.ends_with("host") { host_runner() } else { docker_runner() };
    let mut bench = Bench::new(runner, steps());
    bench.request.cache = cache(&state_dir);
    bench.request.log_dir = state_dir.join("runs").join(bench.request.run_id.to_string());
    bench.run().await.assert_succeeded();
}

#[tokio::test]
async fn only_the_user_can_read_what_a_run_leaves_whatever_the_umask() {
    for (name, runner) in [("host", host_runner()), ("docker", docker_runner())] {
        if !is_available(runner) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("state").join(name);
        // A corrupt store has more files made.
        std::fs::create_dir_all(folder.path().join("state")).unwrap();
        in_own_process("disk::process_without_a_umask", &state_dir.display().to_string(), &[]).await;
        let mut seen = 0;
        let mut left = vec![state_dir.clone()];
        while let Some(path) = left.pop() {
            use std::os::unix::fs::MetadataExt as _;
            let metadata = path.symlink_metadata().unwrap();
            // What a step has made keeps the step's modes, inside a folder that cannot be entered.
            if path.parent().is_some_and(|parent| parent.ends_with("host-snapshots")) && metadata.is_dir() {
                continue;
            }
            assert_eq!(metadata.mode() & 0o077, 0, "{}: {:o}", path.display(), metadata.mode());
            seen += 1;
            if metadata.is_dir() {
                left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        assert!(seen > 6, "{seen} files and folders");
        pipelens_engine::run::clean(&state_dir, &crate::cluster::engines(), None, None).await.unwrap();
    }
}

//! What a step made is copied to this machine, the same way by every runner.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use pipelens_core::plan::{ArtifactsWhen, Cache, CachePolicy, PlanStep};
use pipelens_engine::event::Outcome;
use pipelens_engine::run::{clean, failed_artifact_folder};

use crate::bench::{Bench, Ran, Runner, StepExt as _, assert_nothing_left, docker_runner, step};
use crate::cluster::engines;
use crate::runners::for_each_runner;

fn with_artifacts(key: &str, cmd: &str, globs: &[&str]) -> PlanStep {
    PlanStep { artifacts: globs.iter().map(|glob| (*glob).to_owned()).collect(), ..step(key, cmd) }
}

async fn run(runner: Runner, steps: Vec<PlanStep>) -> Ran {
    Bench::new(runner, steps).run().await
}

pub(crate) fn folder_of(ran: &Ran, key: &str) -> PathBuf {
    pipelens_engine::run::artifact_folder(ran.log_path_of(key).parent().unwrap(), key)
}

/// Returns the files below a directory, sorted: `name` or `name -> target`.
pub(crate) fn listed(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(at) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            match std::fs::read_link(&path) {
                Ok(target) => names.push(format!("{name} -> {}", target.display())),
                Err(_) if path.is_dir() => folders.push(path),
                Err(_) => names.push(name),
            }
        }
    }
    names.sort();
    names
}

fn text(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

for_each_runner! {
    async fn matching_files_arrive_and_nothing_else(runner: Runner) {
        let cmd = "mkdir -p out/deep; echo app > out/app; chmod +x out/app; echo log > out/deep/a.log; ln -s / out/root; echo no > other; : > top.txt";
        let none = PlanStep { artifacts: vec!["no/such".into()], ..step("b", "cat out/app").builds_in(0) };
        let ran = run(runner, vec![with_artifacts("a", cmd, &["out/", "*.txt"]), none]).await;
        ran.assert_succeeded();
        assert_eq!(listed(&folder_of(&ran, "a")), ["out/app", "out/deep/a.log", "top.txt"]);
        let notices = ran.notices().join(" ");
        assert!(notices.contains("Artifacts of `a`: 3 files, 8 bytes, in `"), "{notices}");
        let left_out = "Left out: the link `out/root`, because it leads to no file in the working directory.";
        assert!(notices.contains(left_out), "{notices}");
        assert!(notices.contains("No file of step `b` matches `no/such`."), "{notices}");
    }

    async fn every_name_of_a_file_with_several_names_arrives(runner: Runner) {
        let cmd = "mkdir -p bin/deps; echo app > bin/deps/app-1; ln bin/deps/app-1 bin/app; ln bin/app bin/app2; echo one > bin/deps/one; ln bin/deps/one bin/zone; \
                   mkdir all; echo x > all/x; ln all/x all/y; chmod +x all/x";
        let ran = run(runner, vec![with_artifacts("a", cmd, &["bin/app*", "bin/z*", "all"])]).await;
        ran.assert_succeeded();
        let folder = folder_of(&ran, "a");
        assert_eq!(listed(&folder), ["all/x", "all/y", "bin/app", "bin/app2", "bin/zone"]);
        assert_eq!([text(&folder, "bin/app"), text(&folder, "bin/app2")], ["app\n", "app\n"]);
        assert_eq!([text(&folder, "bin/zone"), text(&folder, "all/y")], ["one\n", "x\n"]);
        let of = |name: &str| folder.join(name).metadata().unwrap();
        assert_eq!((of("all/x").ino(), of("all/y").mode() & 0o777), (of("all/y").ino(), 0o700));
        let notices = ran.notices().join(" ");
        assert!(notices.contains("Artifacts of `a`: 5 files, 10 bytes, in `"), "{notices}");
    }

    async fn links_between_artifacts_stay_links(runner: Runner) {
        let cmd = "mkdir -p lib/deep; echo so > lib/libx.so.1.2; ln -s libx.so.1.2 lib/libx.so.1; ln -s libx.so.1 lib/libx.so; \
                   ln -s ../libx.so lib/deep/up; ln -s \"$PWD/lib/deep\" lib/absolute; echo f > lib/deep/f; ln -s . lib/deep/self";
        let ran = run(runner, vec![with_artifacts("a", cmd, &["lib"])]).await;
        ran.assert_succeeded();
        let folder = folder_of(&ran, "a");
        assert_eq!(listed(&folder), [
            "lib/absolute -> deep",
            "lib/deep/f",
            "lib/deep/self -> .",
            "lib/deep/up -> ../libx.so",
            "lib/libx.so -> libx.so.1",
            "lib/libx.so.1 -> libx.so.1.2",
            "lib/libx.so.1.2",
        ]);
        assert_eq!([text(&folder, "lib/deep/up"), text(&folder, "lib/absolute/f")], ["so\n", "f\n"]);
    }

    async fn a_link_to_a_file_that_is_no_artifact_brings_its_content(runner: Runner) {
        let cmd = "mkdir out; echo app > app-1.2; ln -s app-1.2 app-1; ln -s ../app-1 out/app; ln -s /etc/passwd out/users; \
                   ln -s ../../../../../../../../etc/passwd out/climbs; ln -s gone out/gone; ln -s b out/a; ln -s ../c out/b; ln -s out/a c; mkdir d; ln -s ../d out/d; ln -s /etc e; ln -s ../e/passwd out/through";
        let ran = run(runner, vec![with_artifacts("a", cmd, &["out"])]).await;
        ran.assert_succeeded();
        let folder = folder_of(&ran, "a");
        assert_eq!(text(&folder, "out/app"), "app\n");
        let there = listed(&folder);
        assert!(there.contains(&"out/app".to_owned()) && !there.iter().any(|name| name.contains("passwd")), "{there:?}");
        for name in ["out/users", "out/climbs", "out/gone", "out/d"] {
            assert!(folder.join(name).symlink_metadata().is_err(), "{name}");
        }
        let notices = ran.notices().join(" ");
        assert!(notices.contains("because they lead to no file in the working directory."), "{notices}");
    }

    async fn a_step_taken_from_an_earlier_run_hands_back_its_artifacts(runner: Runner) {
        let state = tempfile::tempdir().unwrap();
        let forever = Cache { policy: CachePolicy::Forever { env_keys: Vec::new() }, key: None };
        let cmd = "mkdir -p out/deep; echo x > out/deep/x; ln out/deep/x out/y; ln -s deep/x out/z";
        let made = PlanStep { cache: Some(forever), ..with_artifacts("a", cmd, &["out/y", "out/z"]) };
        let run = async |steps: Vec<PlanStep>| {
            let mut bench = Bench::new(runner, steps);
            bench = bench.caching_in(state.path());
            bench.request.source_root = state.path().join("project");
            std::fs::create_dir_all(&bench.request.source_root).unwrap();
            let ran = bench.run().await;
            ran.assert_succeeded();
            if runner == docker_runner() {
                assert_nothing_left(ran.run_id);
            }
            ran
        };
        let first = run(vec![made.clone()]).await;
        assert_eq!(*first.outcome_of("a"), Outcome::Succeeded);
        assert_eq!(listed(&folder_of(&first, "a")), ["out/y", "out/z"]);
        let child = PlanStep { is_wanted: true, ..step("b", "cat out/y").builds_in(0) };
        let second = run(vec![made.clone(), child]).await;
        assert_eq!(*second.outcome_of("a"), Outcome::Cached);
        assert_eq!(listed(&folder_of(&second, "a")), ["out/y", "out/z"]);
        assert_eq!([text(&folder_of(&second, "a"), "out/y"), text(&folder_of(&second, "a"), "out/z")], ["x\n", "x\n"]);
        assert_eq!(second.text_of("b"), ["x"]);
        let notices = second.notices().join(" ");
        assert!(notices.contains("Artifacts of `a`: 2 files"), "{notices}");
        // What is kept is the step's whole filesystem: other files of it can be had without running it again.
        let more = PlanStep { artifacts: vec!["out".into()], ..made };
        let third = run(vec![more]).await;
        assert_eq!(*third.outcome_of("a"), Outcome::Cached);
        assert_eq!(listed(&folder_of(&third, "a")), ["out/deep/x", "out/y", "out/z -> deep/x"]);
        clean(state.path(), &engines(), None, None).await.unwrap();
    }

    async fn artifacts_arrive_after_the_outcome_they_are_for(runner: Runner) {
        let failing = |key: &str, cmd: &str, when: ArtifactsWhen| PlanStep {
            artifacts_when: when,
            ..with_artifacts(key, &format!("echo {key} > junit.xml; {cmd}"), &["junit.xml"])
        };
        let late = PlanStep { timeout_seconds: Some(1), ..failing("late", "sleep 600", ArtifactsWhen::Always) };
        let retried = PlanStep {
            retry: 1,
            ..failing("retried", "echo \"$$\" > $$.txt; exit 1", ArtifactsWhen::OnFailure)
        };
        let retried = PlanStep { artifacts: vec!["*.txt".into()], ..retried };
        let ran = run(runner, vec![
            failing("default", "exit 1", ArtifactsWhen::OnSuccess),
            failing("always", "exit 3", ArtifactsWhen::Always),
            failing("fine", "true", ArtifactsWhen::Always),
            failing("unneeded", "true", ArtifactsWhen::OnFailure),
            late,
            retried,
        ]).await;
        assert_eq!(*ran.outcome_of("always"), Outcome::Failed(3));
        assert_eq!(*ran.outcome_of("late"), Outcome::TimedOut);
        for (key, expected) in [("default", 0), ("always", 1), ("fine", 1), ("unneeded", 0), ("late", 1)] {
            let listed = listed(&folder_of(&ran, key));
            assert_eq!(listed.len(), expected, "{key}: {listed:?}");
        }
        assert_eq!(text(&folder_of(&ran, "always"), "junit.xml"), "always\n");
        // It is not lost either.
        let apart = failed_artifact_folder(ran.log_path_of("default").parent().unwrap(), "default");
        assert_eq!(text(&apart, "junit.xml"), "default\n");
        let notices = ran.notices().join(" ");
        assert!(notices.contains(&format!("`default` failed; what matches its artifacts is in `{}`.", apart.display())), "{notices}");
        assert!(!failed_artifact_folder(apart.parent().unwrap().parent().unwrap(), "always").exists());
        // Only the last attempt is the step's result.
        assert_eq!(listed(&folder_of(&ran, "retried")).len(), 1);
        let of_retried = ran.notices().iter().filter(|notice| notice.starts_with("Artifacts of `retried`")).count();
        assert_eq!(of_retried, 1);
    }

    async fn artifacts_that_cannot_be_copied_leave_a_failure_as_it_is(runner: Runner) {
        let failing = PlanStep {
            artifacts_when: ArtifactsWhen::Always,
            ..with_artifacts("a", "echo x > out; exit 3", &["out"])
        };
        let mut bench = Bench::new(runner, vec![failing]);
        let file = bench.logs.path().join("file");
        std::fs::write(&file, "").unwrap();
        bench.request.artifacts_dir = Some(file);
        let ran = bench.run().await;
        assert_eq!(*ran.outcome_of("a"), Outcome::Failed(3));
        let notices = ran.notices().join(" ");
        assert!(notices.contains("The artifacts of `a` could not be copied."), "{notices}");
    }
}

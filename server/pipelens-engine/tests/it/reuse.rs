//! `reuse: last`: a step that runs again starts from its own last result.

use pipelens_core::plan::{PlanStep, Reuse};
use pipelens_engine::cache::CacheDecision;
use pipelens_engine::event::Outcome;
use pipelens_engine::run::KeptKind;

use crate::bench::{Ran, Runner, StepExt as _, step};
use crate::cache::{Project, forever, on_change};
use crate::runners::for_each_runner;

fn reusing(step: PlanStep) -> PlanStep {
    PlanStep { reuse: Reuse::Last, ..step }
}

/// A build that says what it finds, what is newer than what it has built, and then builds.
const BUILD: &str = "[ -e built ] && echo again; find src -type f -newer built 2>/dev/null | sort; ls src; touch built";

fn notices(ran: &Ran) -> Vec<&str> {
    ran.notices().into_iter().filter(|notice| notice.contains("last result")).collect()
}

const STARTS: &str = "`build` starts from its last result.";

for_each_runner! {
    async fn what_was_built_is_still_there_and_the_sources_are_todays(runner: Runner) {
        let project = Project::new(runner);
        for file in ["src/a", "src/b", "src/gone", "src/deep/gone"] {
            project.file(file, "1\n");
        }
        let steps = || vec![reusing(step("build", BUILD))];
        let first = project.run(steps()).await;
        assert_eq!((first.text_of("build"), notices(&first)), (vec!["a", "b", "deep", "gone"], vec![]));
        std::fs::remove_file(project.sources.path().join("src/gone")).unwrap();
        std::fs::remove_dir_all(project.sources.path().join("src/deep")).unwrap();
        project.file("src/b", "2\n");
        project.file("src/new", "2\n");
        let CacheDecision::MissFromLast { reason: None, .. } = &project.predict(steps()).await[0] else { panic!() };
        let second = project.run(steps()).await;
        second.assert_succeeded();
        assert_eq!(second.text_of("build"), ["again", "src/b", "src/new", "a", "b", "new"]);
        assert_eq!(notices(&second), [STARTS]);
        // Nothing has changed, and the command is another one.
        let third = project.run(vec![reusing(step("build", "ls built; cat src/b"))]).await;
        assert_eq!((third.text_of("build"), notices(&third)), (vec!["built", "2"], vec![STARTS]));
        project.clean().await;
        assert_eq!(project.run(steps()).await.text_of("build"), ["a", "b", "new"]);
        project.clean().await;
    }

    async fn only_the_last_result_is_kept(runner: Runner) {
        let project = Project::new(runner);
        for round in 0..4 {
            project.file("src/a", &format!("{round}\n"));
            project.run(vec![reusing(step("build", "cat src/a >> all"))]).await.assert_succeeded();
        }
        let kept = pipelens_engine::run::kept(project.state(), &project.engines(), Some(project.sources.path()), None).await;
        let results = kept.unwrap().into_iter().filter(|thing| matches!(&thing.what, KeptKind::Result(_))).count();
        // An engine keeps what a later image is made of.
        assert!(if runner == crate::bench::host_runner() { results == 1 } else { results >= 1 }, "{results} are kept");
        project.clean().await;
    }

    async fn a_failure_is_not_started_from(runner: Runner) {
        let project = Project::new(runner);
        let run = async |cmd: &str| project.run(vec![reusing(step("build", cmd))]).await;
        run("echo good > built").await.assert_succeeded();
        let failed = run("cat built; echo bad > built; exit 1").await;
        assert_eq!((failed.outcome_of("build"), failed.text_of("build")), (&Outcome::Failed(1), vec!["good"]));
        assert_eq!(run("cat built").await.text_of("build"), ["good"]);
        project.clean().await;
    }

    async fn a_parent_that_has_changed_is_started_from_and_that_is_said(runner: Runner) {
        let project = Project::new(runner);
        project.file("lock", "1\n");
        project.file("src/a", "1\n");
        let steps = || vec![
            on_change(step("deps", "cp lock deps"), "lock"),
            reusing(step("build", &format!("cat deps; {BUILD}")).builds_in(0)),
            step("child", "cat deps; ls built").builds_in(1),
        ];
        project.run(steps()).await.assert_succeeded();
        project.file("src/b", "1\n");
        let second = project.run(steps()).await;
        second.assert_succeeded();
        assert_eq!(*second.outcome_of("deps"), Outcome::Cached);
        assert_eq!((second.text_of("build"), notices(&second)), (vec!["1", "again", "src/b", "a", "b"], vec![STARTS]));
        assert_eq!(second.text_of("child"), ["1", "built"]);
        project.file("lock", "2\n");
        let third = project.run(steps()).await;
        third.assert_succeeded();
        assert_eq!(third.text_of("build"), ["2", "a", "b"]);
        assert_eq!(notices(&third), ["`build` starts from `deps` and not from its last result, because `deps` runs again."]);
        assert_eq!(project.run(steps()).await.text_of("build"), ["2", "again", "a", "b"]);
        project.clean().await;
    }

    async fn a_parent_without_a_policy_is_always_started_from_when_the_sources_have_changed(runner: Runner) {
        let project = Project::new(runner);
        project.file("src/a", "1\n");
        let steps = || vec![step("deps", "cp src/a deps"), reusing(step("build", "cat deps; ls built; touch built; true").builds_in(0))];
        for content in ["1\n", "2\n"] {
            project.file("src/a", content);
            let ran = project.run(steps()).await;
            assert_eq!(ran.stream_of("build", pipelens_engine::event::StdStream::Stdout), [content.trim()]);
        }
        project.clean().await;
    }

    async fn with_a_policy_it_is_taken_or_started_from(runner: Runner) {
        let project = Project::new(runner);
        let steps = || vec![reusing(on_change(step("build", "ls built; cat src/a; touch built; true"), "src"))];
        let run = async |content: &str| {
            project.file("src/a", content);
            let ran = project.run(steps()).await;
            ran.assert_succeeded();
            ran.outcome_of("build").clone()
        };
        assert_eq!(run("1\n").await, Outcome::Succeeded);
        assert_eq!(run("1\n").await, Outcome::Cached);
        project.file("src/a", "2\n");
        match &project.predict(steps()).await[0] {
            CacheDecision::MissFromLast { reason: Some(reason), .. } => assert_eq!(reason, "`src/a` changed"),
            other => panic!("{other:?}"),
        }
        let ran = project.run(steps()).await;
        assert_eq!((ran.text_of("build"), notices(&ran)), (vec!["built", "2"], vec![STARTS]));
        // The result before is still one.
        assert_eq!(run("1\n").await, Outcome::Cached);
        assert_eq!(run("2\n").await, Outcome::Cached);
        project.clean().await;
    }

    async fn a_file_that_gets_older_is_newer_than_what_was_built(runner: Runner) {
        let project = Project::new(runner);
        project.file("src/a", "new\n");
        let steps = || vec![reusing(step("build", BUILD))];
        project.run(steps()).await.assert_succeeded();
        project.file("src/a", "old\n");
        let path = project.sources.path().join("src/a");
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        std::fs::File::open(&path).unwrap().set_modified(old).unwrap();
        assert_eq!(project.run(steps()).await.text_of("build"), ["again", "src/a", "a"]);
        project.clean().await;
    }

    async fn two_steps_have_last_results_of_their_own(runner: Runner) {
        let project = Project::new(runner);
        let build = |key: &str| reusing(step(key, &format!("cat made 2>/dev/null; echo {key} >> made")).builds_in(0));
        let steps = || vec![forever(step("deps", "true")), build("one"), build("two")];
        project.run(steps()).await.assert_succeeded();
        let ran = project.run(steps()).await;
        assert_eq!((ran.text_of("one"), ran.text_of("two")), (vec!["one"], vec!["two"]));
        project.clean().await;
    }

    async fn artifacts_that_are_made_again_are_a_reason_to_start_anew(runner: Runner) {
        let project = Project::new(runner);
        let steps = |word: &str| vec![
            PlanStep { artifacts: vec!["out".to_owned()], ..forever(step("maker", &format!("mkdir out; echo > out/{word}"))) },
            reusing(PlanStep { needs_artifacts: vec![0], ..step("build", "ls out; touch out/built").after(&[0]) }),
        ];
        assert_eq!(project.run(steps("a")).await.text_of("build"), ["a"]);
        assert_eq!(project.run(steps("a")).await.text_of("build"), ["a", "built"]);
        assert_eq!(project.run(steps("b")).await.text_of("build"), ["b"]);
        project.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_row_of_results_on_each_other_stays_usable() {
    if !crate::bench::is_available(crate::bench::docker_runner()) {
        return;
    }
    let project = Project::new(crate::bench::docker_runner());
    for number in 0..4 {
        project.file("src/a", &format!("{number}\n"));
        let ran = project.run(vec![reusing(step("build", "cat src/a; echo x >> made; wc -l < made"))]).await;
        assert_eq!(ran.text_of("build"), [number.to_string(), (number + 1).to_string()]);
    }
    project.clean().await;
}

//! `needs_artifacts`: what a step hands back reaches the steps that need it, whatever they start from.

use pipelens_core::plan::PlanStep;
use pipelens_engine::event::{Outcome, RunOutcome};
use pipelens_engine::run::clean;

use crate::bench::{Bench, Ran, Runner, StepExt as _, docker_runner, is_available, step};
use crate::cache::forever;
use crate::cluster::engines;
use crate::runners::for_each_runner;

fn made(key: &str, cmd: &str, patterns: &[&str]) -> PlanStep {
    let artifacts = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    PlanStep { artifacts, ..step(key, cmd) }
}

fn needing(step: PlanStep, providers: &[usize]) -> PlanStep {
    PlanStep { needs_artifacts: providers.to_vec(), ..step.after(providers) }
}

const MAKES: &str = "mkdir -p out/deep; echo app > out/app; chmod 755 out/app; echo deep > 'out/deep/a b'; ln out/app out/same; \
                     ln -s deep/'a b' out/link; echo new > README; echo other > other";
const LOOKS: &str =
    "cd out; [ -x app ] && cat app same link 'deep/a b' && readlink link && [ ! -e ../other ] && cat ../README ../kept";

for_each_runner! {
    async fn artifacts_reach_a_step_with_another_image_and_its_children(runner: Runner) {
        // A folder that the step makes in the one it got must belong to it.
        let gets = needing(step("gets", &format!("{LOOKS}; echo more > deep/more")), &[0, 1]).image("pipelens-test/user");
        let steps = vec![
            made("build", MAKES, &["out", "README"]),
            made("docs", "echo docs > docs.txt", &["docs.txt", "nothing"]),
            gets,
            step("child", "cat out/app out/deep/more docs.txt").builds_in(2),
        ];
        let ran = Bench::new(runner, steps).file("README", "old\n").file("kept", "kept\n").run().await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("gets"), ["app", "app", "deep", "deep", "deep/a b", "new", "kept"]);
        assert_eq!(ran.text_of("child"), ["app", "more", "docs"]);
    }

    async fn a_step_with_a_working_folder_of_its_own_gets_them_there(runner: Runner) {
        let in_folder = |folder: &str, step| PlanStep { workdir: format!("/workspace/{folder}"), ..step };
        let steps = vec![
            in_folder("a", made("a", "echo a > file", &["file"])),
            in_folder("b/c", needing(step("b", "cat file source"), &[0])),
        ];
        let ran = Bench::new(runner, steps).file("source", "source\n").run().await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("b"), ["a", "source"]);
    }

    async fn the_result_of_a_step_fits_only_the_artifacts_it_was_made_from(runner: Runner) {
        let (state, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = async |word: &str, patterns: &[&str], wanted: bool| -> Ran {
            let build = forever(made("build", "echo $WORD > one; echo two > two", patterns)).env("WORD", word);
            let steps = vec![PlanStep { is_wanted: wanted, ..build }, forever(needing(step("gets", "ls; cat one"), &[0]))];
            let mut bench = Bench::new(runner, steps).caching_in(state.path());
            bench.request.source_root = project.path().to_owned();
            let ran = bench.run().await;
            ran.assert_succeeded();
            ran
        };
        let is_cached = |ran: &Ran| ["build", "gets"].map(|key| *ran.outcome_of(key) == Outcome::Cached);
        let first = run("a", &["one"], true).await;
        assert_eq!((is_cached(&first), first.text_of("gets")), ([false, false], vec!["one", "a"]));
        assert_eq!(is_cached(&run("a", &["one"], true).await), [true, true]);
        let changed = run("b", &["one"], true).await;
        assert_eq!((is_cached(&changed), changed.text_of("gets")), ([false, false], vec!["one", "b"]));
        // Its own result is there, and only its artifacts are others.
        let more = run("b", &["one", "two"], true).await;
        assert_eq!((is_cached(&more), more.text_of("gets")), ([true, false], vec!["one", "two", "b"]));
        // Alone, the second one needs the first only if it runs.
        assert_eq!(is_cached(&run("b", &["one", "two"], false).await), [true, true]);
        let again = run("c", &["one"], false).await;
        assert_eq!((is_cached(&again), again.text_of("gets")), ([false, false], vec!["one", "c"]));
        clean(state.path(), &engines(), None, None).await.unwrap();
    }

    async fn only_what_this_run_has_made_is_passed_on(runner: Runner) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("build/out")).unwrap();
        std::fs::write(folder.path().join("build/out/stale"), "").unwrap();
        let steps = vec![made("build", "mkdir out; echo new > out/new", &["out"]), needing(step("gets", "ls out"), &[0])];
        let mut bench = Bench::new(runner, steps);
        bench.request.artifacts_dir = Some(folder.path().to_owned());
        let ran = bench.run().await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("gets"), ["new"]);
    }

    async fn artifacts_that_are_not_complete_or_not_there_are_never_passed_over(runner: Runner) {
        let gets = |providers| needing(step("gets", "ls; echo ran"), providers);
        let mut bench = Bench::new(runner, vec![made("big", "head -c 100000 /dev/urandom > big; echo x > x", &["big", "x"]), gets(&[0])]);
        bench.request.limits.artifacts_bytes = 50_000;
        let ran = bench.run().await;
        assert_eq!(ran.outcome, RunOutcome::Failed);
        assert!(ran.error_of("gets").contains("The artifacts of `big` are not complete"), "{}", ran.error_of("gets"));
        let soft = PlanStep { soft_fail: true, ..made("soft", "echo x > x; exit 1", &["x"]) };
        let ran = Bench::new(runner, vec![soft, gets(&[0])]).run().await;
        assert_eq!(ran.text_of("gets"), ["ran"]);
        let notices = ran.notices().join(" ");
        assert!(notices.contains("`gets` runs without the artifacts of `soft`, which failed."), "{notices}");
    }
}

#[tokio::test]
async fn artifacts_pass_from_a_container_to_this_machine_and_back() {
    if !is_available(docker_runner()) {
        return;
    }
    let steps = vec![
        made("container", "echo from a container > one", &["one"]),
        PlanStep {
            runner: Some("host".into()),
            ..needing(made("machine", "cat one; echo more > two", &["one", "two"]), &[0])
        },
        needing(step("back", "cat one two"), &[1]),
    ];
    let mut bench = Bench::new(docker_runner(), steps);
    bench.request.may_open_machine = true;
    let ran = bench.run().await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("machine"), ["from a container"]);
    assert_eq!(ran.text_of("back"), ["from a container", "more"]);
}

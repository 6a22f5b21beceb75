//! What every runner does the same way: each test runs once with Docker and once on the host.

use pipelens_core::plan::{Dependency, PlanStep};
use pipelens_engine::event::{Outcome, RunOutcome, StdStream};
use pipelens_engine::run::RunnerKind;

use crate::bench::{Bench, Ran, StepExt as _, assert_nothing_left, is_available, step};

/// Makes one test for each runner out of a function of the runner.
macro_rules! for_each_runner {
    ($($(#[$meta:meta])* async fn $name:ident($runner:ident: RunnerKind) $body:block)+) => { $(
        mod $name {
            use super::*;

            $(#[$meta])*
            async fn check($runner: RunnerKind) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn docker() {
                if is_available(RunnerKind::Docker) {
                    check(RunnerKind::Docker).await;
                }
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn host() {
                if is_available(RunnerKind::Host) {
                    check(RunnerKind::Host).await;
                }
            }
        }
    )+ };
}

async fn run(runner: RunnerKind, steps: Vec<PlanStep>) -> Ran {
    finish(Bench::new(runner, steps)).await
}

/// Runs, and sees to it that nothing stays.
async fn finish(bench: Bench) -> Ran {
    let runner = bench.request.runner;
    let ran = bench.run().await;
    check_leftovers(runner, &ran);
    ran
}

fn check_leftovers(runner: RunnerKind, ran: &Ran) {
    match runner {
        RunnerKind::Docker => assert_nothing_left(ran.run_id),
        RunnerKind::Host => {
            let folder = std::env::temp_dir().join(format!("pipelens-{}", ran.run_id));
            assert!(!folder.exists(), "{} is left", folder.display());
        }
    }
}

for_each_runner! {
    async fn a_fork_and_its_join_run_in_order(runner: RunnerKind) {
        let ran = run(runner, vec![
            step("root", "echo from root > shared; echo root"),
            step("left", "cat shared; echo left > mine").builds_in(0),
            step("right", "cat shared; test ! -e mine && echo right").builds_in(0),
            step("join", "echo join").after(&[1, 2]),
        ]).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("left"), ["from root"]);
        assert_eq!(ran.text_of("right"), ["from root", "right"]);
        for side in ["left", "right"] {
            assert!(ran.ended_at("root") < ran.started_at(side));
            assert!(ran.ended_at(side) < ran.started_at("join"));
        }
        assert_eq!(ran.log_of("root"), "root\n");
    }

    async fn the_two_streams_are_told_apart(runner: RunnerKind) {
        let ran = run(runner, vec![step("a", "echo one; echo two >&2; printf three; printf four >&2")]).await;
        assert_eq!(ran.stream_of("a", StdStream::Stdout), ["one", "three"]);
        assert_eq!(ran.stream_of("a", StdStream::Stderr), ["two", "four"]);
    }

    async fn an_exit_code_is_the_outcome_and_blocks(runner: RunnerKind) {
        let ran = run(runner, vec![step("a", "exit 3"), step("b", "echo b").after(&[0]), step("c", "echo c")]).await;
        assert_eq!(ran.outcome, RunOutcome::Failed);
        assert_eq!(*ran.outcome_of("a"), Outcome::Failed(3));
        assert_eq!(*ran.outcome_of("b"), Outcome::Skipped("Needs `a`, which failed with exit code 3.".into()));
        assert_eq!(*ran.outcome_of("c"), Outcome::Succeeded);
    }

    async fn a_soft_failure_has_children_that_see_its_files(runner: RunnerKind) {
        let soft = PlanStep { soft_fail: true, ..step("a", "echo left > file; exit 1") };
        let ran = run(runner, vec![soft, step("b", "cat file").builds_in(0)]).await;
        ran.assert_succeeded();
        assert_eq!(*ran.outcome_of("a"), Outcome::Failed(1));
        assert_eq!(ran.text_of("b"), ["left"]);
    }

    async fn a_step_behind_a_forgiving_wait_runs(runner: RunnerKind) {
        let mut last = step("b", "echo b");
        last.after = vec![Dependency { step: 0, must_succeed: false }];
        let ran = run(runner, vec![step("a", "exit 1"), last]).await;
        assert_eq!(ran.outcome, RunOutcome::Failed);
        assert_eq!(*ran.outcome_of("b"), Outcome::Succeeded);
    }

    async fn variables_of_any_kind_arrive_whole(runner: RunnerKind) {
        let nasty = "it's \"two\"\n lines \\n $HOME `id` \u{fc}\t* ";
        let ran = run(runner, vec![
            step("a", "printf '[%s]' \"$NASTY\"").env("NASTY", nasty),
        ]).await;
        ran.assert_succeeded();
        assert_eq!(ran.log_of("a"), format!("[{nasty}]\n"));
    }

    async fn standard_input_is_closed(runner: RunnerKind) {
        let ran = run(runner, vec![step("a", "cat; read line || echo nothing to read")]).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["nothing to read"]);
    }

    async fn a_failed_attempt_is_repeated(runner: RunnerKind) {
        let ran = run(runner, vec![PlanStep { retry: 2, ..step("a", "echo try; exit 1") }]).await;
        assert_eq!(ran.text_of("a"), ["try", "try", "try"]);
        assert_eq!(*ran.outcome_of("a"), Outcome::Failed(1));
    }
}

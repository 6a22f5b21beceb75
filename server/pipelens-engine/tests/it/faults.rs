//! What other runners get wrong and no other file has: long lines, lines at a frame's edge, the tail of the output, bare images.

use pipelens_core::plan::PlanStep;
use pipelens_engine::event::{Outcome, RunOutcome, StdStream};
use pipelens_engine::run::RunnerKind;

use crate::bench::{Bench, StepExt as _, step};
use crate::docker::{needs_docker, run};
use crate::runners::for_each_runner;

for_each_runner! {
    async fn a_line_without_end_is_cut_and_what_follows_is_whole(runner: RunnerKind) {
        let cmd = "head -c 60000000 /dev/zero | tr '\\0' x; echo; echo after";
        let ran = Bench::new(runner, vec![step("a", cmd)]).run().await;
        ran.assert_succeeded();
        let lines = ran.text_of("a");
        assert_eq!(*lines.last().unwrap(), "after");
        assert!(lines.iter().all(|line| line.len() <= (1 << 20) + 100), "{:?}", lines.iter().map(|line| line.len()).collect::<Vec<_>>());
        // The file has every byte.
        let log = std::fs::metadata(ran.log_path_of("a")).unwrap();
        assert_eq!(log.len(), 60_000_000 + "\nafter\n".len() as u64);
    }

    async fn a_line_is_one_however_its_bytes_arrive(runner: RunnerKind) {
        let cmd = "head -c 40000 /dev/zero | tr '\\0' y; sleep 0.2; printf '\\303'; sleep 0.2; printf '\\251 end\\n'; printf last";
        let ran = Bench::new(runner, vec![step("a", cmd)]).run().await;
        assert_eq!(ran.text_of("a"), [format!("{}é end", "y".repeat(40_000)).as_str(), "last"]);
    }

    async fn what_a_cancelled_step_says_last_is_there(runner: RunnerKind) {
        let cmd = "trap 'echo tail; exit 0' TERM; echo begun; while :; do sleep 0.05; done";
        let mut running = Bench::new(runner, vec![step("a", cmd)]).start();
        running.wait_for_line("begun").await;
        running.cancel.cancel();
        let ran = running.finish().await;
        assert_eq!((ran.outcome, ran.outcome_of("a")), (RunOutcome::Cancelled, &Outcome::Cancelled));
        // Some shells add on standard error that the command they were busy with was terminated.
        assert_eq!(ran.stream_of("a", StdStream::Stdout), ["begun", "tail"]);
        assert!(ran.log_of("a").contains("tail\n"));
    }

    async fn a_label_of_many_bytes_a_letter_is_no_fault(runner: RunnerKind) {
        let labelled = PlanStep { label: Some("🧪".repeat(200)), ..step("ä", "echo ok") };
        let ran = Bench::new(runner, vec![labelled]).run().await;
        assert_eq!(ran.text_of("ä"), ["ok"]);
    }
}

#[tokio::test]
async fn an_image_needs_nothing_but_a_shell() {
    needs_docker!();
    let on_bare = |key: &str, cmd: &str| step(key, cmd).image("pipelens-test/bare");
    let parent = on_bare("a", "cat src/deep/file; echo made > made");
    let mut bench = Bench::docker(vec![parent, step("b", "cat made src/deep/file").builds_in(0)]);
    bench = bench.file("src/deep/file", "from the sources\n");
    let ran = bench.run().await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["from the sources"]);
    assert_eq!(ran.text_of("b"), ["made", "from the sources"]);
    // And one that has not even that says so.
    let ran = run(vec![step("a", "true").image("pipelens-test/noshell")]).await;
    assert!(ran.error_of("a").contains("sh"), "{}", ran.error_of("a"));
}

//! What other runners get wrong. Each fault has a test; those that no other file has are here.
//!
//! | fault | test |
//! |---|---|
//! | success after a cancel during a commit | `lineage::a_cancelled_snapshot_is_not_a_success_and_leaves_no_image` |
//! | descendants that run after a failure of the engine | the property in `scheduler/tests.rs`; `docker::a_daemon_that_goes_away_is_an_error_and_not_a_hang` |
//! | a child that boots from the wrong image | `lineage::a_snapshot_removed_during_the_run_is_an_error` |
//! | the two streams merged | `runners::the_two_streams_are_told_apart` |
//! | lost lines | `runners::every_line_reaches_the_file_without_a_listener` |
//! | a line cut in two at a frame's edge | `a_line_is_one_however_its_bytes_arrive` |
//! | an unlimited line buffer, a line of 60 MB | `a_line_without_end_is_cut_and_what_follows_is_whole` |
//! | an empty workspace where the image has no `tar` | `an_image_needs_only_a_shell` |
//! | images with an `ENTRYPOINT`, with a `USER`, without a shell | `docker::an_images_entry_point_is_not_used`, `docker::the_images_user_owns_the_sources_and_its_home`, `docker::an_image_without_a_shell_is_an_error_that_explains_it` |
//! | containers left by an error, Ctrl-C, SIGTERM, a second Ctrl-C, `kill -9` | `cli::ctrl_c_and_sigterm_cancel_and_clean_up` and the one after it in the binary's tests, `killed`, `cargo xtask chaos` |
//! | a step's timeout ignored | `runners::a_step_that_takes_too_long_is_timed_out_with_its_children` |
//! | `a.b` and `a-b` colliding, an upper-case key that breaks the tag | `runners::any_key_will_do` |
//! | secrets in the image and in children | `secrets::a_secret_printed_in_every_way_is_nowhere_afterwards` |
//! | one project that evicts another's results | `cache::one_project_never_evicts_anothers_results` |
//! | a panic on a label of several bytes a letter | `a_label_of_many_bytes_a_letter_is_no_fault` |
//! | files deleted from the project that live on in snapshots | `cache::a_snapshot_gets_todays_sources` |
//! | the storage driver's limit of layers | `cache::a_chain_beyond_the_layer_limit_continues` |
//! | `tcp://` that means the local socket | `docker::a_remote_engine_gets_compressed_sources`, `endpoint.rs` |
//! | the engine's reason lost from the message | `docker::a_missing_image_is_reported_with_the_registrys_message` |
//! | symlinks and empty folders lost | `runners::the_sources_arrive_as_git_would_show_them` |
//! | the tail of the output lost on cancel | `what_a_cancelled_step_says_last_is_there` |
//! | an unknown exit code taken for 0, or for the command's | `reports` |

use pipelens_core::plan::PlanStep;
use pipelens_engine::event::{Outcome, RunOutcome, StdStream};

use crate::bench::{Bench, Runner, StepExt as _, step};
use crate::docker::{needs_docker, run};
use crate::runners::for_each_runner;

for_each_runner! {
    async fn a_line_without_end_is_cut_and_what_follows_is_whole(runner: Runner) {
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

    async fn a_line_is_one_however_its_bytes_arrive(runner: Runner) {
        let cmd = "head -c 40000 /dev/zero | tr '\\0' y; sleep 0.2; printf '\\303'; sleep 0.2; printf '\\251 end\\n'; printf last";
        let ran = Bench::new(runner, vec![step("a", cmd)]).run().await;
        assert_eq!(ran.text_of("a"), [format!("{}é end", "y".repeat(40_000)).as_str(), "last"]);
    }

    async fn what_a_cancelled_step_says_last_is_there(runner: Runner) {
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

    async fn a_label_of_many_bytes_a_letter_is_no_fault(runner: Runner) {
        let labelled = PlanStep { label: Some("🧪".repeat(200)), ..step("ä", "echo ok") };
        let ran = Bench::new(runner, vec![labelled]).run().await;
        assert_eq!(ran.text_of("ä"), ["ok"]);
    }
}

#[tokio::test]
async fn an_image_needs_only_a_shell() {
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

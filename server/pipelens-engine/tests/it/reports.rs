//! A step's result is what its supervisor reports, and nothing else is: not the exit code of a container that something else ended.

use pipelens_core::plan::PlanStep;
use pipelens_engine::event::{BuildEvent, Outcome, RunOutcome};

use crate::bench::{Bench, Ran, StepExt as _, assert_nothing_left, docker_client, eventually, step};
use crate::docker::needs_docker;

/// As forgiving as a step can be: a failure of its command is no failure of the run, and is tried again.
fn forgiving(key: &str, cmd: &str) -> PlanStep {
    PlanStep { soft_fail: true, retry: 3, ..step(key, cmd) }
}

/// What holds whenever a step ends without a report.
#[track_caller]
fn assert_unknown(ran: &Ran, why: &str) {
    let error = ran.error_of("a");
    assert!(error.contains(why), "{error}");
    assert_eq!(ran.outcome, RunOutcome::Failed);
    let starts = ran.events.iter().filter(|event| matches!(event, BuildEvent::StepStart { step: 0, .. })).count();
    assert_eq!(starts, 1, "it is not tried again");
    assert!(matches!(ran.outcome_of("b"), Outcome::Skipped(_)), "{:?}", ran.outcome_of("b"));
    assert_nothing_left(ran.run_id);
}

/// Runs a step that never ends, does something to its container, and returns what became of it.
async fn run_and(arguments: &[&str], is_followed: bool) -> Ran {
    let after = step("b", "true");
    let after = if is_followed { after.builds_in(0) } else { after.after(&[0]) };
    let mut running = Bench::docker(vec![forgiving("a", "echo begun; sleep 1000"), after]).start();
    running.wait_for_line("begun").await;
    let run = format!("label=dev.pipelens.run={}", running.run_id);
    let container = eventually("the engine says that it runs", async || {
        Some(docker_client(&["ps", "-q", "--filter", &run]).trim().to_owned()).filter(|id| !id.is_empty())
    })
    .await;
    docker_client(&[arguments, &[&container]].concat());
    running.finish().await
}

#[tokio::test]
async fn a_container_ended_by_something_else_is_an_error_and_not_an_exit_code() {
    needs_docker!();
    for (arguments, why) in [
        (&["kill"][..], "the container was killed by something else"),
        (&["stop", "-t", "0"], "the container was stopped by something else"),
        (&["restart", "-t", "0"], "the container was restarted by something else"),
        // The engine kills it first, and it may be gone or not when we look.
        (&["rm", "-f"], "by something else"),
    ] {
        for is_followed in [false, true] {
            assert_unknown(&run_and(arguments, is_followed).await, why);
        }
    }
}

#[tokio::test]
async fn a_command_that_kills_its_supervisor_has_no_result() {
    needs_docker!();
    for cmd in ["kill -KILL $PPID", "kill -KILL -1"] {
        for image in ["pipelens-test/busybox", "pipelens-test/dash", "pipelens-test/user"] {
            let steps = vec![forgiving("a", cmd).image(image), step("b", "true").after(&[0])];
            let ran = Bench::docker(steps).run().await;
            assert_unknown(&ran, "the supervisor was killed from inside the container");
        }
    }
}

#[tokio::test]
async fn a_container_that_runs_out_of_memory_is_reported() {
    needs_docker!();
    // The supervisor's own process is the one the kernel picks: the memory belongs to a file, so no other process has a score near its 1,000.
    let cmd = "echo 1000 > /proc/$PPID/oom_score_adj; echo begun; while [ ! -e /go ]; do sleep 0.1; done; exec cat /dev/zero > /dev/shm/full";
    let mut running = Bench::docker(vec![forgiving("a", cmd), step("b", "true").after(&[0])]).start();
    running.wait_for_line("begun").await;
    let run = format!("label=dev.pipelens.run={}", running.run_id);
    let container = eventually("the engine says that it runs", async || {
        Some(docker_client(&["ps", "-q", "--filter", &run]).trim().to_owned()).filter(|id| !id.is_empty())
    })
    .await;
    docker_client(&["update", "--memory", "32m", "--memory-swap", "32m", &container]);
    docker_client(&["exec", &container, "touch", "/go"]);
    let ran = running.finish().await;
    assert_unknown(&ran, "ran out of memory and was killed");
}

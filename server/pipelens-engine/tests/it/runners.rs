//! What every runner does the same way: each test runs once with Docker and once on the host.

use pipelens_core::plan::{Dependency, PlanStep};
use pipelens_engine::event::{BuildEvent, Outcome, Phase, RunOutcome, StdStream};

use crate::bench::{
    Bench, Ran, Runner, StepExt as _, assert_nothing_left, docker_runner, eventually, host_runner, step,
};

/// Makes one test for each runner out of a function of the runner.
macro_rules! for_each_runner {
    ($($(#[$meta:meta])* async fn $name:ident($runner:ident: Runner) $body:block)+) => { $(
        mod $name {
            use super::*;

            $(#[$meta])*
            async fn check($runner: Runner) $body

            crate::runners::test_with!(docker, crate::bench::docker_runner);
            crate::runners::test_with!(host, crate::bench::host_runner);
            #[cfg(feature = "kubernetes")]
            crate::runners::test_with!(kubernetes, crate::cluster::runner);
        }
    )+ };
}
pub(crate) use for_each_runner;

/// The same for the runners whose steps are in containers.
macro_rules! for_each_container_runner {
    ($($(#[$meta:meta])* async fn $name:ident($runner:ident: Runner) $body:block)+) => { $(
        mod $name {
            use super::*;

            $(#[$meta])*
            async fn check($runner: Runner) $body

            crate::runners::test_with!(docker, crate::bench::docker_runner);
            #[cfg(feature = "kubernetes")]
            crate::runners::test_with!(kubernetes, crate::cluster::runner);
        }
    )+ };
}
pub(crate) use for_each_container_runner;

macro_rules! test_with {
    ($test:ident, $runner:path) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            if crate::bench::is_available($runner()) {
                check($runner()).await;
            }
        }
    };
}
pub(crate) use test_with;

pub(crate) async fn run(runner: Runner, steps: Vec<PlanStep>) -> Ran {
    finish(Bench::new(runner, steps)).await
}

/// Runs, and sees to it that nothing stays.
async fn finish(bench: Bench) -> Ran {
    let runner = bench.request.runner;
    let ran = bench.run().await;
    check_leftovers(runner, &ran);
    ran
}

pub(crate) fn check_leftovers(runner: Runner, ran: &Ran) {
    if runner == docker_runner() {
        assert_nothing_left(ran.run_id);
    } else if runner == crate::bench::host_runner() {
        let folder = std::env::temp_dir().join(format!("pipelens-{}", ran.run_id));
        assert!(!folder.exists(), "{} is left", folder.display());
    } else {
        crate::cluster::assert_nothing_left(ran.run_id);
    }
}

for_each_runner! {
    async fn a_fork_and_its_join_run_in_order(runner: Runner) {
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

    async fn the_two_streams_are_told_apart(runner: Runner) {
        let ran = run(runner, vec![step("a", "echo one; echo two >&2; printf three; printf four >&2")]).await;
        assert_eq!(ran.stream_of("a", StdStream::Stdout), ["one", "three"]);
        assert_eq!(ran.stream_of("a", StdStream::Stderr), ["two", "four"]);
    }

    async fn it_is_said_when_a_silent_command_starts(runner: Runner) {
        let ran = finish(Bench::new(runner, vec![step("a", "true")]).file("source", "x")).await;
        let phases: Vec<&Phase> = ran.events.iter().filter_map(|event| match event {
            BuildEvent::StepPhase { phase, .. } => Some(phase),
            _ => None,
        }).collect();
        assert!(matches!(phases[..], [Phase::SendingSources { files: 1, .. }, Phase::Running]), "{phases:?}");
    }

    async fn an_exit_code_is_the_outcome_and_blocks(runner: Runner) {
        let ran = run(runner, vec![step("a", "exit 3"), step("b", "echo b").after(&[0]), step("c", "echo c")]).await;
        assert_eq!(ran.outcome, RunOutcome::Failed);
        assert_eq!(*ran.outcome_of("a"), Outcome::Failed(3));
        assert_eq!(*ran.outcome_of("b"), Outcome::Skipped("Needs `a`, which failed with exit code 3.".into()));
        assert_eq!(*ran.outcome_of("c"), Outcome::Succeeded);
    }

    async fn a_soft_failure_has_children_that_see_its_files(runner: Runner) {
        let soft = PlanStep { soft_fail: true, ..step("a", "echo left > file; exit 1") };
        let ran = run(runner, vec![soft, step("b", "cat file").builds_in(0)]).await;
        ran.assert_succeeded();
        assert_eq!(*ran.outcome_of("a"), Outcome::Failed(1));
        assert_eq!(ran.text_of("b"), ["left"]);
    }

    async fn a_step_behind_a_forgiving_wait_runs(runner: Runner) {
        let mut last = step("b", "echo b");
        last.after = vec![Dependency { step: 0, must_succeed: false }];
        let ran = run(runner, vec![step("a", "exit 1"), last]).await;
        assert_eq!(ran.outcome, RunOutcome::Failed);
        assert_eq!(*ran.outcome_of("b"), Outcome::Succeeded);
    }

    async fn variables_of_any_kind_arrive_whole(runner: Runner) {
        let nasty = "it's \"two\"\n lines \\n $HOME `id` \u{fc}\t* ";
        let ran = run(runner, vec![
            step("a", "printf '[%s]' \"$NASTY\"").env("NASTY", nasty),
        ]).await;
        ran.assert_succeeded();
        assert_eq!(ran.log_of("a"), format!("[{nasty}]\n"));
    }

    async fn standard_input_is_closed(runner: Runner) {
        let ran = run(runner, vec![step("a", "cat; read line || echo nothing to read")]).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["nothing to read"]);
    }

    async fn a_failed_attempt_is_repeated(runner: Runner) {
        let ran = run(runner, vec![PlanStep { retry: 2, ..step("a", "echo try; exit 1") }]).await;
        assert_eq!(ran.text_of("a"), ["try", "try", "try"]);
        assert_eq!(*ran.outcome_of("a"), Outcome::Failed(1));
    }

    async fn a_step_that_takes_too_long_is_timed_out_with_its_children(runner: Runner) {
        let cmd = "echo before; trap 'echo asked to end; exit 0' TERM; sleep 1000 & wait";
        let ran = run(runner, vec![step("a", cmd).timeout(1), step("b", "echo b").after(&[0])]).await;
        assert_eq!(ran.outcome, RunOutcome::TimedOut);
        assert_eq!(*ran.outcome_of("a"), Outcome::TimedOut);
        assert_eq!(ran.text_of("a"), ["before", "asked to end"]);
        assert_eq!(*ran.outcome_of("b"), Outcome::Skipped("Needs `a`, which timed out.".into()));
    }

    async fn the_run_has_a_time_too(runner: Runner) {
        let steps = vec![step("a", "sleep 1000"), step("b", "echo b").after(&[0])];
        let ran = finish(Bench::new(runner, steps).plan(|plan| plan.timeout_seconds = Some(1))).await;
        assert_eq!(ran.outcome, RunOutcome::TimedOut);
        assert_eq!(*ran.outcome_of("a"), Outcome::TimedOut);
        assert!(matches!(ran.outcome_of("b"), Outcome::Skipped(why) if why.contains("run timed out")));
    }

    async fn a_cancel_ends_what_runs_and_skips_the_rest(runner: Runner) {
        let steps = vec![
            step("done", "echo done"),
            step("a", "echo begun; sleep 1000; echo never").after(&[0]),
            step("b", "echo b").after(&[1]),
        ];
        let mut running = Bench::new(runner, steps).start();
        running.wait_for_line("begun").await;
        running.cancel.cancel();
        let ran = running.finish().await;
        check_leftovers(runner, &ran);
        assert_eq!(ran.outcome, RunOutcome::Cancelled);
        assert_eq!(*ran.outcome_of("done"), Outcome::Succeeded);
        assert_eq!(*ran.outcome_of("a"), Outcome::Cancelled);
        assert!(matches!(ran.outcome_of("b"), Outcome::Skipped(why) if why.contains("cancelled")));
        assert_eq!(ran.log_of("a"), "begun\n");
    }

    async fn a_run_cancelled_before_it_began_starts_nothing(runner: Runner) {
        let running = Bench::new(runner, vec![step("a", "echo a")]).start();
        running.cancel.cancel();
        let ran = running.finish().await;
        check_leftovers(runner, &ran);
        assert_eq!(ran.outcome, RunOutcome::Cancelled);
        assert!(ran.text_of("a").is_empty());
    }

    async fn fail_fast_brings_down_what_runs(runner: Runner) {
        let steps = vec![step("slow", "echo begun; sleep 1000"), step("bad", "exit 1")];
        let ran = finish(Bench::new(runner, steps).plan(|plan| plan.fail_fast = true)).await;
        assert_eq!(ran.outcome, RunOutcome::Failed);
        assert_eq!(*ran.outcome_of("slow"), Outcome::Cancelled);
    }

    async fn the_sources_arrive_as_git_would_show_them(runner: Runner) {
        let bench = Bench::new(runner, vec![
            step("a", "ls -A; cat link; test -x run.sh && test -d empty && test -L dangling && ./run.sh; echo mine > file"),
        ]);
        let bench = bench.file(".gitignore", "*.log\n").file("file", "text\n").file(".dotfile", "").file("a.log", "")
            .file("run.sh", "#!/bin/sh\necho ran\n").file("node/.gitignore", "cache\n").file("node/cache/x", "");
        let root = bench.sources.path().to_owned();
        std::fs::create_dir(root.join("empty")).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::{PermissionsExt as _, symlink};
            symlink("file", root.join("link")).unwrap();
            symlink("/no/such", root.join("dangling")).unwrap();
            std::fs::set_permissions(root.join("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let running = bench.start();
        let ran = running.finish().await;
        ran.assert_succeeded();
        let expected = [".dotfile", ".gitignore", "dangling", "empty", "file", "link", "node", "run.sh", "text", "ran"];
        assert_eq!(ran.text_of("a"), expected);
        assert!(ran.notices().contains(&"Sources: 7 files, 36 bytes, 2 ignored."), "{:?}", ran.notices());
    }

    async fn the_working_folder_may_be_another(runner: Runner) {
        let deep = PlanStep { workdir: "/workspace/deep/er".into(), ..step("a", "cat file; pwd") };
        let child = PlanStep { workdir: "/workspace/new".into(), ..step("b", "cat ../deep/er/file; pwd").builds_in(0) };
        let ran = finish(Bench::new(runner, vec![deep, child]).file("file", "text\n")).await;
        ran.assert_succeeded();
        assert!(ran.text_of("a")[1].ends_with("/deep/er"));
        assert!(ran.text_of("b")[1].ends_with("/new"));
        assert_eq!(ran.text_of("b")[0], "text");
    }

    async fn a_long_command_runs(runner: Runner) {
        let cmd = format!("echo begin\n{}\necho end", "true it\\'s long\n".repeat(20_000));
        let ran = run(runner, vec![step("a", &cmd)]).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["begin", "end"]);
    }

    async fn any_key_will_do(runner: Runner) {
        let keys = ["a.b", "a-b", "Gr\u{f6}\u{df}e/\u{1f980}", "A", "a", ".."];
        let mut steps: Vec<PlanStep> = keys.iter().map(|key| step(key, &format!("echo '{key}' > own"))).collect();
        steps.extend((0..keys.len()).map(|parent| step(&format!("child {parent}"), "cat own").builds_in(parent)));
        let ran = run(runner, steps).await;
        ran.assert_succeeded();
        for (parent, key) in keys.iter().enumerate() {
            assert_eq!(ran.log_of(&format!("child {parent}")), format!("{key}\n"));
        }
    }

    async fn secrets_arrive_and_are_masked_everywhere(runner: Runner) {
        let cmd = "echo got $TOKEN; printf s3cr; sleep 0.1; echo 3t-value; echo $TOKEN >&2; echo $OTHER";
        let with_secret = PlanStep { secrets: vec!["TOKEN".into()], ..step("a", cmd) };
        let without = step("b", "echo [$TOKEN]");
        let bench = Bench::new(runner, vec![with_secret, without]).secret("TOKEN", "s3cr3t-value").secret("PIN", "123");
        let ran = finish(bench).await;
        ran.assert_succeeded();
        assert_eq!(ran.stream_of("a", StdStream::Stdout), ["got ***", "***", ""]);
        assert_eq!(ran.stream_of("a", StdStream::Stderr), ["***"]);
        assert_eq!(ran.text_of("b"), ["[]"]);
        assert!(!ran.log_of("a").contains("s3cr3t"));
        assert!(ran.notices().iter().any(|notice| notice.contains("`PIN` is shorter")), "{:?}", ran.notices());
    }

    async fn a_secret_without_a_value_says_so(runner: Runner) {
        let ran = run(runner, vec![PlanStep { secrets: vec!["TOKEN".into()], ..step("a", "echo a") }]).await;
        assert_eq!(ran.outcome, RunOutcome::Failed);
        assert!(ran.error_of("a").contains("Secret `TOKEN` has no value."), "{}", ran.error_of("a"));
    }

    async fn every_line_reaches_the_file_without_a_listener(runner: Runner) {
        let cmd = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo x; done | awk '{ for (n = 1; n <= 100; n++) print NR, n, \"some text to fill the line\" }'";
        let bench = Bench::new(runner, vec![step("a", cmd)]);
        let path = pipelens_engine::run::log_file(&bench.request.log_dir, "a");
        // Nothing is received until the file is whole.
        let running = bench.start_with_room_for(1);
        eventually("200,000 lines are in the file", async || {
            let text = std::fs::read(&path).ok()?;
            (text.iter().filter(|byte| **byte == b'\n').count() == 200_000).then_some(())
        }).await;
        let ran = running.finish().await;
        ran.assert_succeeded();
        let skipped: u64 = ran.events.iter().filter_map(|event| match event {
            BuildEvent::StepLogSkipped { lines, .. } => Some(*lines),
            _ => None,
        }).sum();
        assert!(skipped > 0);
        assert_eq!(skipped + ran.lines_of("a").len() as u64, 200_000);
        let BuildEvent::StepEnd { tail, .. } = &ran.events[ran.ended_at("a")] else { unreachable!() };
        assert_eq!(tail.len(), 20);
        assert!(tail[19].text.starts_with("2000 100 "));
    }

    async fn an_unknown_runner_is_named(runner: Runner) {
        let ran = run(runner, vec![PlanStep { runner: Some("moon".into()), ..step("a", "echo a") }]).await;
        let expected = match cfg!(feature = "kubernetes") {
            true => "Unknown runner `moon`; expected `docker`, `host` or `kubernetes`.",
            false => "Unknown runner `moon`; expected `docker` or `host`.",
        };
        assert!(ran.error_of("a").contains(expected), "{}", ran.error_of("a"));
    }

    async fn what_a_command_leaves_running_ends_with_it(runner: Runner) {
        let ran = run(runner, vec![step("a", "sleep 1000 & echo done")]).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["done"]);
    }

    #[cfg(unix)]
    async fn the_log_is_the_users_alone(runner: Runner) {
        use std::os::unix::fs::PermissionsExt as _;
        let ran = run(runner, vec![step("a", "echo a")]).await;
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&ran.log_path_of("a")), 0o600);
        assert_eq!(mode(ran.log_path_of("a").parent().unwrap()), 0o700);
    }
}

/// In a container the supervisor is out of reach of the machine's own processes.
#[cfg(unix)]
#[tokio::test]
async fn a_command_whose_supervisor_is_killed_by_others_has_no_exit_code() {
    for signal in ["KILL", "SEGV"] {
        let cmd = format!("echo begun; kill -{signal} $PPID; sleep 1000");
        let forgiven = PlanStep { soft_fail: true, retry: 3, ..step("a", &cmd) };
        let mut bench = Bench::new(host_runner(), vec![forgiven, step("b", "true").after(&[0])]);
        // In a PID namespace the step could not do that.
        bench.request.host_isolation = false;
        let ran = finish(bench).await;
        assert_eq!(ran.text_of("a"), ["begun"], "nothing is repeated");
        assert!(ran.error_of("a").contains("was killed by signal"), "{}", ran.error_of("a"));
        assert_eq!(ran.outcome, RunOutcome::Failed);
    }
}

/// What a command does to itself is its own failure, even by a signal.
#[cfg(unix)]
#[tokio::test]
async fn a_command_that_kills_itself_fails_without_further_output() {
    let codes = [("exit 137", 137), ("kill -KILL $$", 137), ("kill -TERM $$", 143), ("trap 'exit 3' TERM; kill 0", 3)];
    for (cmd, code) in codes {
        let ran = run(host_runner(), vec![PlanStep { soft_fail: true, ..step("a", cmd) }]).await;
        assert_eq!(ran.outcome_of("a"), &Outcome::Failed(code), "{cmd}");
        assert_eq!(ran.text_of("a"), [""; 0], "{cmd}");
    }
}

/// A runner that can run more steps than another does not lend it that capacity.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_runner_runs_as_many_steps_at_once_as_its_own_machine_can() {
    if !crate::bench::is_available(docker_runner()) {
        return;
    }
    let cpus = std::thread::available_parallelism().unwrap().get();
    let counts = tempfile::tempdir().unwrap();
    let cmd = format!("cd {}; touch $$; ls | wc -l; sleep 1; rm $$", counts.path().display());
    let on_host = |index: usize| PlanStep { runner: Some("host".into()), ..step(&format!("host-{index}"), &cmd) };
    let mut steps = vec![step("docker", "true")];
    steps.extend((0..cpus + 2).map(on_host));
    let mut bench = Bench::docker(steps);
    bench.request.parallelism = None;
    let ran = bench.run().await;
    ran.assert_succeeded();
    for index in 0..cpus + 2 {
        let at_once: usize = ran.text_of(&format!("host-{index}"))[0].trim().parse().unwrap();
        assert!(at_once <= cpus, "{at_once} steps at once on {cpus} CPUs");
    }
}

//! Containers beside a step's command: reached, ready, fresh for every attempt, and gone.

use pipelens_core::diagnostic::Severity;
use pipelens_core::plan::{PlanStep, Value};
use pipelens_core::{Format, analyze};
use pipelens_engine::event::{BuildEvent, Outcome, Phase, RunOutcome};
use pipelens_engine::run::service_log_file;

use crate::bench::{BUSYBOX, Bench, Ran, Runner, StepExt as _, docker_client, docker_runner, host_runner, step};
use crate::docker::needs_docker;
use crate::lineage::snapshots;
use crate::runners::{check_leftovers, for_each_container_runner, run};

/// Who serves it, on port 7000: another id for every container.
const IDS: &str = "ids: {image: pipelens-test/busybox, ready: 7000, cmd: 'mkdir /srv; cat /proc/sys/kernel/random/uuid > /srv/index.html; exec httpd -f -p 7000 -h /srv'}";
const LOOK_UP_ID: &str = "wget -qO- http://ids:7000/";

/// A step with services, as a pipeline has them.
pub(crate) fn with_services(step: PlanStep, services: &str) -> PlanStep {
    let text = format!(
        r"steps:
- key: a
  cmd: x
  runner_args: {{services: {{{services}}}}}
"
    );
    let analysis = analyze(&text, Format::Yaml);
    let errors: Vec<_> = analysis.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let arguments = analysis.pipelines[0].steps[0].runner_args.clone().unwrap();
    PlanStep { runner_args: Some(arguments.value.plain()), ..step }
}

async fn run_with(runner: Runner, cmd: &str, services: &str) -> Ran {
    run(runner, vec![with_services(step("a", cmd), services)]).await
}

fn service_log(ran: &Ran, key: &str, service: &str) -> String {
    std::fs::read_to_string(service_log_file(ran.log_path_of(key).parent().unwrap(), key, service)).unwrap()
}

fn is_podman() -> bool {
    docker_client(&["version", "--format", "{{range .Server.Components}}{{.Name}} {{end}}"]).contains("Podman")
}

fn running_services(run_id: uuid::Uuid) -> String {
    let filter = format!("label=dev.pipelens.run={run_id}");
    docker_client(&["ps", "-q", "--filter", &filter, "--filter", "label=dev.pipelens.service"])
}

for_each_container_runner! {
    async fn a_service_is_reached_by_its_name_and_at_localhost(runner: Runner) {
        let look = "wget -qO- http://web:8080/; wget -qO- http://localhost:8080/; wget -qO- http://127.0.0.1:8080/";
        let ran = run_with(runner, look, "web: {image: pipelens-test/web}").await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["served", "served", "served"]);
        assert_eq!(service_log(&ran, "a", "web"), "starting\n");
    }

    async fn services_reach_each_other_even_without_a_network(runner: Runner) {
        let services = |web: &str| {
            let get =
                format!("until wget -qO /tmp/got http://{web}:8080/; do sleep 0.05; done; exec httpd -f -p 7001 -h /tmp");
            let front = format!("front: {{image: {BUSYBOX}, ready: test -e /tmp/got, cmd: '{get}'}}");
            format!("web: {{image: pipelens-test/web}}, {front}")
        };
        let mut a = with_services(step("a", "wget -qO- http://front:7001/got"), &services("localhost"));
        if runner == docker_runner() {
            let Some(Value::Map(arguments)) = &mut a.runner_args else { unreachable!() };
            arguments.push(("network".to_owned(), Value::Text("none".to_owned())));
        }
        let ran = run(runner, vec![a, with_services(step("b", "wget -qO- http://front:7001/got"), &services("web"))]).await;
        ran.assert_succeeded();
        assert_eq!([ran.text_of("a"), ran.text_of("b")], [["served"], ["served"]]);
    }

    async fn the_command_starts_when_the_service_is_ready(runner: Runner) {
        let late = "cmd: 'mkdir /srv; sleep 0.3; echo served > /srv/index.html; httpd -p 7000 -h /srv; touch /tmp/up; exec sleep 1000'";
        let mut cases = vec![
            (format!("image: pipelens-test/busybox, {late}, ready: test -e /tmp/up"), "s:7000"),
            (format!("image: pipelens-test/busybox, {late}, ready: 7000"), "s:7000"),
            (format!("image: pipelens-test/dash, {late}, ready: 7000"), "s:7000"),
            (format!("image: pipelens-test/bash, {late}, ready: 7000"), "s:7000"),
            // Its health check: it has nothing to serve before.
            ("image: pipelens-test/healthy".to_owned(), "s:8081"),
            // Its lowest exposed port.
            ("image: pipelens-test/web".to_owned(), "s:8080"),
            // The same without a shell.
            ("image: pipelens-test/noshell-web".to_owned(), "s:8082"),
        ];
        if runner == docker_runner() && is_podman() {
            println!("skipped: 1 health check, for Podman imports none");
            cases.retain(|(service, _)| !service.contains("healthy"));
        }
        let reading = |(service, address): &(String, &str)| {
            with_services(step(service, &format!("wget -qO- http://{address}/")), &format!("s: {{{service}}}"))
        };
        let ran = run(runner, cases.iter().map(reading).collect()).await;
        ran.assert_succeeded();
        for (service, _) in cases {
            assert!(matches!(ran.text_of(&service)[..], ["served" | "alone"]), "{service}: {:?}", ran.text_of(&service));
        }
    }

    async fn a_service_has_its_variables_its_user_and_its_entry_point(runner: Runner) {
        let ran =
            run_with(runner, "true", "s: {image: pipelens-test/user, env: {N: 0777}, ready: 1, cmd: 'id -u; echo $N $HOME; cat'}")
                .await;
        let why = ran.error_of("a");
        assert!(why.contains("ended with exit code 0 before it was ready"), "{why}");
        // Its standard input is shut, though ours to it is not.
        assert_eq!(service_log(&ran, "a", "s"), "1000\n0777 /home/app\n");
        for (cmd, said) in [("", "entry own\n"), (", cmd: '\"two  words\" $((1 + 1))'", "entry two  words 2\n")] {
            let ran = run_with(runner, "true", &format!("s: {{image: pipelens-test/echo, ready: 1{cmd}}}")).await;
            assert_eq!(service_log(&ran, "a", "s"), said);
        }
    }

    async fn a_service_that_dies_is_an_error_with_its_last_output(runner: Runner) {
        let services = "db: {image: pipelens-test/busybox, ready: 7000, cmd: 'echo opening; echo no disk >&2; exit 3'}";
        let ran = run_with(runner, "echo never", services).await;
        let why = ran.error_of("a");
        let expected =
            "Service `db` ended with exit code 3 before it was ready, which is when something listens on port 7000.";
        assert!(why.starts_with(expected), "{why}");
        assert!(why.contains("\n  opening\n") && why.contains("\n  no disk\n") && why.contains("a.db.log"), "{why}");
        assert!(why.ends_with("Check its `image`, `env` and `cmd`."), "{why}");
        assert!(ran.text_of("a").is_empty());
    }

    async fn a_service_that_is_not_ready_in_time_is_an_error(runner: Runner) {
        let service = "image: pipelens-test/busybox, cmd: 'echo slow; exec sleep 1000'";
        // What is to be answered has time for it on a busy machine.
        let cases = [
            (
                5,
                "'echo first; echo not yet; exit 7'",
                "`echo first; echo not yet; exit 7` exited with 7 and printed `not yet`.",
            ),
            (5, "7000", "nothing listens on port 7000."),
            (1, "exec sleep 1000", "`exec sleep 1000` has not finished."),
        ];
        let asking = |(seconds, ready, _): &(u64, &str, &str)| {
            let service = format!("db: {{{service}, ready: {ready}, ready_within_seconds: {seconds}}}");
            with_services(step(ready, "echo never"), &service)
        };
        let ran = run(runner, cases.iter().map(asking).collect()).await;
        for (seconds, key, answer) in cases {
            let why = ran.error_of(key);
            assert!(why.starts_with(&format!("Service `db` was not ready within {seconds} s: {answer}")), "{why}");
            assert!(why.contains("\n  slow\n") && why.ends_with("with `ready_within_seconds`."), "{why}");
        }
    }

    async fn an_impossible_service_is_reported_at_once(runner: Runner) {
        for (service, expected) in [
            ("image: pipelens-test/noshell-web, ready: true and more", "needs a shell for its `ready`"),
            ("image: pipelens-test/noshell-web, cmd: httpd", "needs a shell for its `cmd`"),
            (
                "image: pipelens-test/bare",
                "pipelens-test/bare` has no command. Give it a `cmd`.",
            ),
            ("image: localhost:1/none", "Image `localhost:1/none`"),
        ] {
            let ran = run_with(runner, "true", &format!("s: {{{service}}}")).await;
            let why = ran.error_of("a");
            assert!(why.starts_with("Service `s`") && why.contains(expected), "{why}");
        }
    }

    async fn a_service_that_ends_while_the_step_runs_is_reported(runner: Runner) {
        // It ends with the first word on its second port.
        let service = "s: {image: pipelens-test/busybox, ready: 7000, cmd: 'httpd -p 7000; nc -l -p 7001; exit 4'}";
        let end = "until nc s 7001 </dev/null; do sleep 0.05; done 2>/dev/null";
        let gone = "until wget -qO- http://s:7000/ 2>&1 | grep -q refused; do sleep 0.05; done";
        let ran = run_with(runner, &format!("{end}; {gone}"), service).await;
        ran.assert_succeeded();
        let notice = ran.notices().into_iter().find(|notice| notice.contains("Service")).unwrap();
        assert!(notice.starts_with("Service `s` ended with exit code 4 while step `a` ran."), "{notice}");
    }

    async fn services_end_with_the_command_however_it_ends(runner: Runner) {
        let failing = with_services(step("failing", &format!("{LOOK_UP_ID}; exit 3")), IDS);
        let slow = with_services(step("slow", &format!("{LOOK_UP_ID}; sleep 1000")).timeout(1), IDS);
        let passing = with_services(step("passing", LOOK_UP_ID), IDS);
        let mut running = Bench::new(runner, vec![failing, slow, passing, step("last", "sleep 1000")]).start();
        for _ in 0..3 {
            running.wait_for(|event| matches!(event, BuildEvent::StepEnd { .. })).await;
        }
        if runner == docker_runner() {
            assert_eq!(running_services(running.run_id), "");
        }
        running.cancel.cancel();
        let ran = running.finish().await;
        assert_eq!(*ran.outcome_of("failing"), Outcome::Failed(3));
        assert_eq!(*ran.outcome_of("slow"), Outcome::TimedOut);
        assert_eq!(*ran.outcome_of("passing"), Outcome::Succeeded);
        check_leftovers(runner, &ran);
    }

    async fn a_stop_is_obeyed_while_services_get_ready_and_while_they_run(runner: Runner) {
        let never = "s: {image: pipelens-test/busybox, ready: 7000, cmd: exec sleep 1000, ready_within_seconds: 1000}";
        let mut running = Bench::new(runner, vec![with_services(step("a", "echo never"), never)]).start();
        let waits = |event: &BuildEvent| matches!(event, BuildEvent::StepPhase { phase: Phase::WaitingForServices { services }, .. } if *services == ["s"]);
        running.wait_for(waits).await;
        running.cancel.cancel();
        let ran = running.finish().await;
        assert_eq!((ran.outcome, ran.outcome_of("a")), (RunOutcome::Cancelled, &Outcome::Cancelled));
        check_leftovers(runner, &ran);

        let mut running =
            Bench::new(runner, vec![with_services(step("a", &format!("{LOOK_UP_ID}; echo on; sleep 1000")), IDS)]).start();
        running.wait_for_line("on").await;
        running.cancel.cancel();
        let ran = running.finish().await;
        assert_eq!(*ran.outcome_of("a"), Outcome::Cancelled);
        check_leftovers(runner, &ran);
    }

    async fn each_step_of_a_chain_has_fresh_services_in_the_shared_container(runner: Runner) {
        let look =
            format!("{LOOK_UP_ID}; cat /etc/hosts | grep -c ids; ls -A /srv 2>/dev/null; ps -o comm | grep -c httpd");
        let line = |index: usize| with_services(PlanStep { soft_fail: true, ..step(&index.to_string(), &look) }, IDS);
        let ran = run(runner, vec![line(0), line(1).builds_in(0), line(2).builds_in(1)]).await;
        let said: Vec<_> = ["0", "1", "2"].into_iter().map(|key| ran.text_of(key)).collect();
        let ids: std::collections::BTreeSet<_> = said.iter().map(|lines| lines[0]).collect();
        assert_eq!(ids.len(), 3, "{said:?}");
        assert!(said.iter().all(|lines| lines[1..] == ["1", "0"]), "{said:?}");
        // Podman leaves a trace of each in `/etc/hosts`.
        assert!(runner != docker_runner() || snapshots(&ran) == 0 || is_podman());
    }

    async fn nothing_of_a_service_is_in_what_the_step_leaves(runner: Runner) {
        let parent = with_services(step("a", "wget -qO got http://web:8080/"), "web: {image: pipelens-test/web}");
        let look = "cat got; ls /srv 2>&1; grep -c web /etc/hosts; wget -qO- http://localhost:8080/ 2>&1 | grep -c refused";
        let ran = run(runner, vec![parent, step("b", look).builds_in(0)]).await;
        ran.assert_succeeded();
        assert_eq!(snapshots(&ran), 1);
        assert_eq!(ran.text_of("b"), ["served", "ls: /srv: No such file or directory", "0", "1"]);
    }

    async fn a_second_attempt_has_fresh_services(runner: Runner) {
        let services = IDS.replace("mkdir /srv", "echo another; mkdir /srv");
        let a = PlanStep { retry: 1, ..with_services(step("a", &format!("{LOOK_UP_ID}; exit 1")), &services) };
        let ran = run(runner, vec![a]).await;
        assert_eq!(*ran.outcome_of("a"), Outcome::Failed(1));
        let ids = ran.text_of("a");
        assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
        assert_eq!(service_log(&ran, "a", "ids"), "another\nanother\n");
    }

    async fn a_secret_that_a_service_prints_is_masked(runner: Runner) {
        let service = "db: {image: pipelens-test/busybox, env: {P: hunter2hunter2}, ready: 'echo $P; false', ready_within_seconds: 5, cmd: 'echo it is $P; exec sleep 1000'}";
        let a = PlanStep { secrets: vec!["P".into()], ..with_services(step("a", "true"), service) };
        let ran = Bench::new(runner, vec![a]).secret("P", "hunter2hunter2").run().await;
        assert_eq!(service_log(&ran, "a", "db"), "it is ***\n");
        let why = ran.error_of("a");
        assert!(why.contains("printed `***`") && why.contains("\n  it is ***\n") && !why.contains("hunter2"), "{why}");
    }
}

#[tokio::test]
async fn the_host_has_no_services() {
    if !crate::bench::is_available(host_runner()) {
        return;
    }
    let a = with_services(step("a", "echo never"), "db: {image: a:1}");
    let ran = Bench::new(host_runner(), vec![a]).run().await;
    let expected = "The step has `services`, which are containers, but it runs on the host. Use the `docker` runner for it, or remove `services`.";
    assert_eq!(ran.error_of("a"), expected);
    assert!(ran.text_of("a").is_empty());
}

#[tokio::test]
async fn a_missing_shell_is_reported_for_a_step_with_services_too() {
    needs_docker!();
    let a = with_services(step("a", "true").image("pipelens-test/noshell"), "web: {image: pipelens-test/web}");
    let ran = run(docker_runner(), vec![a]).await;
    assert!(ran.error_of("a").contains("has no shell"), "{}", ran.error_of("a"));
}

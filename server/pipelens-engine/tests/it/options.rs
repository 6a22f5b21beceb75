//! Options of containers, by what the container sees, for steps and for services; and secrets of services.

use pipelens_core::plan::PlanStep;
use pipelens_core::{Format, analyze};
use pipelens_engine::event::Outcome;
use pipelens_engine::run::service_log_file;

use crate::bench::{Bench, Runner, assert_nothing_left, step};
use crate::docker::{needs_docker, run};
use crate::runners::for_each_container_runner;
use crate::services::with_services;

const OPTIONS: &str = "shm_size: 10m, ulimits: {nofile: '100:200', core: 0}, extra_hosts: ['far.away:10.1.2.3', 'six=::7'], tmpfs: ['/kept:size=1m,mode=700']";
const LOOK: &str = "df -k /dev/shm | tail -1 | awk '{ print $2 }'; ulimit -n; ulimit -Hn; ulimit -c; grep -c -e 10.1.2.3 -e ::7 /etc/hosts; grep ' /kept ' /proc/mounts | cut -d' ' -f3";
const SEEN: [&str; 6] = ["10240", "100", "200", "0", "2", "tmpfs"];

fn with_arguments(step: PlanStep, arguments: &str) -> PlanStep {
    let text = format!("steps:\n- key: a\n  cmd: x\n  runner_args: {{{arguments}}}\n");
    let analysis = analyze(&text, Format::Yaml);
    let errors: Vec<_> = analysis.diagnostics.iter().filter(|found| found.message.contains("must be")).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let arguments = analysis.pipelines[0].steps[0].runner_args.clone().unwrap();
    PlanStep { runner_args: Some(arguments.value.plain()), ..step }
}

#[tokio::test]
async fn a_step_has_the_options_of_its_container() {
    needs_docker!();
    let ran = run(vec![with_arguments(step("a", LOOK), OPTIONS)]).await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), SEEN);
}

#[tokio::test]
async fn a_service_has_its_own_options() {
    needs_docker!();
    let services = format!(
        "s: {{image: pipelens-test/busybox, {OPTIONS}, ready: test -e /tmp/said, cmd: \"{LOOK}; touch /tmp/said; sleep 60\"}}"
    );
    let ran = run(vec![with_services(step("a", "ulimit -n"), &services)]).await;
    ran.assert_succeeded();
    let log = service_log_file(ran.log_path_of("a").parent().unwrap(), "a", "s");
    assert_eq!(std::fs::read_to_string(log).unwrap().lines().collect::<Vec<_>>(), SEEN);
    assert_ne!(ran.text_of("a"), ["100"]);
}

#[tokio::test]
async fn a_container_without_an_init_process_runs_and_ends_like_any_other() {
    needs_docker!();
    let first = "cat /proc/1/comm; (setsid sleep 1000 &) ; echo end";
    let services =
        "s: {image: pipelens-test/busybox, init: false, ready: 'true', cmd: 'cat /proc/1/comm; exec sleep 1000'}";
    let mut a = with_services(step("a", first), services);
    let inits = ran_first(&a).await;
    assert_eq!(inits.0[1], "end");
    assert!(inits.0[0].contains("init"), "{inits:?}");
    a = with_arguments(step("a", first), "init: false");
    let ran = run(vec![a]).await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["sh", "end"]);
    assert_nothing_left(ran.run_id);
}

async fn ran_first(step: &PlanStep) -> (Vec<String>, String) {
    let ran = run(vec![step.clone()]).await;
    ran.assert_succeeded();
    assert_nothing_left(ran.run_id);
    let log = service_log_file(ran.log_path_of("a").parent().unwrap(), "a", "s");
    (ran.text_of("a").into_iter().map(str::to_owned).collect(), std::fs::read_to_string(log).unwrap())
}

#[tokio::test]
async fn what_opens_the_machine_needs_consent() {
    needs_docker!();
    for arguments in ["network: host", "gpus: all", "services: {s: {image: pipelens-test/busybox, gpus: 1}}"] {
        let a = with_arguments(step("a", "echo ran"), arguments);
        let ran = run(vec![a.clone()]).await;
        assert!(ran.error_of("a").contains("needs the user's consent"), "{arguments}: {}", ran.error_of("a"));
        let mut bench = Bench::docker(vec![a]);
        bench.request.may_open_machine = true;
        let ran = bench.run().await;
        assert_nothing_left(ran.run_id);
        match ran.outcome_of("a") {
            Outcome::Succeeded => assert_eq!(ran.text_of("a"), ["ran"]),
            // This machine has none.
            Outcome::Errored(why) => assert!(why.contains("gpu") && arguments.contains("gpus"), "{arguments}: {why}"),
            other => panic!("{arguments}: {other:?}"),
        }
    }
}

for_each_container_runner! {
    async fn a_service_gets_its_secrets_as_files_and_they_are_masked(runner: Runner) {
        let services = "s: {image: pipelens-test/user, secrets: [DB_PASSWORD], ready: test -e /tmp/said, \
                        cmd: 'cat /run/secrets/DB_PASSWORD; ls /run/secrets; env | grep -c DB_; touch /tmp/said; sleep 60'}, \
                        t: {image: pipelens-test/busybox, ready: '! test -e /run/secrets', cmd: 'sleep 60'}";
        let a = with_services(step("a", "ls /run/secrets 2>/dev/null; env | grep -c DB_; true"), services);
        let mut bench = Bench::new(runner, vec![a.clone()]);
        let without = bench.run().await;
        assert!(without.error_of("a").contains("DB_PASSWORD"), "{}", without.error_of("a"));
        bench = Bench::new(runner, vec![a]).secret("DB_PASSWORD", "correct horse");
        let ran = bench.run().await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["0"]);
        let log = service_log_file(ran.log_path_of("a").parent().unwrap(), "a", "s");
        let log = std::fs::read_to_string(log).unwrap();
        assert!(!log.contains("correct horse") && log.contains("***") && log.contains("DB_PASSWORD\n0\n"), "{log}");
        let given = "Secrets given: `DB_PASSWORD` to service `s` of step `a`.";
        assert!(ran.notices().contains(&given), "{:?}", ran.notices());
    }
}

/// What a cluster knows of them. The node decides how large a folder in memory is.
#[cfg(feature = "kubernetes")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_has_the_options_of_its_step_and_services_on_kubernetes() {
    let runner = crate::cluster::runner();
    if !crate::bench::is_available(runner) {
        return;
    }
    let options =
        |far: &str| format!("shm_size: 10m, extra_hosts: ['{far}:10.1.2.3'], tmpfs: ['/kept:size=1m', '/{far}']");
    let look = |far: &str| {
        let mounts = format!("grep -c -e ' /dev/shm tmpfs' -e ' /kept tmpfs' -e ' /{far} tmpfs' /proc/mounts");
        format!("{mounts}; grep -c 10.1.2.3.*{far} /etc/hosts; touch /kept/a /dev/shm/a /{far}/a && echo written")
    };
    let services = format!(
        "s: {{image: pipelens-test/user, {}, ready: test -e /tmp/said, cmd: \"{}; touch /tmp/said; sleep 60\"}}",
        options("of-service"),
        look("of-service"),
    );
    let arguments = format!("{}, services: {{{services}}}", options("of-step"));
    let ran = Bench::new(runner, vec![with_arguments(step("a", &look("of-step")), &arguments)]).run().await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["3", "1", "written"]);
    let log = service_log_file(ran.log_path_of("a").parent().unwrap(), "a", "s");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "3\n1\nwritten\n");
}

//! Services that would listen on one port: each has an address of its own, and nothing of their network is left.

use pipelens_core::plan::{PlanStep, Value};
use pipelens_engine::event::RunOutcome;

use crate::bench::{Bench, Runner, StepExt as _, docker_runner, step};
use crate::docker::needs_docker;
use crate::runners::{check_leftovers, for_each_container_runner, run};
use crate::services::with_services;

/// Two services that say their names on the same port, and one beside them.
const TWO: &str = "one: {image: pipelens-test/busybox, ready: 6379, cmd: 'mkdir /srv; echo one > /srv/index.html; exec httpd -f -p 6379 -h /srv'}, \
                   two: {image: pipelens-test/busybox, ready: 6379, cmd: 'mkdir /srv; echo two > /srv/index.html; exec httpd -f -p 6379 -h /srv'}, \
                   web: {image: pipelens-test/web}";
const LOOK: &str = "wget -qO- http://one:6379/; wget -qO- http://two:6379/; wget -qO- http://web:8080/; wget -qO- http://localhost:8080/";

fn with_argument(mut step: PlanStep, name: &str, value: &str) -> PlanStep {
    let Some(Value::Map(arguments)) = &mut step.runner_args else { unreachable!() };
    arguments.push((name.into(), Value::Text(value.into())));
    step
}

for_each_container_runner! {
    async fn services_with_one_port_are_reached_by_name_and_others_at_localhost_too(runner: Runner) {
        let ran = run(runner, vec![with_services(step("a", LOOK), TWO)]).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["one", "two", "served", "served"]);
        check_leftovers(runner, &ran);
    }

    async fn they_reach_each_other_and_services_that_share_the_steps_network(runner: Runner) {
        let get = |of: &str| format!("until wget -qO /tmp/got {of}; do sleep 0.05; done; exec httpd -f -p 7001 -h /tmp");
        let asks = format!("asks: {{image: pipelens-test/busybox, ready: 7001, cmd: '{}'}}", get("http://two:6379/"));
        let also = format!("also: {{image: pipelens-test/busybox, ready: 7001, cmd: '{}'}}", get("http://web:8080/"));
        let look = "wget -qO- http://asks:7001/got; wget -qO- http://also:7001/got";
        let ran = run(runner, vec![with_services(step("a", look), &format!("{TWO}, {asks}, {also}"))]).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["two", "served"]);
        check_leftovers(runner, &ran);
    }

    async fn images_that_expose_one_port_have_addresses_of_their_own(runner: Runner) {
        let services = "one: {image: pipelens-test/web}, two: {image: pipelens-test/web}";
        let ran =
            run(runner, vec![with_services(step("a", "wget -qO- http://one:8080/; wget -qO- http://two:8080/"), services)]).await;
        ran.assert_succeeded();
        assert_eq!(ran.text_of("a"), ["served", "served"]);
        check_leftovers(runner, &ran);
    }
}

#[tokio::test]
async fn without_a_network_there_is_no_way_out() {
    needs_docker!();
    // The first address of the network would be that of the engine's machine.
    let address = "$(ip -4 -o addr show eth0 | awk '{ print $4 }')";
    let look = format!("{LOOK}; a={address}; ping -c1 -W1 ${{a%.*}}.1 >/dev/null 2>&1 || echo closed");
    let ran = run(docker_runner(), vec![with_argument(with_services(step("a", &look), TWO), "network", "none")]).await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["one", "two", "served", "served", "closed"]);
    check_leftovers(docker_runner(), &ran);
}

for_each_container_runner! {
    async fn every_step_of_a_chain_has_new_services_in_the_network_of_their_container(runner: Runner) {
        let name = if runner == docker_runner() { "hostname" } else { "echo pipelens" };
        let a = with_services(step("a", &format!("{name}; wget -qO- http://one:6379/")), TWO);
        let steps = vec![
            a.clone(),
            PlanStep { key: "b".into(), ..a.clone() }.builds_in(0),
            PlanStep { key: "c".into(), ..a }.builds_in(1),
        ];
        let ran = run(runner, steps).await;
        ran.assert_succeeded();
        for key in ["a", "b", "c"] {
            assert_eq!(ran.text_of(key), ["pipelens", "one"]);
        }
        check_leftovers(runner, &ran);
    }

    async fn a_network_goes_with_a_run_that_is_cancelled_or_fails(runner: Runner) {
        let mut running = Bench::new(runner, vec![with_services(step("a", "echo here; sleep 600"), TWO)]).start();
        running.wait_for_line("here").await;
        running.cancel.cancel();
        let ran = running.finish().await;
        assert_eq!(ran.outcome, RunOutcome::Cancelled);
        check_leftovers(runner, &ran);
        let services = TWO.replace("exec httpd -f -p 6379 -h /srv'}, web", "exit 3'}, web");
        let ran = run(runner, vec![with_services(step("a", "true"), &services)]).await;
        assert!(ran.error_of("a").contains("Service `two` ended with exit code 3"), "{}", ran.error_of("a"));
        check_leftovers(runner, &ran);
    }

    async fn variables_whose_names_shells_drop_reach_a_service(runner: Runner) {
        let services = "es: {image: pipelens-test/busybox, env: {discovery.type: single-node, a-b: it's}, ready: test -e /tmp/ok, \
                        cmd: 'env | grep -q single-node && env | grep -qx \"a-b=it.s\" && touch /tmp/ok && sleep 60'}";
        let ran = run(runner, vec![with_services(step("a", "true"), services)]).await;
        ran.assert_succeeded();
        assert!(!ran.notices().iter().any(|notice| notice.contains("ended with")), "{:?}", ran.notices());
    }
}

//! Connections that break, and clients that are gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pipelens_agent::client::{Agent, AgentError, DialError, Dialer, Options};
use pipelens_agent::protocol::message::State;

use crate::container::{Container, Written, command, run};

#[tokio::test]
async fn a_million_lines_arrive_over_many_connections() {
    let Some(container) = Container::start(|_| {}) else { return };
    // 6.9 MB.
    let dialer = container.dialer_that_cuts(300_007);
    let agent = Agent::connect(dialer, Options::default()).await.unwrap();
    let mut written = Written::default();
    let report = agent.run(command("seq 1000000; exit 9"), &mut written).await.unwrap();
    assert_eq!((report.exit_code, report.state), (9, State::Clean));
    let text = String::from_utf8(written.stdout).unwrap();
    let mut lines = text.lines();
    for number in 1..=1_000_000 {
        assert_eq!(lines.next().and_then(|line| line.parse().ok()), Some(number));
    }
    assert_eq!(lines.next(), None);
    assert!(agent.connections() > 20, "{}", agent.connections());
    agent.goodbye().await;
}

#[tokio::test]
async fn a_request_is_carried_out_once_wherever_the_connection_breaks() {
    let Some(container) = Container::start(|_| {}) else { return };
    let dialer = container.dialer();
    let after = Arc::clone(&dialer.after_bytes);
    let agent = Agent::connect(dialer, Options::default()).await.unwrap();
    for bytes in (20..200).step_by(9) {
        after.store(bytes, Ordering::Relaxed);
        let (report, written) = run(&agent, command(&format!("echo {bytes} | tee -a /work/log"))).await;
        assert_eq!((report.exit_code, written), (0, format!("{bytes}\n")));
    }
    after.store(u64::MAX, Ordering::Relaxed);
    let log = String::from_utf8(agent.read_small_file("/work/log").await.unwrap().unwrap()).unwrap();
    let expected: String = (20..200).step_by(9).map(|bytes| format!("{bytes}\n")).collect();
    assert_eq!(log, expected);
    agent.goodbye().await;
}

#[tokio::test]
async fn a_goodbye_ends_the_container() {
    let Some(mut container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    run(&agent, command("true")).await;
    agent.goodbye().await;
    container.wait();
}

#[tokio::test]
async fn a_client_that_is_gone_ends_the_container_after_its_patience() {
    let Some(mut container) = Container::start_with(2, &[], |_| {}) else { return };
    let agent = container.connect().await;
    assert!(!container.has_ended());
    // As if it was killed: no goodbye.
    drop(agent);
    container.wait();
}

#[tokio::test]
async fn a_container_that_is_gone_is_an_error_with_its_cause() {
    let Some(container) = Container::start(|_| {}) else { return };
    let dialer = container.dialer();
    let options = Options { patience: Duration::from_millis(300), ..Options::default() };
    let agent = Agent::connect(dialer, options).await.unwrap();
    let mut written = Written::default();
    let (ended, ()) = tokio::join!(agent.run(command("sleep 1000"), &mut written), async {
        run_until_listed(&agent).await;
        drop(container);
    });
    let Err(error @ AgentError::ConnectionLost { .. }) = ended else { panic!("{ended:?}") };
    assert!(error.to_string().starts_with("the connection to the container was lost: "), "{error}");
    // Every later request as well.
    assert!(matches!(agent.identity().await, Err(AgentError::ConnectionLost { .. })));
}

async fn run_until_listed(agent: &Agent) {
    agent.await_listing().await.unwrap();
}

#[tokio::test]
async fn a_final_cause_is_reported_at_once() {
    struct Gone;
    impl Dialer for Gone {
        fn dial(
            &self,
        ) -> futures_util::future::BoxFuture<'static, Result<pipelens_agent::client::Connection, DialError>> {
            Box::pin(async { Err(DialError::Final("the pod was evicted".into())) })
        }
    }
    let error = Agent::connect(Arc::new(Gone), Options::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "the connection to the container was lost: the pod was evicted");
}

#[tokio::test]
async fn another_client_is_refused() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let other = Agent::connect(container.dialer(), Options::default()).await;
    let error = other.unwrap_err().to_string();
    assert_eq!(error, "the agent in the container refused the connection: it belongs to another run");
    let (report, _) = run(&agent, command("true")).await;
    assert_eq!(report.exit_code, 0);
    agent.goodbye().await;
}

#[tokio::test]
async fn requests_are_carried_out_side_by_side() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let (mut sink, started) = crate::container::WaitsFor::new("ready");
    let (report, ()) = tokio::join!(
        agent.run(command("echo ready; while [ ! -e /work/go ]; do sleep 0.01; done"), &mut sink),
        async {
            started.await.unwrap();
            let names: BTreeSet<String> =
                agent.identity().await.unwrap().variables.into_iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), 2, "{names:?}");
            let mut archive = agent.archive("/usr/bin/env").await.unwrap().unwrap();
            while archive.next().await.unwrap().is_some() {}
            // An archive that is not read to its end does not keep other requests waiting.
            drop(agent.archive("/usr/lib").await.unwrap());
            std::fs::write(container.path("work/go"), "").unwrap();
        }
    );
    assert_eq!(report.unwrap().exit_code, 0);
    agent.goodbye().await;
}

//! What a step may not do and may not learn.

use std::io::Read as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

use pipelens_agent::protocol::message::State;

use crate::container::{Container, command, run};

const SECRET: &str = "correct-horse-battery";

#[tokio::test]
async fn a_step_cannot_talk_to_the_agent_or_end_it() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let (_, written) = run(&agent, command("/.pipelens/agent connect </dev/null | tr -d '\\000-\\037'")).await;
    assert!(written.ends_with("a process of the container may not talk to the agent"), "{written}");
    // Neither can one that has no parent any more.
    let (_, written) = run(&agent, command("(setsid sh -c 'sleep 0.1; /.pipelens/agent connect </dev/null >/work/out' &) ; until [ -s /work/out ]; do sleep 0.01; done; tr -d '\\000-\\037' </work/out")).await;
    assert!(written.ends_with("a process of the container may not talk to the agent"), "{written}");
    let (report, _) =
        run(&agent, command("for signal in KILL TERM STOP HUP INT USR1 SEGV; do kill -$signal 1; done")).await;
    assert_eq!((report.exit_code, report.state), (0, State::Clean));
    agent.goodbye().await;
}

#[tokio::test]
async fn another_container_in_the_same_network_cannot_talk_to_the_agent() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let processes = std::fs::read_link(format!("/proc/{}/ns/pid", container.first_process)).unwrap();
    let address = SocketAddr::from_abstract_name(format!("pipelens-agent {}", processes.display())).unwrap();
    let mut answer = Vec::new();
    UnixStream::connect_addr(&address).unwrap().read_to_end(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).ends_with("another container may not talk to the agent"));
    agent.goodbye().await;
}

#[tokio::test]
async fn a_secret_is_seen_by_its_command_alone() {
    // Root could read any process.
    let user = ["--userspec=4242:4242"];
    let Some(container) = Container::start_with(15, &user, |root| {
        std::fs::create_dir(root.join("work")).unwrap();
        std::os::unix::fs::chown(root.join("work"), Some(4242), Some(4242)).unwrap();
    }) else {
        return;
    };
    let agent = container.connect().await;
    let mut request = command("printf %s \"$TOKEN\" | sha256sum | cut -c1-8");
    request.variables = vec![("TOKEN".into(), SECRET.into())];
    let (report, first) = run(&agent, request).await;
    assert_eq!((report.exit_code, report.state, first.len()), (0, State::Clean, 9));
    let looks = "A=correct; for file in environ mem maps; do cat /proc/1/$file >/dev/null 2>&1 && echo \"$A\"ly $file; done; \
        for process in /proc/[0-9]*; do tr '\\000' '\\n' 2>/dev/null <$process/cmdline; tr '\\000' '\\n' 2>/dev/null <$process/environ; done; \
        grep -rs \"$A-horse\" /work /tmp /root /dev/shm; :";
    let (_, written) = run(&agent, command(looks)).await;
    assert!(!written.contains("correctly") && !written.contains("correct-"), "{written}");
    assert!(written.contains("serve"), "it has looked at the agent: {written}");
    let identity = agent.identity().await.unwrap();
    assert_eq!((identity.uid, identity.gid, identity.home.as_str()), (4242, 4242, "/"));
    agent.goodbye().await;
}

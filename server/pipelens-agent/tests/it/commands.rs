//! What a command sees, how it ends, and what it leaves.

use futures_util::FutureExt as _;
use pipelens_agent::client::AgentError;
use pipelens_agent::protocol::message::{AskRequest, Reason, RunRequest, ShellRequest, State, Then, WindowSize};
use tokio::io::AsyncWriteExt as _;

use crate::container::{Container, WaitsFor, Written, command, run};

/// Nothing here takes longer unless it hangs.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(60);

#[tokio::test]
async fn a_command_sees_the_image_and_its_variables_and_nothing_of_the_agent() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let mut request = command(
        "env; pwd; cat; readlink /proc/self/fd/0; ls -l /proc/self/fd | grep -c -e socket: -e anon_inode; exit 7",
    );
    request.variables = vec![("A".into(), "it's\n\"fine\"".into()), ("B".into(), String::new())];
    let (report, written) = run(&agent, request).await;
    assert_eq!((report.exit_code, report.state, report.was_short_of_memory), (7, State::Clean, false));
    let mut lines: Vec<&str> = written.lines().collect();
    lines.sort_unstable();
    let image = ["IMAGE=own", "PATH=/usr/sbin:/usr/bin:/bin"];
    assert_eq!(lines, ["\"fine\"", "/dev/null", "/work", "0", "A=it's", "B=", image[0], image[1], "PWD=/work"]);
    let identity = agent.identity().await.unwrap();
    assert_eq!((identity.uid, identity.variables.len(), identity.architecture.as_str()), (0, 2, arch()));
    agent.goodbye().await;
}

fn arch() -> &'static str {
    if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }
}

#[tokio::test]
async fn every_byte_of_both_streams_arrives_before_the_report() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let mut written = Written::default();
    let script = "head -c 5000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait; printf end";
    let report = agent.run(command(script), &mut written).await.unwrap();
    assert_eq!((report.exit_code, written.stdout.len(), written.stderr.len()), (0, 5_000_003, 3_000_000));
    agent.goodbye().await;
}

#[tokio::test]
async fn what_a_command_leaves_running_is_killed_and_the_next_one_cannot_tell() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let (report, _) =
        run(&agent, command("sleep 1000 & setsid sleep 1000 & (trap '' TERM HUP; sleep 1000) & echo")).await;
    assert_eq!((report.exit_code, report.state), (0, State::Clean));
    let (report, written) = run(&agent, command("cat /proc/[0-9]*/comm | grep -c sleep; touch /dev/shm/trace")).await;
    assert_eq!((report.state, written.as_str()), (State::Quiet, "0\n"));
    let (report, _) = run(&agent, command("rm /dev/shm/trace; kill -9 $$")).await;
    assert_eq!((report.exit_code, report.state), (137, State::Clean));
    agent.goodbye().await;
}

#[tokio::test]
async fn a_fork_bomb_ends_with_its_command() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    // The limit of processes is none for root.
    let bomb = "prlimit --nproc=300:300 setpriv --reuid 4242 --regid 4242 --clear-groups \
        sh -c 'bomb() { bomb & bomb & }; bomb 2>/dev/null'; exit 3";
    let request = command(bomb);
    let (report, _) = run(&agent, request).await;
    assert_eq!((report.exit_code, report.state), (3, State::Clean));
    let (_, written) = run(&agent, command("echo alive")).await;
    assert_eq!(written, "alive\n");
    agent.goodbye().await;
}

#[tokio::test]
async fn a_command_is_terminated_and_another_one_is_killed() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let (mut sink, started) = WaitsFor::new("ready");
    let script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let (report, ()) = tokio::join!(agent.run(command(script), &mut sink), async {
        started.await.unwrap();
        agent.terminate().await.unwrap();
    });
    assert_eq!(report.unwrap().exit_code, 5);
    assert!(sink.2.contains("bye\n"), "{}", sink.2);
    let (mut sink, started) = WaitsFor::new("ready");
    let script = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let (report, ()) = tokio::join!(agent.run(command(script), &mut sink), async {
        started.await.unwrap();
        agent.terminate().await.unwrap();
        agent.kill().await.unwrap();
    });
    assert_eq!(report.unwrap().exit_code, 137);
    agent.goodbye().await;
}

#[tokio::test]
async fn a_command_that_is_dropped_is_killed() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let (mut sink, started) = WaitsFor::new("ready");
    tokio::select! {
        _ = agent.run(command("echo ready; sleep 1000"), &mut sink) => panic!("it ended"),
        _ = started => {}
    }
    // Waits for the end of the first one.
    let (report, written) = run(&agent, command("echo next")).await;
    assert_eq!((report.exit_code, written.as_str()), (0, "next\n"));
    agent.goodbye().await;
}

#[tokio::test]
async fn a_command_that_cannot_start_says_why() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let mut request = command("true");
    request.workdir = "/missing".into();
    let why = async |request| match agent.run(request, &mut Written::default()).await {
        Err(AgentError::Failed(failure)) => (failure.reason, failure.sentence),
        other => panic!("{other:?}"),
    };
    assert_eq!(why(request).await, (Reason::NotFound, "the working directory `/missing` does not exist".into()));
    let mut request = command("true");
    request.shell = vec!["nosuchshell".into(), "-e".into()];
    assert_eq!(why(request).await, (Reason::NotFound, "the image has no `nosuchshell`".into()));
    let (report, _) = run(&agent, command("exit 4")).await;
    assert_eq!(report.exit_code, 4);
    agent.goodbye().await;
}

#[tokio::test]
async fn a_long_script_runs_and_leaves_no_trace() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let script = format!(": {}\necho long\n", "x".repeat(300_000));
    let (report, written) = run(&agent, command(&script)).await;
    assert_eq!((report.exit_code, report.state, written.as_str()), (0, State::Clean, "long\n"));
    let mut last = command("echo last");
    last.then = Then::End;
    assert_eq!(run(&agent, last).await.1, "last\n");
    agent.goodbye().await;
}

#[tokio::test]
async fn a_shell_has_a_terminal() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    let request = ShellRequest {
        command: vec!["sh".into()],
        variables: vec![("PS1".into(), "> ".into()), ("A".into(), "b".into())],
        workdir: "/tmp".into(),
        size: WindowSize { rows: 10, columns: 20 },
    };
    let mut shell = agent.shell(request).await.unwrap();
    shell.input.write_all(b"stty size; echo $A $PWD; tty </dev/tty >/dev/null && echo has-$((1 + 1))\n").await.unwrap();
    let mut shown = String::new();
    while !shown.contains("has-2\r\n") {
        shown.push_str(&String::from_utf8_lossy(&shell.output.next().await.unwrap().expect("it ended early")));
    }
    assert!(shown.contains("10 20\r\n") && shown.contains("b /tmp\r\n"), "{shown}");
    shell.input.resize(WindowSize { rows: 33, columns: 44 });
    shell.input.write_all(b"stty size; exit 6\n").await.unwrap();
    while let Some(piece) = shell.output.next().await.unwrap() {
        shown.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(shown.contains("33 44\r\n"), "{shown}");
    assert_eq!(shell.output.exit_code(), Some(6));
    agent.goodbye().await;
}

#[tokio::test]
async fn a_program_is_run_as_it_is_and_others_are_asked_beside_it() {
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    // These containers have the network of the machine.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let program = RunRequest { shell: ["sh", "-c", "sleep 1000"].map(Into::into).into(), script: None, ..command("") };
    let mut written = Written::default();
    let running = agent.run(program, &mut written);
    let asking = async {
        assert!(agent.listens(port).await.unwrap());
        let variables = vec![("A".into(), "own".into())];
        let ask = |line: &str| AskRequest {
            command: ["sh", "-c", line].map(Into::into).into(),
            variables: variables.clone(),
        };
        let asked = agent.ask(ask("echo $A; echo e >&2; exit 3")).await.unwrap();
        assert_eq!((asked.exit_code, asked.said.as_str()), (3, "own\ne\n"));
        let missing = AskRequest { command: vec!["/no/such".into()], variables: Vec::new() };
        let refused = agent.ask(missing).await.unwrap_err();
        assert!(matches!(refused, AgentError::Failed(ref it) if it.reason == Reason::NotFound), "{refused}");
        // One that is no longer wanted is killed.
        let endless = agent.ask(ask("echo $$ > /work/endless; exec sleep 1000"));
        tokio::select! {
            _ = endless => unreachable!("it does not end"),
            () = async { while agent.stat("/work/endless").await.unwrap().is_none() {} } => {}
        }
        let is_there = "read -r pid < /work/endless; [ -d /proc/$pid ]";
        while agent.ask(ask(is_there)).await.unwrap().exit_code == 0 {}
        drop(listener);
        assert!(!agent.listens(port).await.unwrap());
        agent.kill().await.unwrap();
    };
    let (report, ()) = tokio::join!(running, tokio::time::timeout(WITHIN, asking).map(Result::unwrap));
    assert_eq!(report.unwrap().exit_code, 137);
    agent.goodbye().await;
}

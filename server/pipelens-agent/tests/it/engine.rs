//! The static program as the first process of a real container engine's container, from an image without anything of ours.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use pipelens_agent::client::{Agent, Options};
use pipelens_agent::protocol::message::{self, PushRequest, State};

use crate::container::{Dialing, command, run};
use crate::registry::Registry;
use crate::skipped::skipped;

/// The daemon's test image.
const IMAGE: &str = "pipelens-test/busybox";

/// `cargo xtask agent` puts it there. `None` where something is missing.
fn static_agent() -> Option<PathBuf> {
    let program = std::env::var_os("PIPELENS_TEST_AGENT").map(PathBuf::from);
    if program.is_none() {
        skipped("a static agent", "PIPELENS_TEST_AGENT is not set");
    }
    program
}

fn docker(words: &[&str]) -> String {
    let host = std::env::var("PIPELENS_TEST_DOCKER_HOST").unwrap();
    let output = Command::new("docker").args(["-H", &host]).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

struct Removed(String);

impl Drop for Removed {
    fn drop(&mut self) {
        docker(&["rm", "-f", &self.0]);
    }
}

#[tokio::test]
async fn a_container_of_an_engine_runs_steps_and_saves_them_and_ends_with_its_client() {
    if std::env::var("PIPELENS_TEST_DOCKER_HOST").is_err() {
        return skipped("a container engine", "PIPELENS_TEST_DOCKER_HOST is not set");
    }
    let (Some(program), Some(registry)) = (static_agent(), Registry::start(false)) else { return };
    let program = format!("{}:/.pipelens/agent:ro", program.display());
    // In the machine's network, where the registry is; all capabilities but the usual are dropped by default.
    let words = ["run", "-d", "--network", "host", "-v", &program, "-w", "/work", "--entrypoint", "/.pipelens/agent"];
    let container = Removed(docker(&[&words[..], &[IMAGE, "serve", "--patience", "2"]].concat()));
    let host = std::env::var("PIPELENS_TEST_DOCKER_HOST").unwrap();
    let words = ["-H", &host, "exec", "-i", &container.0, "/.pipelens/agent", "connect"];
    let dialing = Dialing {
        program: "docker".into(),
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        after_bytes: Arc::new(AtomicU64::new(u64::MAX)),
    };
    let agent = Agent::connect(Arc::new(dialing), Options::default()).await.unwrap();
    agent.await_listing().await.unwrap();
    let (report, written) =
        run(&agent, command("echo built >result; rm /etc/hosts 2>/dev/null; rm -f /etc/passwd; echo done")).await;
    assert_eq!((report.exit_code, report.state, written.as_str()), (0, State::Clean, "done\n"));
    let repository = format!("http://{}/v2/some/results", registry.address);
    let target = message::Registry { repository, authorization: None, trusted: None, insecure: true };
    let layer = agent.push_layer(PushRequest { registry: target }).await.unwrap();
    let list = Command::new("tar").arg("-tzf").arg(registry.blob(&layer.digest)).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.ends_with("work/\nwork/result\n") && !list.contains("hosts") && !list.contains("dev/"), "{list}");
    // It reaches the bridge as well, but neither the agent nor the command itself.
    let (report, written) = run(&agent, command("test -e result && kill -9 -1; echo on")).await;
    assert_eq!((report.exit_code, written.as_str(), agent.connections()), (0, "on\n", 2));
    assert_eq!(docker(&["logs", &container.0]), "", "nothing is in the container's own log");
    drop(agent);
    docker(&["wait", &container.0]);
}

//! What the tests share: the binary, folders of their own, the Docker daemon they may use.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::skipped::skipped;
use test_client::Client;

pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pipelens"))
}

/// A project folder with one pipeline, a state folder, and nothing else of this machine.
pub(crate) struct Project {
    pub(crate) folder: TempDir,
    pub(crate) state: TempDir,
}

impl Project {
    pub(crate) fn new(pipeline: &str) -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap(), state: tempfile::tempdir().unwrap() };
        std::fs::write(project.file(), pipeline).unwrap();
        project
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("pipeline.yml")
    }

    pub(crate) fn uri(&self) -> String {
        format!("file://{}", self.file().display())
    }

    /// Starts a server whose runs use this runner, with the pipeline open.
    pub(crate) fn serve(&self, runner: Runner) -> Client {
        let docker_host = runner.docker_host();
        let environment =
            [("PIPELENS_STATE_DIR", self.state.path().to_str().unwrap()), ("DOCKER_HOST", docker_host.as_str())];
        let mut client = Client::start(
            binary(),
            &environment,
            json!({"runner": runner.name(), "severity": {"unpinned-image": "off"}}),
        );
        client.ignores = test_client::is_routine_or_outcome;
        client.open(&self.uri(), &std::fs::read_to_string(self.file()).unwrap());
        client
    }

    /// A command line of the binary in this project.
    pub(crate) fn command(&self, runner: Runner, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PIPELENS_STATE_DIR", self.state.path())
            .env("PIPELENS_SETTINGS", self.state.path().join("settings.yaml"))
            .env_remove("PIPELENS_RUNNER")
            .env("DOCKER_HOST", runner.docker_host());
        command
    }

    /// Runs the binary to its end: exit code, standard output, standard error.
    pub(crate) fn output(&self, runner: Runner, arguments: &[&str]) -> (i32, String, String) {
        texts(self.command(runner, arguments).output().unwrap())
    }
}

pub(crate) fn texts(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    Docker,
    Host,
}

impl Runner {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Host => "host",
        }
    }

    fn docker_host(self) -> String {
        match self {
            Self::Docker => docker_host().unwrap_or_default(),
            Self::Host => "unix:///nonexistent/docker.sock".to_owned(),
        }
    }
}

/// The daemon the tests may use. Without one they fail if `PIPELENS_REQUIRE_DOCKER` is set, else say that they skip.
pub(crate) fn docker_host() -> Option<String> {
    let host = std::env::var("PIPELENS_TEST_DOCKER_HOST").ok().filter(|host| !host.is_empty());
    if host.is_none() {
        assert!(std::env::var_os("PIPELENS_REQUIRE_DOCKER").is_none(), "PIPELENS_TEST_DOCKER_HOST is not set");
        skipped("a container engine", "no Docker daemon: set PIPELENS_TEST_DOCKER_HOST, or run `cargo xtask test`");
    }
    host
}

/// The runners this machine has.
pub(crate) fn runners() -> Vec<Runner> {
    let docker = docker_host().map(|_| Runner::Docker);
    docker.into_iter().chain([Runner::Host]).collect()
}

/// Asks the daemon the tests use, through its own client.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let host = docker_host().expect("only where there is a daemon");
    let output =
        Command::new("docker").arg("--host").arg(host).args(arguments).output().expect("the Docker client runs");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Returns everything in the daemon that belongs to one run.
pub(crate) fn left_of(run_id: &str) -> String {
    let label = format!("label=dev.pipelens.run={run_id}");
    let containers = docker(&["ps", "--all", "--quiet", "--filter", &label]);
    let images = docker(&["images", "--all", "--quiet", "--filter", &label]);
    let volumes = docker(&["volume", "ls", "--quiet", "--filter", &label]);
    format!("{containers}{images}{volumes}")
}

/// The graph most run tests use: seven steps with a fork and a join.
pub(crate) fn seven_steps() -> String {
    let steps = [
        ("setup", "", "echo one > state; echo set up"),
        ("compile", "setup", "cat state; echo two >> state; echo compiled"),
        ("unit", "compile", "cat state; echo unit >&2"),
        ("lint", "compile", "cat state; echo lint"),
        ("docs", "setup", "cat state; echo docs"),
    ];
    let mut text = r"name: seven
default_image: pipelens-test/busybox:latest
steps:
"
    .to_owned();
    for (key, parent, cmd) in steps {
        text.push_str(&format!("  - key: {key}\n    cmd: {cmd}\n"));
        if !parent.is_empty() {
            text.push_str(&format!("    builds_in: {parent}\n"));
        }
    }
    text.push_str(
        r"  - key: join
    cmd: echo joined
    depends_on: [unit, lint, docs]
",
    );
    text.push_str(
        r"  - key: publish
    cmd: echo published
    depends_on: join
",
    );
    text
}

/// The outcome of each step, in the order they ended.
pub(crate) fn outcomes(events: &[Value]) -> Vec<(String, String)> {
    let ends = events.iter().filter(|event| event["kind"] == "stepEnd");
    ends.map(|event| (text(&event["step"]), text(&event["outcome"]))).collect()
}

/// The lines of one step.
pub(crate) fn lines(events: &[Value], step: &str) -> Vec<String> {
    let logs = events.iter().filter(|event| event["kind"] == "stepLog" && event["step"] == step);
    logs.flat_map(|event| event["lines"].as_array().cloned().unwrap_or_default())
        .map(|line| text(&line["text"]))
        .collect()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The resident memory of a process where it can be asked for; 0 elsewhere.
pub(crate) fn resident_kib(process_id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

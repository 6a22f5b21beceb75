//! Makes plans by hand, runs them, and keeps what they said.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipelens_core::plan::{BootsFrom, DEFAULT_WORKDIR, Dependency, Plan, PlanStep};
use pipelens_engine::cache::{Budget, CacheRequest};
use pipelens_engine::deadlines::Deadlines;
use pipelens_engine::event::{BuildEvent, LogLine, Outcome, RunOutcome, StdStream};
use pipelens_engine::limits::OutputLimits;
use pipelens_engine::run::{RunRequest, log_file, run};
use pipelens_engine::runners::{self, RunnerSpec};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::skipped::skipped;

pub(crate) const BUSYBOX: &str = "pipelens-test/busybox";
const ROLE: &str = "PIPELENS_TEST_ROLE";
/// Nothing in these tests takes longer unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(300);

pub(crate) type Runner = &'static RunnerSpec;

pub(crate) fn docker_runner() -> Runner {
    runners::find("docker").unwrap()
}

pub(crate) fn host_runner() -> Runner {
    runners::find("host").unwrap()
}

/// A run that is about to be.
pub(crate) struct Bench {
    pub(crate) sources: TempDir,
    pub(crate) logs: TempDir,
    pub(crate) request: RunRequest,
}

/// A run that goes on.
pub(crate) struct Running {
    pub(crate) run_id: Uuid,
    pub(crate) cancel: CancellationToken,
    pub(crate) events: mpsc::Receiver<BuildEvent>,
    pub(crate) seen: Vec<BuildEvent>,
    task: JoinHandle<RunOutcome>,
    log_dir: PathBuf,
    keys: Vec<String>,
    _folders: (TempDir, TempDir),
}

/// A run that is over.
pub(crate) struct Ran {
    pub(crate) run_id: Uuid,
    pub(crate) outcome: RunOutcome,
    pub(crate) events: Vec<BuildEvent>,
    log_dir: PathBuf,
    keys: Vec<String>,
    _folders: (TempDir, TempDir),
}

pub(crate) fn docker_host() -> Option<String> {
    let host = std::env::var("PIPELENS_TEST_DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let required = std::env::var("PIPELENS_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
    assert!(host.is_some() || !required, "PIPELENS_TEST_DOCKER_HOST is not set");
    host
}

/// Whether tests with this runner can run here; says so if not.
pub(crate) fn is_available(runner: Runner) -> bool {
    let (available, need) = match runner.name() {
        "docker" => (docker_host().is_some(), "a container engine"),
        "kubernetes" => (crate::cluster::is_there(), "a Kubernetes cluster"),
        _ => (cfg!(unix), "Unix"),
    };
    if !available {
        skipped(need, &format!("{} is not available", runner.name()));
    }
    available
}

/// A step that boots from the test image.
pub(crate) fn step(key: &str, cmd: &str) -> PlanStep {
    PlanStep {
        shell: vec!["sh".to_owned()],
        key: key.into(),
        template: None,
        is_wanted: true,
        label: None,
        cmd: cmd.into(),
        boots_from: BootsFrom::Image(BUSYBOX.into()),
        after: Vec::new(),
        env: Arc::default(),
        timeout_seconds: None,
        workdir: DEFAULT_WORKDIR.into(),
        cache: None,
        cache_mounts: Vec::new(),
        reuse: Default::default(),
        git: false,
        runner: None,
        runner_args: None,
        artifacts: Vec::new(),
        artifacts_when: Default::default(),
        needs_artifacts: Vec::new(),
        secrets: Vec::new(),
        soft_fail: false,
        retry: 0,
    }
}

pub(crate) trait StepExt: Sized {
    fn after(self, steps: &[usize]) -> Self;
    fn builds_in(self, parent: usize) -> Self;
    fn image(self, image: &str) -> Self;
    fn env(self, name: &str, value: &str) -> Self;
    fn timeout(self, seconds: u64) -> Self;
}

impl StepExt for PlanStep {
    fn after(mut self, steps: &[usize]) -> Self {
        self.after.extend(steps.iter().map(|&step| Dependency { step, must_succeed: true }));
        self.after.sort();
        self.after.dedup();
        self
    }

    fn builds_in(self, parent: usize) -> Self {
        Self { boots_from: BootsFrom::Step(parent), ..self.after(&[parent]) }
    }

    fn image(self, image: &str) -> Self {
        Self { boots_from: BootsFrom::Image(image.into()), ..self }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        Arc::make_mut(&mut self.env).insert(name.into(), value.into());
        self
    }

    fn timeout(self, seconds: u64) -> Self {
        Self { timeout_seconds: Some(seconds), ..self }
    }
}

impl Bench {
    pub(crate) fn new(runner: Runner, steps: Vec<PlanStep>) -> Self {
        let sources = tempfile::tempdir().unwrap();
        let logs = tempfile::tempdir().unwrap();
        let request = RunRequest {
            host_env: Vec::new(),
            host_isolation: true,
            run_id: Uuid::now_v7(),
            plan: Plan { name: "test".into(), timeout_seconds: None, fail_fast: false, steps },
            runner,
            source_root: sources.path().to_owned(),
            sources: None,
            parallelism: Some(4),
            secrets: BTreeMap::new(),
            log_dir: logs.path().join("run"),
            artifacts_dir: None,
            shared_cache_mounts: Vec::new(),
            cache: None,
            cluster: None,
            docker_host: docker_host(),
            may_open_machine: false,
            deadlines: Deadlines::default(),
            limits: OutputLimits::default(),
        };
        Self { sources, logs, request }
    }

    pub(crate) fn docker(steps: Vec<PlanStep>) -> Self {
        Self::new(docker_runner(), steps)
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.sources.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn secret(mut self, name: &str, value: &str) -> Self {
        self.request.secrets.insert(name.into(), value.into());
        self
    }

    pub(crate) fn plan(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(&mut self.request.plan);
        self
    }

    /// Keeps results in a folder, and reads them.
    pub(crate) fn caching_in(mut self, state_dir: &Path) -> Self {
        self.request.cache = Some(CacheRequest {
            state_dir: state_dir.to_owned(),
            is_read: true,
            variables: Default::default(),
            budget: Budget::default(),
            shares_with_harmont: false,
            registry: None,
        });
        self
    }

    pub(crate) fn start(self) -> Running {
        self.start_with_room_for(1_000)
    }

    pub(crate) fn start_with_room_for(mut self, events: usize) -> Running {
        crate::cluster::adapt(&mut self.request);
        let (tx, events) = mpsc::channel(events);
        let cancel = CancellationToken::new();
        let keys = self.request.plan.steps.iter().map(|step| step.key.clone()).collect();
        let (run_id, log_dir) = (self.request.run_id, self.request.log_dir.clone());
        let task = tokio::spawn(run(self.request, tx, cancel.clone()));
        let _folders = (self.sources, self.logs);
        Running { run_id, cancel, events, seen: Vec::new(), task, log_dir, keys, _folders }
    }

    pub(crate) async fn run(self) -> Ran {
        self.start().finish().await
    }
}

impl Running {
    /// Waits for an event, keeping those before it.
    pub(crate) async fn wait_for(&mut self, is_it: impl Fn(&BuildEvent) -> bool) -> &BuildEvent {
        let wait = async {
            loop {
                let Some(event) = self.events.recv().await else {
                    panic!("the run ended before the event came: {:?}", self.seen);
                };
                self.seen.push(event);
                if is_it(self.seen.last().unwrap()) {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.expect("the event does not come");
        self.seen.last().unwrap()
    }

    /// Waits until a step has said this line.
    pub(crate) async fn wait_for_line(&mut self, text: &str) {
        self.wait_for(|event| matches!(event, BuildEvent::StepLog { lines, .. } if lines.iter().any(|line| line.text.as_ref() == text)))
            .await;
    }

    pub(crate) async fn finish(mut self) -> Ran {
        let rest = async {
            while let Some(event) = self.events.recv().await {
                self.seen.push(event);
            }
            self.task.await.unwrap()
        };
        let outcome = tokio::time::timeout(DEADLINE, rest).await.expect("the run does not end");
        let ran = Ran {
            run_id: self.run_id,
            outcome,
            events: self.seen,
            log_dir: self.log_dir,
            keys: self.keys,
            _folders: self._folders,
        };
        ran.check_invariants();
        ran
    }
}

impl Ran {
    /// What holds for every run, whatever happened in it.
    fn check_invariants(&self) {
        assert!(matches!(self.events.first(), Some(BuildEvent::BuildStart { .. })), "{:?}", self.events.first());
        assert!(matches!(self.events.last(), Some(BuildEvent::BuildEnd { .. })), "{:?}", self.events.last());
        for (step, key) in self.keys.iter().enumerate() {
            let ends =
                self.events.iter().filter(|event| matches!(event, BuildEvent::StepEnd { step: it, .. } if *it == step));
            assert_eq!(ends.count(), 1, "`{key}` ends once");
            let end = self.position(|event| matches!(event, BuildEvent::StepEnd { step: it, .. } if *it == step));
            let late = self.events[end..]
                .iter()
                .any(|event| matches!(event, BuildEvent::StepLog { step: it, .. } if *it == step));
            assert!(!late, "`{key}` speaks after its end");
        }
    }

    pub(crate) fn position(&self, is_it: impl Fn(&BuildEvent) -> bool) -> usize {
        self.events.iter().position(is_it).expect("there is no such event")
    }

    fn index(&self, key: &str) -> usize {
        self.keys.iter().position(|it| it == key).unwrap()
    }

    pub(crate) fn started_at(&self, key: &str) -> usize {
        let index = self.index(key);
        self.position(|event| matches!(event, BuildEvent::StepStart { step, .. } if *step == index))
    }

    pub(crate) fn ended_at(&self, key: &str) -> usize {
        let index = self.index(key);
        self.position(|event| matches!(event, BuildEvent::StepEnd { step, .. } if *step == index))
    }

    pub(crate) fn outcome_of(&self, key: &str) -> &Outcome {
        match &self.events[self.ended_at(key)] {
            BuildEvent::StepEnd { outcome, .. } => outcome,
            _ => unreachable!(),
        }
    }

    pub(crate) fn error_of(&self, key: &str) -> &str {
        match self.outcome_of(key) {
            Outcome::Errored(why) => why,
            other => panic!("`{key}` is not errored: {other:?}"),
        }
    }

    pub(crate) fn lines_of(&self, key: &str) -> Vec<&LogLine> {
        let index = self.index(key);
        let lines = self.events.iter().filter_map(|event| match event {
            BuildEvent::StepLog { step, lines } if *step == index => Some(lines),
            _ => None,
        });
        lines.flatten().collect()
    }

    pub(crate) fn text_of(&self, key: &str) -> Vec<&str> {
        self.lines_of(key).into_iter().map(|line| line.text.as_ref()).collect()
    }

    pub(crate) fn stream_of(&self, key: &str, stream: StdStream) -> Vec<&str> {
        self.lines_of(key).into_iter().filter(|line| line.stream == stream).map(|line| line.text.as_ref()).collect()
    }

    pub(crate) fn log_of(&self, key: &str) -> String {
        std::fs::read_to_string(self.log_path_of(key)).unwrap()
    }

    pub(crate) fn log_path_of(&self, key: &str) -> PathBuf {
        log_file(&self.log_dir, key)
    }

    pub(crate) fn notices(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|event| match event {
                BuildEvent::Notice { message } => Some(message.as_str()),
                _ => None,
            })
            .collect()
    }

    #[track_caller]
    pub(crate) fn assert_succeeded(&self) {
        let ends: Vec<_> = self.keys.iter().map(|key| (key, self.outcome_of(key), self.text_of(key))).collect();
        assert_eq!(self.outcome, RunOutcome::Succeeded, "{ends:#?}");
    }
}

/// Waits until a condition holds; the deadline is for a test that fails.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}

/// Returns what the docker client prints; its complaint is an error.
pub(crate) fn try_docker_client(arguments: &[&str]) -> Result<String, String> {
    let output = std::process::Command::new("docker")
        .env("DOCKER_HOST", docker_host().unwrap())
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[track_caller]
pub(crate) fn docker_client(arguments: &[&str]) -> String {
    try_docker_client(arguments).unwrap_or_else(|complaint| panic!("docker {arguments:?}: {complaint}"))
}

/// Whether the engine keeps its images in the store of containerd.
pub(crate) fn has_containerd_store() -> bool {
    docker_client(&["info", "--format", "{{.DriverStatus}}"]).contains("io.containerd.snapshotter")
}

/// Runs one test of this binary in a process of its own, whose environment the engine reads. The test finds its part in `role`.
pub(crate) async fn in_own_process(test: &str, role: &str, environment: &[(&str, &str)]) {
    let status = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, role)
        .envs(environment.iter().copied())
        .status();
    assert!(status.await.unwrap().success(), "{test} as `{role}`");
}

/// Tells a test of this binary, in a process of its own, which part it plays.
pub(crate) fn as_role<'c>(command: &'c mut std::process::Command, role: &str) -> &'c mut std::process::Command {
    command.arg("--nocapture").env(ROLE, role)
}

/// Returns which part a process plays that [`in_own_process`] has started.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Asserts that a run has left nothing in the engine.
#[track_caller]
pub(crate) fn assert_nothing_left(run_id: Uuid) {
    let filter = format!("label=dev.pipelens.run={run_id}");
    assert_eq!(docker_client(&["ps", "-aq", "--filter", &filter]), "", "containers of {run_id}");
    assert_eq!(docker_client(&["images", "-aq", "--filter", &filter]), "", "images of {run_id}");
    assert_eq!(docker_client(&["network", "ls", "-q", "--filter", &filter]), "", "networks of {run_id}");
    assert_eq!(docker_client(&["volume", "ls", "-q", "--filter", &filter]), "", "volumes of {run_id}");
}

/// A command that prints a line with the name of the volume at `/data`, for [`assert_volume_is_removed`].
pub(crate) const PRINT_VOLUME: &str = "grep ' /data ' /proc/self/mountinfo";

/// Asserts that the volume in this line of `/proc/self/mountinfo` is removed. Other tests may have volumes without a name as well.
pub(crate) async fn assert_volume_is_removed(mount: &str) {
    let name =
        mount.split("/volumes/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_else(|| panic!("{mount}"));
    let is_left = || docker_client(&["volume", "ls", "-q"]).lines().any(|line| line == name);
    eventually("the volume is removed", async || (!is_left()).then_some(())).await;
}

//! The driver: the only place that spawns.

mod steps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use pipelens_core::plan::Plan;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::docker::DockerRunner;
use crate::error::EngineError;
use crate::event::{BuildEvent, Outcome, RunOutcome};
use crate::host::HostRunner;
use crate::outbox::{self, Outbox};
use crate::runner::StepRunner;
use crate::secrets::{Needles, SHORTEST_VALUE_BYTES};
use crate::sources::Sources;

/// What to run, on what, and where its traces go.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Version 7, so that runs sort by time.
    pub run_id: Uuid,
    pub plan: Plan,
    pub runner: RunnerKind,
    /// The project folder whose sources go to the workdir.
    pub source_root: PathBuf,
    /// How many steps at once; `None`: the CPUs of the engine's machine.
    pub parallelism: Option<usize>,
    /// Values of the secrets the plan names; every one is masked in every output.
    pub secrets: BTreeMap<String, String>,
    /// One log file a step is written here; created if missing, readable by the user alone.
    pub log_dir: PathBuf,
    /// The Docker endpoint, if the user set one; else found as the Docker client finds it.
    pub docker_host: Option<String>,
}

/// The runner of steps that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunnerKind {
    Docker,
    Host,
}

/// Runs a plan to its end and says all of it in events, `BuildEnd` last. Cancel by the token; cleanup is done when this returns.
/// Log events are dropped, counted and said when the channel is full; all others wait for room.
///
/// Dropping the future cancels the run; its cleanup goes on.
pub async fn run(request: RunRequest, events: mpsc::Sender<BuildEvent>, cancel: CancellationToken) -> RunOutcome {
    let cancel = cancel.child_token();
    let _cancel_if_dropped = cancel.clone().drop_guard();
    match tokio::spawn(drive(request, events, cancel)).await {
        Ok(outcome) => outcome,
        Err(panic) => {
            tracing::error!(%panic, "the driver of a run panicked");
            RunOutcome::Failed
        }
    }
}

/// Returns the file that holds the whole output of a step.
///
/// A key may be any text: what is not safe in a file name is written as `%` and two digits, so that two keys never share a file.
pub fn log_file(log_dir: &Path, step_key: &str) -> PathBuf {
    let mut name = String::new();
    for byte in step_key.bytes() {
        // Upper-case letters too: `A` and `a` are one file on many disks.
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_') {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.len() > LONGEST_FILE_NAME {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(step_key);
        name.truncate(LONGEST_FILE_NAME - 17);
        name.push('~');
        name.extend(digest.iter().take(8).map(|byte| format!("{byte:02x}")));
    }
    log_dir.join(format!("{name}.log"))
}

/// File systems end at 255 bytes; the extension needs room too.
const LONGEST_FILE_NAME: usize = 200;

async fn drive(request: RunRequest, events: mpsc::Sender<BuildEvent>, cancel: CancellationToken) -> RunOutcome {
    let started = Instant::now();
    let (outbox, letters) = outbox::open();
    let delivery = tokio::spawn(outbox::deliver(letters, events));
    outbox.say(BuildEvent::BuildStart {
        run_id: request.run_id,
        started_at: Utc::now(),
        step_count: request.plan.steps.len(),
        runner: request.runner.name().to_owned(),
    });
    let opened = tokio::select! {
        biased;
        () = cancel.cancelled() => Ok(None),
        opened = Runners::open(&request, &outbox) => opened.map(Some),
    };
    let outcome = match opened {
        Ok(Some(runners)) => {
            let outcome = steps::run_all(&request, &runners, &outbox, &cancel).await;
            runners.close(&outbox).await;
            outcome
        }
        Ok(None) => end_without_start(
            &request.plan,
            &outbox,
            Outcome::Skipped("The run was cancelled before this step started.".into()),
            RunOutcome::Cancelled,
        ),
        Err(error) => could_not_open(&request.plan, &outbox, &error),
    };
    outbox.say(BuildEvent::BuildEnd { outcome, duration: started.elapsed() });
    drop(outbox);
    if let Err(panic) = delivery.await {
        tracing::error!(%panic, "the delivery of events panicked");
    }
    outcome
}

fn could_not_open(plan: &Plan, outbox: &Outbox, error: &EngineError) -> RunOutcome {
    match error {
        EngineError::Unreachable { .. } => {
            outbox.notice(error.sentence());
            let why = Outcome::Skipped("No container engine answered.".into());
            end_without_start(plan, outbox, why, RunOutcome::EngineUnreachable)
        }
        other => end_without_start(plan, outbox, Outcome::Errored(other.sentence()), RunOutcome::Failed),
    }
}

fn end_without_start(plan: &Plan, outbox: &Outbox, outcome: Outcome, run_outcome: RunOutcome) -> RunOutcome {
    for step in 0..plan.steps.len() {
        outbox.say(BuildEvent::StepEnd {
            step,
            outcome: outcome.clone(),
            duration: Default::default(),
            tail: Vec::new(),
        });
    }
    run_outcome
}

/// The runners a plan needs, opened before its first step.
struct Runners {
    default: RunnerKind,
    docker: Option<Arc<DockerRunner>>,
    host: Option<Arc<HostRunner>>,
    needles: Needles,
}

impl Runners {
    /// May be dropped at any await: what needs closing is made last.
    async fn open(request: &RunRequest, outbox: &Outbox) -> Result<Self, EngineError> {
        let needs = |name: &str| {
            request.plan.steps.iter().any(|step| step.runner.as_deref().unwrap_or(request.runner.name()) == name)
        };
        let (needles, too_short) = Needles::of(&request.secrets);
        for name in too_short {
            outbox.notice(format!(
                "Secret `{name}` is shorter than {SHORTEST_VALUE_BYTES} bytes and is not masked in the output."
            ));
        }
        let root = request.source_root.clone();
        let sources = tokio::task::spawn_blocking(move || Sources::scan(&root)).await;
        let sources = Arc::new(sources.unwrap_or_else(|panic| {
            let source = std::io::Error::other(panic.to_string());
            Err(EngineError::Sources { path: request.source_root.clone(), source })
        })?);
        outbox.notice(sources.summary());
        for step in request.plan.steps.iter().filter(|step| !step.artifacts.is_empty()) {
            outbox.notice(format!("The artifacts of `{}` are not copied back yet.", step.key));
        }
        let docker = if needs(RunnerKind::Docker.name()) {
            let host = request.docker_host.as_deref();
            Some(Arc::new(DockerRunner::open(host, request.run_id, Arc::clone(&sources), outbox).await?))
        } else {
            None
        };
        let host = if needs(RunnerKind::Host.name()) {
            Some(Arc::new(HostRunner::open(request.run_id, sources, outbox)?))
        } else {
            None
        };
        Ok(Self { default: request.runner, docker, host, needles })
    }

    fn get(&self, name: Option<&str>) -> Option<Arc<dyn StepRunner>> {
        match name.unwrap_or(self.default.name()) {
            "docker" => self.docker.clone().map(|runner| runner as Arc<dyn StepRunner>),
            "host" => self.host.clone().map(|runner| runner as Arc<dyn StepRunner>),
            _ => None,
        }
    }

    /// How many steps at once: the machine that does most of the work decides.
    fn parallelism(&self) -> usize {
        let docker = self.docker.as_ref().map(|runner| runner.parallelism());
        docker.or_else(|| self.host.as_ref().map(|runner| runner.parallelism())).unwrap_or(1)
    }

    async fn close(&self, outbox: &Outbox) {
        for runner in [self.get(Some("docker")), self.get(Some("host"))].into_iter().flatten() {
            for problem in runner.close().await {
                outbox.notice(problem);
            }
        }
    }
}

impl RunnerKind {
    fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Host => "host",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_never_share_a_log_file() {
        let folder = Path::new("/logs");
        assert_eq!(log_file(folder, "unit-tests"), Path::new("/logs/unit-tests.log"));
        assert_eq!(log_file(folder, "../a.b"), Path::new("/logs/%2e%2e%2fa%2eb.log"));
        assert_ne!(log_file(folder, "A"), log_file(folder, "a"));
        let (long, longer) = ("x".repeat(300), "x".repeat(301));
        assert_ne!(log_file(folder, &long), log_file(folder, &longer));
        assert!(log_file(folder, &long).file_name().unwrap().len() < 255);
    }
}

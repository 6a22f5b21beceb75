//! The driver: the only place that spawns.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pipelens_core::plan::Plan;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::event::{BuildEvent, RunOutcome};

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
pub async fn run(_request: RunRequest, _events: mpsc::Sender<BuildEvent>, _cancel: CancellationToken) -> RunOutcome {
    RunOutcome::Succeeded
}

/// Returns the file that holds the whole output of a step.
pub fn log_file(log_dir: &std::path::Path, step_key: &str) -> PathBuf {
    log_dir.join(format!("{step_key}.log"))
}

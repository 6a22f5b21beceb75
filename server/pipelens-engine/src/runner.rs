//! The contract of runners, and what is known about a runner before it is opened. Knows neither Docker nor the host.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use pipelens_core::runners;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cluster_settings::ClusterSettings;
use crate::deadlines::Deadlines;
use crate::error::EngineError;
use crate::logs::StepLogs;
use crate::mounts::Mounts;
use crate::snapshot::{CacheRegistry, Saved, Snapshot, SnapshotStore};
use crate::step_context::{Ending, StepContext};
use crate::stop::Interruption;

/// One kind of runner.
#[derive(Debug)]
pub struct RunnerSpec {
    /// The runner as pipeline authors know it.
    pub(crate) vocabulary: &'static runners::Runner,
    /// Opens it for a run. Changes nothing until [`Runner::begin`].
    pub(crate) open: Opener,
    /// Opens it to inspect what earlier runs have kept. Never runs a step.
    pub(crate) inspect: Opener,
}

pub(crate) type Opener = fn(OpenRequest) -> BoxFuture<'static, Result<OpenRunner, EngineError>>;

impl RunnerSpec {
    pub fn name(&self) -> &'static str {
        self.vocabulary.name
    }

    /// Returns where it runs commands, as Markdown.
    pub fn doc(&self) -> &'static str {
        self.vocabulary.doc
    }

    /// Returns the keys of `runner_args` that it supports.
    pub fn arguments(&self) -> &'static [&'static str] {
        self.vocabulary.arguments
    }

    /// Whether a file alone may not choose it.
    pub fn needs_consent(&self) -> bool {
        self.vocabulary.needs_consent
    }

    /// Whether it runs commands directly on the user's machine, with the user's rights.
    pub fn is_on_this_machine(&self) -> bool {
        self.vocabulary.is_on_this_machine
    }
}

impl PartialEq for RunnerSpec {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for RunnerSpec {}

/// What is needed to open a runner.
#[derive(Debug, Clone)]
pub(crate) struct OpenRequest {
    pub(crate) run_id: Uuid,
    pub(crate) source_root: PathBuf,
    /// Where snapshots are kept beyond the run; `None`: nothing outlives the run.
    pub(crate) state_dir: Option<PathBuf>,
    /// The names of cache mounts that all projects of the user share.
    pub(crate) shared_cache_mounts: Vec<String>,
    pub(crate) docker_host: Option<String>,
    pub(crate) cache_registry: Option<CacheRegistry>,
    #[cfg_attr(not(feature = "kubernetes"), expect(dead_code, reason = "only the runner of a cluster reads it"))]
    pub(crate) cluster: Option<ClusterSettings>,
    /// Whether steps on the host get namespaces of their own where the kernel allows it.
    pub(crate) host_isolation: bool,
    pub(crate) deadlines: Deadlines,
    /// Whether its capacity or the name of its store will be requested soon.
    pub(crate) is_asked_soon: bool,
}

impl OpenRequest {
    /// Returns the cache mounts that the run may use; `None`: nothing outlives it.
    pub(crate) fn mounts(&self) -> Option<Mounts> {
        let state_dir = self.state_dir.as_deref()?;
        Some(Mounts::new(state_dir, &self.source_root, &self.shared_cache_mounts))
    }
}

/// A runner with its snapshot store.
#[derive(Clone)]
pub(crate) struct OpenRunner {
    pub(crate) spec: &'static RunnerSpec,
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) snapshots: Arc<dyn SnapshotStore>,
}

/// The time between TERM and KILL when a command must end.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Runs single steps. All steps of a run that name a runner share it, concurrently.
///
/// - The command is run by `sh -c` with its standard input closed, in the step's working directory, with the image's or a clean
///   environment, the step's variables and its secrets, and sees the sources or what its parent left.
/// - Every byte it writes reaches the logs before `run_step` returns, also after a stop.
/// - A stop is obeyed in every phase: TERM to everything the command started, KILL after [`GRACE`].
/// - Nothing the step started runs when `run_step` returns; what is left to clean up is in `StepResult::tidy`.
/// - Variables, secrets and the command itself never become part of a snapshot.
/// - When this process is killed, the command ends within seconds.
#[async_trait]
pub(crate) trait Runner: Send + Sync {
    /// Returns how many steps it can run at once.
    async fn capacity(&self) -> usize;

    /// Creates what has to exist before the first step. After this, the runner has to be closed.
    fn begin(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Removes what processes that have exited left behind, and returns a sentence about it. May wait for a quiet moment, until `hurry`
    /// is cancelled.
    fn sweep_dead_owners(&self, hurry: CancellationToken) -> BoxFuture<'static, Option<String>>;

    async fn run_step(&self, context: &StepContext, logs: &mut StepLogs) -> StepResult;

    /// Copies the artifacts of a step whose result is taken from an earlier run; `context.base` is that result. Runs nothing.
    async fn hand_back_artifacts(&self, context: &StepContext) -> StepResult;

    /// Removes everything this run created except what is kept and what `remove_rest` removes, and returns a sentence for each thing that
    /// could not be removed. Has a time limit of its own.
    async fn close(&self) -> Vec<String>;

    /// Removes files that nothing else refers to, and whose removal would only delay the end of the run. Called after the run's last event.
    async fn remove_rest(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Removes a container or a directory, and returns the state of a failed step if it is kept. The driver runs it alongside the next steps and
/// waits for it before the run ends.
pub(crate) type Tidy = BoxFuture<'static, Option<Saved>>;

/// The result of a step.
pub(crate) struct StepResult {
    pub(crate) ending: Result<Ending, EngineError>,
    pub(crate) snapshot: Option<Snapshot>,
    /// The snapshot that outlives the run, made because the cache policy or a later run needs it.
    pub(crate) saved: Option<Saved>,
    pub(crate) tidy: Option<Tidy>,
    /// The digest of the image it started from, see [`BuildEvent::ImageResolved`](crate::event::BuildEvent::ImageResolved).
    pub(crate) digest: Option<String>,
}

/// How a step's command ended, and what it left.
pub(crate) struct Ran {
    pub(crate) ending: Ending,
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) saved: Option<Saved>,
}

impl Ran {
    pub(crate) fn without_snapshot(ending: Ending) -> Self {
        Self { ending, snapshot: None, saved: None }
    }

    /// Whether it is a failure of which nothing is saved yet.
    pub(crate) fn is_unsaved_failure(&self) -> bool {
        matches!(self.ending, Ending::Exited(code) if code != 0) && self.saved.is_none()
    }
}

impl StepResult {
    /// Returns the result of a step that was run, with what is left to clean up.
    pub(crate) fn of(ran: Result<Ran, EngineError>, tidy: Option<Tidy>, digest: Option<String>) -> Self {
        match ran {
            Ok(Ran { ending, snapshot, saved }) => Self { ending: Ok(ending), snapshot, saved, tidy, digest },
            Err(error) => Self { ending: Err(error), snapshot: None, saved: None, tidy, digest },
        }
    }

    /// Returns the result of a step that leaves nothing.
    pub(crate) fn ended(result: Result<Ending, Interruption>) -> Self {
        let ending = match result {
            Err(Interruption::Stopped) => Ok(Ending::Stopped),
            Err(Interruption::Failed(error)) => Err(error),
            Ok(ending) => Ok(ending),
        };
        Self { ending, snapshot: None, saved: None, tidy: None, digest: None }
    }
}

impl std::fmt::Debug for StepResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StepResult")
            .field("ending", &self.ending)
            .field("snapshot", &self.snapshot)
            .field("saved", &self.saved)
            .finish_non_exhaustive()
    }
}

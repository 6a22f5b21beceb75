//! What a runner promises. Knows neither Docker nor the host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use pipelens_core::plan::{Plan, PlanStep};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::artifacts::{Artifacts, Taken};
use crate::cache::{Outdated, Shelf};
use crate::error::EngineError;
use crate::event::{BuildEvent, Phase};
use crate::limits::Room;
use crate::logs::StepLogs;
use crate::outbox::Outbox;
use crate::secrets::Needles;
use crate::sources::Sources;

/// What stands between TERM and KILL when a command must end.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Carries out single steps. One runner serves all the steps of a run, at once.
///
/// - The command runs by `sh -c` with its standard input closed, in the step's working folder, with the image's or a clean
///   environment, the step's variables and its secrets, and sees the sources or what its parent left.
/// - Every byte it writes reaches the logs before `run_step` returns, also after a stop.
/// - A stop is obeyed in every phase: TERM to everything the command started, KILL after [`GRACE`].
/// - Nothing the step started runs when `run_step` returns; what is left to tidy is in `StepResult::tidy`.
/// - Variables, secrets and the command itself never become part of a snapshot.
/// - When this process is killed, the command ends within seconds.
#[async_trait]
pub(crate) trait StepRunner: Send + Sync {
    fn name(&self) -> &'static str;

    /// How many steps at once the machine behind this runner can bear.
    async fn parallelism(&self) -> usize;

    /// Names the machine that the snapshots of this runner are on; empty if it has no name or does not answer.
    async fn engine(&self) -> &str;

    /// Returns what tells an image from others of the same name; `None` if it is not here. Pulls nothing.
    async fn image_id(&self, reference: &str) -> Option<String>;

    /// Returns the snapshot that has a name the Harmont tools give, unless another workspace of ours made it. Whether somebody else may
    /// have is for the caller to bear.
    async fn shared_result(&self, _name: &str, _workspace: &str) -> Option<String> {
        None
    }

    /// Whether a snapshot of an earlier run is there to be booted from.
    async fn still_has(&self, place: &str) -> bool;

    /// Removes a snapshot of an earlier run. `false`: something needs it still.
    async fn remove_kept(&self, place: &str) -> bool;

    /// Removes snapshots that were made for a store and are not among those it knows, if nobody can be about to tell it.
    async fn remove_forgotten(&self, _store: &str, _known: &BTreeSet<String>) {}

    /// Returns the command line that gives a person a shell in what a step left, with its variables but without its secrets.
    fn shell_in(&self, place: &str, step: &PlanStep) -> String;

    async fn run_step(&self, context: &RunContext, logs: &mut StepLogs) -> StepResult;

    /// Removes everything this run made but what is kept, and says what could not be removed. Has a budget of its own.
    async fn close(&self) -> Vec<String>;
}

/// Everything a runner needs to know of one step.
#[derive(Debug, Clone)]
pub(crate) struct RunContext {
    pub(crate) plan: Arc<Plan>,
    pub(crate) index: usize,
    pub(crate) base: Base,
    pub(crate) keeps_snapshot: KeepSnapshot,
    pub(crate) heirs: Heirs,
    pub(crate) keeping: Keeping,
    pub(crate) sources: Arc<Sources>,
    /// What the step hands back when it has succeeded.
    pub(crate) artifacts: Option<Artifacts>,
    /// The user allows steps to get at the engine's machine.
    pub(crate) may_open_machine: bool,
    /// The secrets this step names, with their values.
    pub(crate) secrets: BTreeMap<String, String>,
    /// Where the files with the output are.
    pub(crate) log_dir: PathBuf,
    pub(crate) log_room: Room,
    pub(crate) needles: Needles,
    pub(crate) outbox: Outbox,
    pub(crate) stop: CancellationToken,
}

/// What a step starts from.
#[derive(Debug, Clone)]
pub(crate) enum Base {
    /// An image and the sources.
    Image(String),
    /// What a step left, with the sources in it if they are not today's.
    Snapshot(SnapshotRef, Option<Outdated>),
}

/// What of a step outlives the run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keeping {
    /// Whose it will be. `None`: nothing outlives the run.
    pub(crate) workspace: Option<String>,
    /// Whose memory will have it, see `Owner::name_of_store`.
    pub(crate) store: String,
    /// The policy of the step asks for its result.
    pub(crate) is_cached: bool,
    /// A further name for the result.
    pub(crate) shared_name: Option<String>,
    /// Where images of the sources are for later runs.
    pub(crate) shelf: Option<Shelf>,
}

/// A snapshot that outlives the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Saved {
    /// An image's id or a folder.
    pub(crate) place: String,
    /// What it takes beyond what it was made from.
    pub(crate) bytes: u64,
}

/// A filesystem that a step left for its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SnapshotRef {
    /// The image's id.
    Image(String),
    /// The id of the container that the only heir starts anew, with new processes and the same filesystem.
    Container(String),
    /// To be copied.
    Folder(PathBuf),
    /// The only heir's own from here on.
    OwnFolder(PathBuf),
}

/// Who starts from what a step leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heirs {
    /// One step that starts once, in the same working folder, by the same runner: it may have the filesystem itself, and
    /// nobody pays for a copy.
    Only,
    Several,
}

/// When the filesystem is kept: a step whose failure is soft has children after a failure too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepSnapshot {
    Never,
    AfterSuccess,
    AfterFailureToo,
}

/// How a command ended, as far as the runner can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Exited(i64),
    /// Brought down because the step's own time was over.
    TimedOut,
    /// Brought down, or never started, because of `RunContext::stop`.
    Stopped,
}

/// Removes a container, a folder, and returns the state of a failed step if it is kept. The driver runs it beside the next steps
/// and waits for it before the run ends.
pub(crate) type Tidy = BoxFuture<'static, Option<Saved>>;

pub(crate) struct StepResult {
    pub(crate) ending: Result<Ending, EngineError>,
    pub(crate) snapshot: Option<SnapshotRef>,
    /// What outlives the run, made because the policy or a later run asks for it.
    pub(crate) saved: Option<Saved>,
    pub(crate) tidy: Option<Tidy>,
    /// What the image was that it booted from, see [`BuildEvent::ImageResolved`].
    pub(crate) digest: Option<String>,
}

/// Work of a line of steps that is not worth a snapshot of its own. Making one costs a hundredth of it, or a few hundredths; doing
/// the work again costs all of it.
pub(crate) const WORTH_A_SNAPSHOT: Duration = Duration::from_secs(20);

impl RunContext {
    #[expect(clippy::indexing_slicing, reason = "the driver makes a context only for a step of the plan")]
    pub(crate) fn step(&self) -> &PlanStep {
        &self.plan.steps[self.index]
    }

    /// Returns the variables of the step, its secrets included, if each can be given to a process.
    pub(crate) fn variables(&self) -> Result<BTreeMap<&str, &str>, EngineError> {
        let variables: BTreeMap<&str, &str> =
            self.step().env.iter().chain(&self.secrets).map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for (name, value) in &variables {
            let bad = |reason| Err(EngineError::BadVariable { name: (*name).to_owned(), reason });
            if name.is_empty() || name.contains(['=', '\0', '\n']) {
                return bad("its name is empty or holds `=` or a line end");
            }
            if value.contains('\0') {
                return bad("its value holds a zero byte");
            }
        }
        Ok(variables)
    }

    pub(crate) fn say_artifacts(&self, artifacts: &Artifacts, taken: &Taken) {
        self.outbox.notice(artifacts.summary(&self.step().key, taken));
    }

    pub(crate) fn say_image(&self, image: &str, digest: &str) {
        let (image, digest) = (image.to_owned(), digest.to_owned());
        self.outbox.say(BuildEvent::ImageResolved { step: self.index, image, digest });
    }

    pub(crate) fn say_phase(&self, phase: Phase) {
        self.outbox.say(BuildEvent::StepPhase { step: self.index, phase });
    }

    /// Progress that the next progress makes worthless gives way when the listener is slow. Returns whether it was taken.
    pub(crate) fn offer_phase(&self, phase: &Phase) -> bool {
        self.outbox.offer(|| BuildEvent::StepPhase { step: self.index, phase: phase.clone() })
    }

    /// Waits until the command must end, and says how that is to be called. The step's time begins with its command.
    pub(crate) async fn time_to_stop(&self, started: Instant) -> Ending {
        let time_is_over = async {
            match self.step().timeout_seconds {
                Some(seconds) => tokio::time::sleep_until(started + Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Ending::Stopped,
            () = time_is_over => Ending::TimedOut,
        }
    }
}

impl KeepSnapshot {
    pub(crate) fn after(self, ending: Ending) -> bool {
        match (self, ending) {
            (Self::Never, _) | (_, Ending::Stopped) => false,
            (Self::AfterSuccess | Self::AfterFailureToo, Ending::Exited(0)) => true,
            (Self::AfterFailureToo, Ending::Exited(_) | Ending::TimedOut) => true,
            (Self::AfterSuccess, Ending::Exited(_) | Ending::TimedOut) => false,
        }
    }
}

/// Quotes a word for a person's shell.
pub(crate) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
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

//! Everything a runner needs to know about one step of a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipelens_core::plan::{CacheMount, Plan, PlanStep};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::artifacts::passing::Provider;
use crate::artifacts::{Artifacts, Taken, counted_files};
use crate::blocking;
use crate::cache::SourceImages;
use crate::error::EngineError;
use crate::event::{BuildEvent, Phase};
use crate::event_queue::EventQueue;
use crate::history::History;
use crate::limits::Room;
use crate::person::Terminal;
use crate::run_files::failed_artifact_folder;
use crate::secrets::SecretPatterns;
use crate::snapshot::{Outdated, Saved, Snapshot};
use crate::sources::{Delta, Sources};
use crate::stop::Interruption;

/// What every step has, unless it says otherwise: programs of all kinds ask for `CI`.
const IN_EVERY_STEP: [(&str, &str); 2] = [("CI", "true"), ("PIPELENS", "1")];

/// One step, about to run.
#[derive(Debug, Clone)]
pub(crate) struct StepContext {
    pub(crate) plan: Arc<Plan>,
    pub(crate) index: usize,
    pub(crate) base: Base,
    pub(crate) keeps_snapshot: KeepSnapshot,
    pub(crate) snapshot_use: SnapshotUse,
    pub(crate) keeping: Keeping,
    /// Without those that a cache mount hides.
    pub(crate) sources: Arc<Sources>,
    /// The paths below the sources that cache mounts hide.
    pub(crate) hidden: Arc<[PathBuf]>,
    /// The project's git history, if the step gets it.
    pub(crate) history: Option<Arc<History>>,
    /// The artifacts to copy, see `artifacts_after`.
    pub(crate) artifacts: Option<Artifacts>,
    /// The steps whose artifacts it gets.
    pub(crate) providers: Vec<Provider>,
    /// Whether a failure is not followed by another attempt.
    pub(crate) is_last_attempt: bool,
    /// The user allows steps to access the engine's machine.
    pub(crate) may_open_machine: bool,
    /// Variables of our own environment that steps on the host get.
    pub(crate) host_env: Vec<String>,
    /// The secrets that this step uses, with their values.
    pub(crate) secrets: BTreeMap<String, String>,
    /// Those that its services use.
    pub(crate) service_secrets: BTreeMap<String, String>,
    /// The directory of the log files.
    pub(crate) log_dir: PathBuf,
    pub(crate) log_room: Room,
    pub(crate) patterns: SecretPatterns,
    /// The terminal of a person who gets a shell in place of the command.
    pub(crate) terminal: Option<Arc<dyn Terminal>>,
    pub(crate) events: EventQueue,
    pub(crate) stop: CancellationToken,
}

/// What a step starts from.
#[derive(Debug, Clone)]
pub(crate) enum Base {
    /// An image, with the sources added.
    Image(String),
    /// What another step left, with its sources if they are not the current ones.
    Snapshot(Snapshot, Option<Outdated>),
}

/// What is kept of a step beyond the run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keeping {
    /// The workspace it belongs to. `None`: nothing outlives the run.
    pub(crate) workspace: Option<String>,
    /// The name of the cache that will record it, see `Owner::name_of_cache`.
    pub(crate) cache_name: String,
    /// Whether the step's policy asks for its result to be kept.
    pub(crate) is_cached: bool,
    /// A further name for the result.
    pub(crate) shared_name: Option<String>,
    /// Where images with the sources are kept for later runs.
    pub(crate) source_images: Option<SourceImages>,
}

/// How many steps start from what a step leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotUse {
    /// One step that starts once, in the same working directory, with the same runner, so it can get the filesystem itself instead of a
    /// copy.
    Once,
    Several,
}

/// When the filesystem is kept. A step with `soft_fail` may have children even after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepSnapshot {
    Never,
    AfterSuccess,
    AfterFailureToo,
}

/// How much unsaved work of a chain of steps is not worth a snapshot. Making one costs a few percent of that time; doing
/// the work again costs all of it.
const WORTH_A_SNAPSHOT: Duration = Duration::from_secs(20);

/// What becomes of the filesystem that a command has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Afterwards {
    /// Whether other steps of the run start from it.
    pub(crate) has_children: bool,
    /// Whether the only child gets it as it is.
    pub(crate) is_handed_on: bool,
    pub(crate) is_saved: bool,
}

/// How a command ended, as far as the runner can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Exited(i64),
    /// Ended because the step's own time limit was reached.
    TimedOut,
    /// Ended, or never started, because of `StepContext::stop`.
    Stopped,
}

impl StepContext {
    #[expect(clippy::indexing_slicing, reason = "the driver makes a context only for a step of the plan")]
    pub(crate) fn step(&self) -> &PlanStep {
        &self.plan.steps[self.index]
    }

    /// Returns the home of the step's command: what its variables say, or else its image.
    pub(crate) async fn home(
        &self,
        of_image: impl Future<Output = Result<String, EngineError>>,
    ) -> Result<String, EngineError> {
        match self.variables()?.get("HOME") {
            Some(home) => Ok((*home).to_owned()),
            None => of_image.await,
        }
    }

    /// Returns the variables of the step, including its secrets, or an error if one cannot be passed to a process.
    pub(crate) fn variables(&self) -> Result<BTreeMap<&str, &str>, EngineError> {
        let given = self.step().env.iter().chain(&self.secrets).map(|(name, value)| (name.as_str(), value.as_str()));
        let variables: BTreeMap<&str, &str> = IN_EVERY_STEP.into_iter().chain(given).collect();
        for (name, value) in &variables {
            let refuse = |reason| Err(EngineError::BadVariable { name: (*name).to_owned(), reason });
            if name.is_empty() || name.contains(['=', '\0', '\n']) {
                return refuse("its name is empty or contains `=` or a line break");
            }
            if value.contains('\0') {
                return refuse("its value contains a zero byte");
            }
        }
        Ok(variables)
    }

    /// Returns what has changed in the sources since a snapshot was made, except what the step cannot see.
    pub(crate) fn delta_since(&self, outdated: &Outdated) -> Delta {
        let mut delta = outdated.manifest.delta(&self.sources);
        delta.leave_alone(&self.hidden);
        delta
    }

    /// Returns the path at which a step has the project's git history: beside the sources.
    pub(crate) fn history_folder(&self) -> Option<String> {
        let root = self.plan.root(self.index)?;
        Some(format!("{}/.git", root.workdir.trim_end_matches('/')))
    }

    /// Reports that the step waits for a cache mount.
    pub(crate) fn report_wait(&self, mount: &CacheMount) {
        let (key, name) = (&self.step().key, &mount.name);
        self.events.notice(format!("`{key}` waits for the cache mount `{name}`, which another step uses."));
    }

    /// Returns the error for a step whose parent left nothing that this runner can start from.
    pub(crate) fn no_snapshot(&self) -> EngineError {
        let parent = self.step().parent().and_then(|parent| self.plan.steps.get(parent)).map(|step| step.key.clone());
        EngineError::NoSnapshot { parent: parent.unwrap_or_default() }
    }

    /// Returns the key of the step from which this one descends through `builds_in`, with all that build in it.
    pub(crate) fn root_key(&self) -> &str {
        self.plan.root(self.index).map_or("", |root| &root.key)
    }

    /// Returns the artifacts to copy after an ending. Those of a failed step that are only wanted after success go into a folder of their own in
    /// the run's directory: no other step gets them, but they may help to find the cause.
    pub(crate) fn artifacts_after(&self, ending: Ending) -> Option<Artifacts> {
        let artifacts = self.artifacts.as_ref()?;
        let when = self.step().artifacts_when;
        match ending {
            Ending::Exited(0) => when.applies(true).then(|| artifacts.clone()),
            Ending::Exited(_) | Ending::TimedOut if !self.is_last_attempt => None,
            Ending::Exited(_) | Ending::TimedOut if when.applies(false) => Some(artifacts.clone()),
            Ending::Exited(_) | Ending::TimedOut => {
                Some(artifacts.kept_apart(failed_artifact_folder(&self.log_dir, &self.step().key)))
            }
            Ending::Stopped => None,
        }
    }

    /// Returns what becomes of the filesystem after an ending. `can_be_handed_on`: the only child can run where the step ran. `unsaved`: the work
    /// since it was saved last.
    pub(crate) fn afterwards(&self, ending: Ending, can_be_handed_on: bool, unsaved: Duration) -> Afterwards {
        let has_children = self.keeps_snapshot.after(ending);
        let is_cached = self.keeping.is_cached && ending == Ending::Exited(0);
        let is_handed_on = has_children && can_be_handed_on;
        let is_worth_saving = self.keeping.workspace.is_some() && unsaved >= WORTH_A_SNAPSHOT;
        let is_needed = has_children && (!is_handed_on || is_worth_saving);
        Afterwards { has_children, is_handed_on, is_saved: is_cached || is_needed }
    }

    /// Returns what a later run may start from. Steps of this run may start from what a failure left, but it is no result for later runs.
    pub(crate) fn kept(&self, saved: Option<Saved>, ending: Ending) -> Option<Saved> {
        saved.filter(|_| self.is_kept_after(ending))
    }

    /// Whether what a step leaves that has ended like this is kept for later runs.
    pub(crate) fn is_kept_after(&self, ending: Ending) -> bool {
        self.keeping.workspace.is_some() && ending == Ending::Exited(0)
    }

    /// Returns the only child of a step that may get its filesystem as it is.
    pub(crate) fn only_child(&self) -> Option<&PlanStep> {
        let mut children = self.plan.steps.iter().filter(|step| step.parent() == Some(self.index));
        children.next().filter(|_| self.snapshot_use == SnapshotUse::Once)
    }

    /// Reports artifacts that could not be copied after a failure, which stays the result of the step.
    pub(crate) fn forgive_after_failure(
        &self,
        ending: Ending,
        taken: Result<(), Interruption>,
    ) -> Result<(), Interruption> {
        match taken {
            Err(Interruption::Failed(error)) if ending != Ending::Exited(0) => {
                let key = &self.step().key;
                self.events.notice(format!("The artifacts of `{key}` could not be copied. {}", error.sentence()));
                Ok(())
            }
            Err(Interruption::Stopped) if ending != Ending::Exited(0) => Ok(()),
            other => other,
        }
    }

    /// Returns the artifacts that this step needs, with their steps.
    pub(crate) async fn needed_artifacts(&self) -> Result<Vec<(Provider, Arc<Sources>)>, EngineError> {
        let mut needed = Vec::new();
        for provider in &self.providers {
            let own = provider.clone();
            let panicked = |source| EngineError::Sources { path: provider.folder.clone(), source };
            match blocking::run(move |_| own.artifacts()).await.map_err(panicked)?? {
                Some(artifacts) => {
                    let artifacts = self.without_hidden(provider, artifacts);
                    needed.push((provider.clone(), Arc::new(artifacts)));
                }
                None => {
                    let (key, from) = (&self.step().key, &provider.key);
                    self.events.notice(format!("`{key}` runs without the artifacts of `{from}`, which failed."));
                }
            }
        }
        Ok(needed)
    }

    /// Leaves out artifacts that a cache mount would hide, and reports it.
    fn without_hidden(&self, provider: &Provider, artifacts: Sources) -> Sources {
        let mounts = mounts_below(self.step(), &self.step().workdir);
        if mounts.is_empty() {
            return artifacts;
        }
        let seen = artifacts.without_below(&mounts);
        let hidden = artifacts.files.saturating_sub(seen.files);
        if hidden > 0 {
            let (key, files, from) = (&self.step().key, counted_files(hidden), &provider.key);
            self.events.notice(format!("A cache mount of `{key}` hides {files} of the artifacts of `{from}`."));
        }
        seen
    }

    pub(crate) fn report_artifacts(&self, artifacts: &Artifacts, taken: &Taken) {
        if artifacts.is_kept_apart {
            if taken.files > 0 {
                let (key, folder) = (&self.step().key, artifacts.target.display());
                self.events.notice(format!("`{key}` failed; what matches its artifacts is in `{folder}`."));
            }
            return;
        }
        self.events.notice(artifacts.summary(&self.step().key, taken));
        if taken.files > 0 {
            self.events.send(BuildEvent::StepArtifacts {
                step: self.index,
                folder: artifacts.target.clone(),
                files: taken.files,
                bytes: taken.bytes,
            });
        }
    }

    pub(crate) fn report_image(&self, image: &str, digest: &str) {
        let (image, digest) = (image.to_owned(), digest.to_owned());
        self.events.send(BuildEvent::ImageResolved { step: self.index, image, digest });
    }

    pub(crate) fn report_phase(&self, phase: Phase) {
        self.events.send(BuildEvent::StepPhase { step: self.index, phase });
    }

    /// Reports progress that is dropped if the listener is slow, since the next report replaces it. Returns whether it was queued.
    pub(crate) fn offer_phase(&self, phase: &Phase) -> bool {
        self.events.offer(|| BuildEvent::StepPhase { step: self.index, phase: phase.clone() })
    }

    /// Waits until the command must end, and returns the reason. The step's time limit begins with its command.
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

/// Returns the paths of a step's cache mounts below a folder, relative to it.
pub(crate) fn mounts_below(step: &PlanStep, folder: &str) -> Vec<PathBuf> {
    let below = |mount: &CacheMount| Some(Path::new(&mount.path).strip_prefix(folder).ok()?.to_owned());
    step.cache_mounts.iter().filter_map(below).collect()
}

//! Steps as processes of this machine, each in a private copy of the sources. For machines without a container engine.

mod copy;
mod kept;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod strays;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use pipelens_core::arguments::services;
use pipelens_core::plan::{DEFAULT_WORKDIR, PlanStep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::artifacts::Artifacts;
use crate::error::EngineError;
use crate::error::counted;
use crate::files::ProjectFolder;
use crate::host::kept::KeptFolders;
use crate::logs::StepLogs;
use crate::outbox::Outbox;
use crate::owner::Owner;
use crate::private;
use crate::runner::{Base, Ending, Heirs, RunContext, Saved, SnapshotRef, StepResult, StepRunner, shell_word};

/// In the run's folder: whose it is.
const OWNER_FILE: &str = "owner";
const MAX_OWNER_BYTES: u64 = 4 * 1024;
const FOLDER_PREFIX: &str = "pipelens-";

#[derive(Debug)]
pub(crate) struct HostRunner {
    /// Everything this run makes is in here, and goes with it.
    folder: PathBuf,
    /// The snapshots that outlive the run; nothing does without it.
    kept: Option<KeptFolders>,
}

impl HostRunner {
    /// Makes the run's folder and removes those of dead owners.
    pub(crate) fn open(run_id: Uuid, state_dir: Option<&Path>, outbox: &Outbox) -> Result<Self, EngineError> {
        if !cfg!(unix) {
            return Err(EngineError::HostUnsupported);
        }
        let owner = Owner::this_process();
        let swept = sweep_dead_owners(&std::env::temp_dir(), &owner);
        if swept > 0 {
            outbox.notice(format!("Removed what ended processes left behind: {}.", counted(swept, "folder")));
        }
        let folder = std::env::temp_dir().join(format!("{FOLDER_PREFIX}{run_id}"));
        let error =
            |source| EngineError::File { doing: "Creating the folder of the run", path: folder.clone(), source };
        // New, or it is not ours: anybody may make a folder there.
        private::create_new_folder(&folder).map_err(error)?;
        private::write(&folder.join(OWNER_FILE), owner.to_string().as_bytes()).map_err(error)?;
        Ok(Self { folder, kept: state_dir.map(|folder| KeptFolders::new(folder, run_id)) })
    }

    /// A runner that runs nothing: it knows what earlier runs have left.
    pub(crate) fn for_looking(state_dir: &Path) -> Self {
        Self { folder: PathBuf::new(), kept: Some(KeptFolders::new(state_dir, Uuid::nil())) }
    }

    #[cfg(unix)]
    async fn carry_out(&self, context: &RunContext, logs: &mut StepLogs, home: &Path) -> Result<Ending, EngineError> {
        if context.step().runner_args.as_ref().is_some_and(|arguments| !services(arguments).is_empty()) {
            return Err(EngineError::ServicesOnHost);
        }
        let workspace = home.join("workspace");
        let workdir = folder_on_host(&workspace, &context.step().workdir)?;
        let copied = self.copy(context, workspace, workdir.clone());
        tokio::select! {
            biased;
            () = context.stop.cancelled() => return Ok(Ending::Stopped),
            copied = copied => copied?,
        }
        process::run(context, logs, home, &workdir).await
    }

    #[cfg(not(unix))]
    async fn carry_out(&self, _: &RunContext, _: &mut StepLogs, _: &Path) -> Result<Ending, EngineError> {
        Err(EngineError::HostUnsupported)
    }

    /// Copies a step's folder to where it outlives the run; nothing if the step is stopped meanwhile.
    async fn save(&self, workspace: PathBuf, stop: &CancellationToken) -> Result<Option<Saved>, EngineError> {
        let Some(kept) = self.kept.clone() else { return Ok(None) };
        let stop = stop.clone();
        let saved = tokio::task::spawn_blocking(move || {
            let target = kept.new_folder().map_err(|source| EngineError::File {
                doing: "Creating the folder of snapshots",
                path: kept.folder.clone(),
                source,
            })?;
            copy::tree(&workspace, &target, &stop)?;
            Ok(kept::saved(&target))
        });
        match saved.await {
            Ok(result) => result.map(Some),
            Err(panic) => Err(EngineError::Spawn { source: std::io::Error::other(panic.to_string()) }),
        }
    }

    /// Fills the step's private folder.
    #[cfg(unix)]
    async fn copy(&self, context: &RunContext, workspace: PathBuf, workdir: PathBuf) -> Result<(), EngineError> {
        use crate::event::Phase;

        let stop = context.stop.clone();
        let work: Box<dyn FnOnce() -> Result<(), EngineError> + Send> = match &context.base {
            Base::Image(_) => {
                let sources = Arc::clone(&context.sources);
                context.say_phase(Phase::SendingSources { files: sources.files, bytes: sources.bytes });
                Box::new(move || copy::sources(&sources, &workdir, &stop))
            }
            Base::Snapshot(SnapshotRef::Folder(parent), outdated) => {
                let parent = parent.clone();
                let renewal = outdated.as_ref().map(|outdated| {
                    let folder = folder_on_host(&workspace, &outdated.folder)?;
                    Ok::<_, EngineError>((outdated.manifest.delta(&context.sources), folder))
                });
                let renewal = renewal.transpose()?;
                Box::new(move || {
                    copy::tree(&parent, &workspace, &stop)?;
                    if let Some((delta, folder)) = renewal {
                        copy::renew(&delta, &folder, &stop)?;
                    }
                    copy::create_folder(&workdir)
                })
            }
            Base::Snapshot(SnapshotRef::OwnFolder(parent), _) => {
                let parent = parent.clone();
                Box::new(move || {
                    copy::take_over(&parent, &workspace)?;
                    copy::create_folder(&workdir)
                })
            }
            Base::Snapshot(SnapshotRef::Image(id) | SnapshotRef::Container(id), _) => {
                return Err(EngineError::NoSnapshot { parent: id.clone() });
            }
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(panic) => Err(EngineError::Spawn { source: std::io::Error::other(panic.to_string()) }),
        }
    }
}

#[async_trait]
impl StepRunner for HostRunner {
    fn name(&self) -> &'static str {
        "host"
    }

    async fn parallelism(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    async fn engine(&self) -> &str {
        "host"
    }

    /// There are no images here; every step starts from the same machine.
    async fn image_id(&self, _reference: &str) -> Option<String> {
        Some("host".to_owned())
    }

    async fn still_has(&self, place: &str) -> bool {
        tokio::fs::try_exists(place).await.unwrap_or(false)
    }

    async fn remove_kept(&self, place: &str) -> bool {
        let (Some(kept), place) = (self.kept.clone(), PathBuf::from(place)) else { return false };
        tokio::task::spawn_blocking(move || kept.remove(&place)).await.unwrap_or(false)
    }

    async fn remove_forgotten(&self, _store: &str, known: &BTreeSet<String>) {
        let Some(kept) = self.kept.clone() else { return };
        let known = known.clone();
        tokio::task::spawn_blocking(move || kept.remove_forgotten(&known)).await.ok();
    }

    fn shell_in(&self, place: &str, step: &PlanStep) -> String {
        let variables = step.env.iter().map(|(name, value)| format!("{} ", shell_word(&format!("{name}={value}"))));
        let folder = folder_on_host(Path::new(place), &step.workdir).unwrap_or_else(|_| place.into());
        format!("cd {} && env {}sh", shell_word(&folder.to_string_lossy()), variables.collect::<String>())
    }

    async fn run_step(&self, context: &RunContext, logs: &mut StepLogs) -> StepResult {
        // Of its own for every attempt: a failed one must not show in the next.
        let home = self.folder.join(format!("{}-{}", context.index, Uuid::new_v4().simple()));
        let mut ending = self.carry_out(context, logs, &home).await;
        if matches!(ending, Ok(Ending::Exited(0)))
            && let Some(artifacts) = &context.artifacts
            && let Err(error) = take_artifacts(context, artifacts, &home).await
        {
            ending = Err(error);
        }
        let mut saved = None;
        if context.keeping.is_cached && matches!(ending, Ok(Ending::Exited(0))) {
            match self.save(home.join("workspace"), &context.stop).await {
                Ok(result) => saved = result,
                Err(error) => ending = Err(error),
            }
        }
        let is_kept = ending.as_ref().is_ok_and(|ending| context.keeps_snapshot.after(*ending));
        if is_kept {
            let workspace = home.join("workspace");
            let snapshot = match context.heirs {
                Heirs::Only => SnapshotRef::OwnFolder(workspace),
                Heirs::Several => SnapshotRef::Folder(workspace),
            };
            return StepResult { ending, snapshot: Some(snapshot), saved, tidy: None, digest: None };
        }
        let failed = matches!(ending, Ok(Ending::Exited(code)) if code != 0);
        let kept = self.kept.clone().filter(|_| failed && context.keeping.workspace.is_some());
        let tidy = async move {
            // What stays goes with the run's folder.
            tokio::task::spawn_blocking(move || {
                let state = kept.and_then(|kept| kept.take(&home.join("workspace")).ok());
                copy::remove(&home).ok();
                state
            })
            .await
            .ok()
            .flatten()
        };
        StepResult { ending, snapshot: None, saved, tidy: Some(tidy.boxed()), digest: None }
    }

    async fn close(&self) -> Vec<String> {
        let folder = self.folder.clone();
        let removed = tokio::task::spawn_blocking(move || copy::remove(&folder)).await;
        match removed {
            Ok(Ok(())) => Vec::new(),
            Ok(Err(error)) => vec![format!("The folder `{}` could not be removed: {error}.", self.folder.display())],
            Err(panic) => vec![format!("The folder `{}` could not be removed: {panic}.", self.folder.display())],
        }
    }
}

async fn take_artifacts(context: &RunContext, artifacts: &Artifacts, home: &Path) -> Result<(), EngineError> {
    let workdir = folder_on_host(&home.join("workspace"), &context.step().workdir)?;
    let (own, folder) = (artifacts.clone(), workdir.clone());
    let taken = tokio::task::spawn_blocking(move || own.take_from_folder(&folder)).await;
    let taken = taken.unwrap_or_else(|panic| Err(std::io::Error::other(panic.to_string())));
    let failed = |source| EngineError::File { doing: "Writing the artifacts", path: workdir, source };
    context.say_artifacts(artifacts, &taken.map_err(failed)?);
    Ok(())
}

/// Returns the folder of this machine that stands for a working folder of the plan.
fn folder_on_host(workspace: &Path, workdir: &str) -> Result<PathBuf, EngineError> {
    let outside = || EngineError::WorkdirOutside { workdir: workdir.to_owned() };
    let inside = Path::new(workdir).strip_prefix(DEFAULT_WORKDIR).map_err(|_| outside())?;
    let climbs = inside.components().any(|part| !matches!(part, std::path::Component::Normal(_)));
    if climbs { Err(outside()) } else { Ok(workspace.join(inside)) }
}

/// Removes folders of runs whose process no longer lives, and says how many.
fn sweep_dead_owners(temporary: &Path, observer: &Owner) -> usize {
    let Ok(entries) = std::fs::read_dir(temporary) else { return 0 };
    let folders = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX));
    let is_dead = |folder: &PathBuf| {
        // Everybody may put something there; what others did is theirs.
        let own = private::is_own_folder(folder).then(|| ProjectFolder::open(folder)).and_then(Result::ok);
        let owner = own.and_then(|own| own.read_unlinked_text(Path::new(OWNER_FILE), MAX_OWNER_BYTES).ok());
        owner.and_then(|owner| owner.parse::<Owner>().ok()).is_some_and(|owner| owner.is_dead(observer))
    };
    folders.map(|entry| entry.path()).filter(is_dead).filter(|folder| copy::remove(folder).is_ok()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_folder_stays_in_the_copy() {
        let copy = Path::new("/copy");
        assert_eq!(folder_on_host(copy, "/workspace").unwrap(), Path::new("/copy"));
        assert_eq!(folder_on_host(copy, "/workspace/web").unwrap(), Path::new("/copy/web"));
        for outside in ["/", "/srv", "/workspace2", "/workspace/../etc", "workspace"] {
            assert!(folder_on_host(copy, outside).is_err(), "{outside}");
        }
    }

    #[test]
    fn a_dead_owners_folder_is_removed_and_nothing_else() {
        let temporary = tempfile::tempdir().unwrap();
        let me = Owner::this_process();
        let folder = |name: &str, owner: &str| {
            let folder = temporary.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join(OWNER_FILE), owner).unwrap();
            folder
        };
        let mine = folder("pipelens-1", &me.to_string());
        let started_earlier = format!("{}0", me.to_string().trim_end_matches(char::is_numeric));
        let dead = folder("pipelens-2", &started_earlier);
        let strange = folder("pipelens-3", "who knows");
        assert_eq!(sweep_dead_owners(temporary.path(), &me), 1);
        assert!(mine.exists() && !dead.exists() && strange.exists());
    }

    /// The folder for such folders is everybody's.
    #[cfg(unix)]
    #[test]
    fn what_others_have_put_beside_our_folders_holds_nothing_up() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let temporary = tempfile::tempdir().unwrap();
        let me = Owner::this_process();
        let dead = format!("{}0", me.to_string().trim_end_matches(char::is_numeric));
        let path = |name: &str| temporary.path().join(name);
        for name in ["pipelens-pipe", "pipelens-other"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        mknodat(CWD, path("pipelens-pipe/owner"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        std::fs::create_dir(path("elsewhere")).unwrap();
        std::fs::write(path("elsewhere/owner"), &dead).unwrap();
        std::os::unix::fs::symlink("elsewhere", path("pipelens-link")).unwrap();
        std::fs::write(path("dead"), &dead).unwrap();
        std::os::unix::fs::symlink("../dead", path("pipelens-other/owner")).unwrap();
        assert_eq!(sweep_dead_owners(temporary.path(), &me), 0);
    }
}

//! Keeps snapshots beyond a run as directories on this machine, in the user's state directory. A file next to each says who made it,
//! until a cache has recorded it. Runs nothing.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::sync::OnceLock;

use async_trait::async_trait;
use pipelens_core::plan::PlanStep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::blocking;
use crate::error::EngineError;
#[cfg(unix)]
use crate::host::view::{Location, View};
use crate::host::{copy, workdir};
use crate::limits;
use crate::mounts::Mounts;
use crate::owner::Owner;
use crate::private;
use crate::snapshot::{Removal, Saved, Snapshot, SnapshotStore, shell_word};
use crate::stop::Interruption;

/// The file next to a directory, with the process and the run that made it.
const KEEPER: &str = "keeper";

/// The name of the only store on this machine.
const NAME: &str = "host";

/// What a step of this runner leaves for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostSnapshot {
    /// The directory is copied for each step that starts from it.
    Copied(PathBuf),
    /// The directory is handed over to the only step that starts from it.
    Moved(PathBuf),
}

#[derive(Debug)]
pub(super) struct FolderStore {
    kept: Option<KeptFolders>,
    mounts: Option<Mounts>,
    /// How the run's steps see their workspace, and where.
    #[cfg(unix)]
    seen: OnceLock<(View, PathBuf)>,
}

/// The directory that contains the kept directories.
#[derive(Debug, Clone)]
struct KeptFolders {
    folder: PathBuf,
    run_id: String,
}

impl FolderStore {
    /// Without a state directory, nothing is kept.
    pub(super) fn new(state_dir: Option<&Path>, run_id: Uuid, mounts: Option<Mounts>) -> Self {
        let kept =
            |state_dir: &Path| KeptFolders { folder: state_dir.join("host-snapshots"), run_id: run_id.to_string() };
        Self {
            kept: state_dir.map(kept),
            mounts,
            #[cfg(unix)]
            seen: OnceLock::new(),
        }
    }

    /// Sets how a person's shell sees a kept directory: as its step did.
    #[cfg(unix)]
    pub(super) fn show(&self, view: &View, workspace: PathBuf) {
        self.seen.get_or_init(|| (view.clone(), workspace));
    }

    /// Copies a step's directory to the store.
    pub(super) fn copy(&self, workspace: &Path, stop: &CancellationToken) -> Result<Option<Saved>, Interruption> {
        let Some(kept) = &self.kept else { return Ok(None) };
        let doing = "Creating the directory for snapshots";
        let failed = |source| EngineError::File { doing, path: kept.folder.clone(), source };
        let target = kept.new_folder().map_err(failed)?;
        if let Err(interruption) = copy::tree(workspace, &target, stop) {
            kept.remove(&target);
            return Err(interruption);
        }
        Ok(Some(saved(&target)))
    }

    /// Moves a step's directory to the store, or copies it if that is on another disk.
    pub(super) fn take_or_copy(
        &self,
        workspace: &Path,
        stop: &CancellationToken,
    ) -> Result<Option<Saved>, Interruption> {
        let Some(kept) = &self.kept else { return Ok(None) };
        let moved = kept.new_folder().and_then(|target| {
            let moved = std::fs::rename(workspace, &target);
            if moved.is_err() {
                std::fs::remove_file(target.with_extension(KEEPER)).ok();
            }
            moved.map(|()| saved(&target))
        });
        match moved {
            Ok(saved) => Ok(Some(saved)),
            Err(_) => self.copy(workspace, stop),
        }
    }

    /// Moves a step's directory to the store.
    pub(super) fn take(&self, workspace: &Path) -> Option<Saved> {
        self.kept.as_ref()?.take(workspace).ok()
    }
}

#[async_trait]
impl SnapshotStore for FolderStore {
    async fn name(&self) -> &str {
        NAME
    }

    /// There are no images on the host; every step starts from the same machine.
    async fn resolve_image(&self, _reference: &str) -> Option<String> {
        Some(NAME.to_owned())
    }

    fn adopt(&self, place: &str) -> Snapshot {
        Snapshot::new(HostSnapshot::Copied(place.into()))
    }

    async fn exists(&self, place: &str) -> Option<bool> {
        Some(tokio::fs::try_exists(place).await.unwrap_or(false))
    }

    async fn remove(&self, place: &str) -> Removal {
        let (Some(kept), place) = (self.kept.clone(), PathBuf::from(place)) else { return Removal::Refused };
        Removal::of(blocking::run(move |_| kept.remove(&place)).await.unwrap_or(false))
    }

    fn mounts(&self) -> Option<&Mounts> {
        self.mounts.as_ref()
    }

    async fn remove_mount(&self, id: &str) -> bool {
        let Some(lease) = self.mounts.as_ref().and_then(|mounts| mounts.take(id)) else { return false };
        let removed = move |_: &CancellationToken| copy::remove(&lease.files()).and_then(|()| lease.forget());
        blocking::run(removed).await.flatten().is_ok()
    }

    async fn sweep(&self, _cache_name: &str, known: &BTreeSet<String>) {
        let Some(kept) = self.kept.clone() else { return };
        let known = known.clone();
        blocking::run(move |_| kept.remove_unrecorded(&known)).await.ok();
    }

    fn shell_command(&self, place: &str, step: &PlanStep) -> String {
        let variables = step.env.iter().map(|(name, value)| format!("{} ", shell_word(&format!("{name}={value}"))));
        let variables: String = variables.collect();
        let place = Path::new(place);
        #[cfg(unix)]
        if let Some((View::Own(namespaces), seen)) = self.seen.get() {
            let workdir = workdir::on_host(seen, &step.workdir).unwrap_or_else(|_| seen.clone());
            return namespaces.shell_line(&Location { real: place, seen, workdir: &workdir, binds: &[] }, &variables);
        }
        let folder = workdir::on_host(place, &step.workdir).unwrap_or_else(|_| place.into());
        format!("cd {} && env {variables}sh", shell_word(&folder.to_string_lossy()))
    }
}

impl KeptFolders {
    /// Returns the path for a new directory.
    fn new_folder(&self) -> io::Result<PathBuf> {
        private::create_folder(&self.folder)?;
        let target = self.folder.join(Uuid::new_v4().simple().to_string());
        // First, so that if this process ends here, the next one knows who made the directory.
        let keeper = format!("{}\n{}", Owner::this_process(), self.run_id);
        private::write(&target.with_extension(KEEPER), keeper.as_bytes())?;
        Ok(target)
    }

    /// Moves a directory into the store.
    fn take(&self, from: &Path) -> io::Result<Saved> {
        let target = self.new_folder()?;
        // A directory cannot be moved to another disk, so it is copied.
        if std::fs::rename(from, &target).is_err() {
            copy::copy_folder(from, &target, &CancellationToken::new())?;
        }
        Ok(saved(&target))
    }

    /// Removes a directory. Returns `false` if it is not in this store, whatever the database says, or cannot be removed.
    fn remove(&self, place: &Path) -> bool {
        let is_removed = place.parent() == Some(&self.folder) && copy::remove(place).is_ok();
        if is_removed {
            std::fs::remove_file(place.with_extension(KEEPER)).ok();
        }
        is_removed
    }

    /// Removes directories that no cache knows and that will not be recorded, because their maker is dead or is this run, which is over.
    fn remove_unrecorded(&self, known: &BTreeSet<String>) {
        let observer = Owner::this_process();
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        let files = entries.flatten().map(|entry| entry.path());
        let places: BTreeSet<PathBuf> = files.map(|path| path.with_extension("")).collect();
        for place in places.iter().filter(|place| !known.contains(&*place.to_string_lossy())) {
            // A directory without such a file is not about to be recorded, because the file is written first and removed last.
            let keeper = std::fs::read_to_string(place.with_extension(KEEPER)).unwrap_or_default();
            let is_over = keeper.split_once('\n').is_none_or(|(owner, run_id)| {
                run_id == self.run_id || owner.parse::<Owner>().is_ok_and(|owner| owner.is_dead(&observer))
            });
            if is_over {
                self.remove(place);
            }
        }
    }
}

fn saved(folder: &Path) -> Saved {
    Saved { bytes: limits::size(folder), place: folder.to_string_lossy().into_owned() }
}

//! Folders that outlive their run, in the user's state folder. Beside each stands whose it is until a store knows it. Knows no steps.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::host::copy;
use crate::owner::Owner;
use crate::private;
use crate::runner::Saved;

/// The file beside a folder: the process and the run that made it.
const KEEPER: &str = "keeper";

#[derive(Debug, Clone)]
pub(super) struct KeptFolders {
    pub(super) folder: PathBuf,
    run_id: String,
}

impl KeptFolders {
    pub(super) fn new(state_dir: &Path, run_id: Uuid) -> Self {
        Self { folder: state_dir.join("host-snapshots"), run_id: run_id.to_string() }
    }

    /// Returns the path of a folder that is about to be made.
    pub(super) fn new_folder(&self) -> io::Result<PathBuf> {
        private::create_folder(&self.folder)?;
        let target = self.folder.join(Uuid::new_v4().simple().to_string());
        // First: if this process ends here, the next one knows whose it was.
        let keeper = format!("{}\n{}", Owner::this_process(), self.run_id);
        private::write(&target.with_extension(KEEPER), keeper.as_bytes())?;
        Ok(target)
    }

    /// Moves a folder here, where it stays.
    pub(super) fn take(&self, from: &Path) -> io::Result<Saved> {
        let target = self.new_folder()?;
        // Another disk cannot take a folder over: it is copied.
        if std::fs::rename(from, &target).is_err() {
            copy::copy_folder(from, &target, &CancellationToken::new())?;
        }
        Ok(saved(&target))
    }

    /// Removes one. `false`: it is none of ours, whatever a store says, or it cannot be removed.
    pub(super) fn remove(&self, place: &Path) -> bool {
        let is_removed = place.parent() == Some(&self.folder) && copy::remove(place).is_ok();
        if is_removed {
            std::fs::remove_file(place.with_extension(KEEPER)).ok();
        }
        is_removed
    }

    /// Removes those no store knows and will not get to know: whoever made them is dead, or is this run, which is over.
    pub(super) fn remove_forgotten(&self, known: &BTreeSet<String>) {
        let observer = Owner::this_process();
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        let files = entries.flatten().map(|entry| entry.path());
        let places: BTreeSet<PathBuf> = files.map(|path| path.with_extension("")).collect();
        for place in places.iter().filter(|place| !known.contains(&*place.to_string_lossy())) {
            // Without a word beside it nobody is about to tell a store of it: that word is written first and removed last.
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

pub(super) fn saved(folder: &Path) -> Saved {
    Saved { bytes: copy::size(folder), place: folder.to_string_lossy().into_owned() }
}

//! The directories that runs on the host leave in the temporary folder when their process is killed.

use std::path::{Path, PathBuf};

use crate::files::ProjectFolder;
use crate::host::{copy, place};
use crate::owner::Owner;
use crate::private;

/// How the name of each directory begins.
pub(super) const FOLDER_PREFIX: &str = "pipelens-";
/// The file in the run's directory that names its owner.
pub(super) const OWNER_FILE: &str = "owner";
const MAX_OWNER_BYTES: u64 = 4 * 1024;

/// Removes the directories of runs whose process is dead, and returns how many.
pub(super) fn remove(temporary: &Path, observer: &Owner) -> usize {
    let Ok(entries) = std::fs::read_dir(temporary) else { return 0 };
    let folders = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX));
    let is_dead = |folder: &PathBuf| {
        // Any user can put something there; only our own directories are touched.
        let own = private::is_own_folder(folder).then(|| ProjectFolder::open(folder)).and_then(Result::ok);
        let owner = own.and_then(|own| own.read_unlinked_text(Path::new(OWNER_FILE), MAX_OWNER_BYTES).ok());
        owner.and_then(|owner| owner.parse::<Owner>().ok()).is_some_and(|owner| owner.is_dead(observer))
    };
    let is_removed = |folder: &PathBuf| match is_dead(folder) {
        true => copy::remove(folder).is_ok(),
        false => private::is_own_folder(folder) && place::remove_unused(folder),
    };
    folders.map(|entry| entry.path()).filter(is_removed).count()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(remove(temporary.path(), &me), 1);
        assert!(mine.exists() && !dead.exists() && strange.exists());
    }

    /// The parent directory is writable by every user.
    #[cfg(unix)]
    #[test]
    fn files_of_other_users_next_to_our_folders_block_nothing() {
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
        assert_eq!(remove(temporary.path(), &me), 0);
    }
}

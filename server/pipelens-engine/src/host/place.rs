//! Where the steps of a project see their workspace: at the same path in every step and run, because tools write absolute paths into what
//! they make (virtual environments, build folders of CMake). Knows no steps.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::blocking;
use crate::error::EngineError;
use crate::fingerprint::short_name;
use crate::host::copy;
use crate::locked_folder::{LOCK, is_still_there, lock_file};
use crate::private;
use crate::stop::{self, Interruption};

/// A place may be removed just before it is locked.
const TRIES: usize = 100;

/// How often a lane that another step uses is tried again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A directory for one project of one user, used by any number of runs at once, and removed with the last of them.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    lock: Option<File>,
}

impl Place {
    /// Creates the place of a project, or joins the runs that already use it.
    pub(super) fn claim(temporary: &Path, prefix: &str, project: &Path) -> io::Result<Self> {
        let folder = temporary.join(format!("{prefix}{}", name_of(project)));
        for _ in 0..TRIES {
            if let Err(error) = private::create_new_folder(&folder)
                && error.kind() != io::ErrorKind::AlreadyExists
            {
                return Err(error);
            }
            // Any user can create a directory there.
            if !private::is_own_folder(&folder) {
                if folder.symlink_metadata().is_err() {
                    continue;
                }
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
            }
            let lock = match lock_file(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                lock => lock?,
            };
            lock.lock_shared()?;
            if is_still_there(&lock, &folder) {
                let place = Self { folder, lock: Some(lock) };
                private::create_folder(&place.workspace())?;
                return Ok(place);
            }
        }
        Err(io::Error::other("it is removed again and again"))
    }

    /// Returns the path at which steps see their workspace if each has its own view of the filesystem.
    pub(super) fn workspace(&self) -> PathBuf {
        self.folder.join("workspace")
    }

    /// Returns the lane for steps that have to take turns.
    pub(super) fn lane(&self, name: &str) -> Lane {
        Lane { folder: self.folder.join(short_name(name)) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.lock.take());
        remove_unused(&self.folder);
    }
}

/// Removes a place if no run uses it, with anything that a killed process left in it. Returns whether it was removed.
pub(super) fn remove_unused(folder: &Path) -> bool {
    let Ok(lock) = File::open(folder.join(LOCK)) else { return false };
    if lock.try_lock().is_err() || !is_still_there(&lock, folder) {
        return false;
    }
    let Ok(entries) = fs::read_dir(folder) else { return false };
    for entry in entries.flatten().filter(|entry| entry.file_name() != LOCK) {
        copy::remove(&entry.path()).ok();
    }
    // If another run has come in between, it has made a new lock, and the directory stays.
    fs::remove_file(folder.join(LOCK)).and_then(|()| fs::remove_dir(folder)).is_ok()
}

/// Returns the lock of the place to which a path of [`Place::workspace`] belongs.
pub(super) fn lock_of(workspace: &Path) -> PathBuf {
    workspace.with_file_name(LOCK)
}

/// A real directory in which one step after another runs, for systems where a step cannot have its own view of the filesystem.
#[derive(Debug)]
pub(super) struct Lane {
    folder: PathBuf,
}

/// A lane with a step's workspace in it.
#[derive(Debug)]
pub(super) struct Occupied {
    lane: Lane,
    _lock: File,
}

impl Lane {
    /// Returns the path at which steps see their workspace in this lane.
    pub(super) fn workspace(&self) -> PathBuf {
        self.folder.join("workspace")
    }

    /// Waits until the lane is free, and moves a workspace into it.
    pub(super) async fn enter(self, workspace: &Path, stop: &CancellationToken) -> Result<Occupied, Interruption> {
        let lock = self.lock_file()?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(self.failed(error).into()),
            }
            let pause = tokio::time::sleep(ASK_AGAIN_AFTER).map(Ok::<(), Interruption>);
            stop::unless_stopped(stop, pause).await?;
        }
        let occupied = Occupied { lane: self, _lock: lock };
        let (from, to) = (workspace.to_owned(), occupied.workspace());
        let moved = blocking::run(move |_| {
            // A process that was killed may have left one.
            copy::remove(&to).ok();
            fs::rename(from, to)
        });
        moved.await.flatten().map_err(|error| occupied.lane.failed(error))?;
        Ok(occupied)
    }

    fn lock_file(&self) -> Result<File, EngineError> {
        let lock = private::create_folder(&self.folder).and_then(|()| lock_file(&self.folder));
        lock.map_err(|error| self.failed(error))
    }

    fn failed(&self, source: io::Error) -> EngineError {
        EngineError::File { doing: "Preparing the step's directory", path: self.folder.clone(), source }
    }
}

impl Occupied {
    pub(super) fn workspace(&self) -> PathBuf {
        self.lane.workspace()
    }

    /// Moves the workspace back, for the next step to enter.
    pub(super) fn leave(self, workspace: &Path) -> Result<(), EngineError> {
        match fs::rename(self.workspace(), workspace) {
            // The step has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved.map_err(|error| self.lane.failed(error)),
        }
    }
}

/// The name of a user's place for a project.
fn name_of(project: &Path) -> String {
    #[cfg(unix)]
    let user = rustix::process::geteuid().as_raw().to_string();
    #[cfg(not(unix))]
    let user = String::new();
    short_name([user.as_bytes(), b"/", project.as_os_str().as_encoded_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_same_for_all_runs_of_a_project_and_goes_with_the_last() {
        let temporary = tempfile::tempdir().unwrap();
        let claim = |project: &str| Place::claim(temporary.path(), "pipelens-", Path::new(project)).unwrap();
        let (first, second, other) = (claim("/a"), claim("/a"), claim("/b"));
        assert_eq!(first.workspace(), second.workspace());
        assert_ne!(first.workspace(), other.workspace());
        let folder = first.folder.clone();
        drop(first);
        assert!(second.workspace().is_dir());
        assert!(!remove_unused(&folder), "it is in use");
        fs::write(folder.join("workspace/left"), "").unwrap();
        drop(second);
        assert!(!folder.exists() && other.workspace().is_dir());
    }

    #[test]
    fn runs_that_begin_and_end_at_once_always_have_a_place() {
        let temporary = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let place = Place::claim(temporary.path(), "pipelens-", Path::new("/a")).unwrap();
                        assert!(place.workspace().is_dir());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_place_that_another_user_has_prepared_is_not_used() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join(format!("pipelens-{}", name_of(Path::new("/a"))));
        fs::create_dir(temporary.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", &folder).unwrap();
        assert!(Place::claim(temporary.path(), "pipelens-", Path::new("/a")).is_err());
        assert!(!remove_unused(&folder));
    }

    #[tokio::test]
    async fn steps_take_turns_in_a_lane() {
        let temporary = tempfile::tempdir().unwrap();
        let place = Place::claim(temporary.path(), "pipelens-", Path::new("/a")).unwrap();
        let stop = CancellationToken::new();
        let workspace = |name: &str| {
            let folder = temporary.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("file"), name).unwrap();
            folder
        };
        let (one, two) = (workspace("one"), workspace("two"));
        let first = place.lane("root").enter(&one, &stop).await.unwrap();
        let seen = first.workspace();
        assert_eq!(fs::read_to_string(seen.join("file")).unwrap(), "one");
        {
            let second = place.lane("root").enter(&two, &stop);
            tokio::pin!(second);
            assert!(futures_util::poll!(&mut second).is_pending());
            fs::write(seen.join("file"), "changed").unwrap();
            first.leave(&one).unwrap();
            let second = second.await.unwrap();
            assert_eq!((second.workspace(), fs::read_to_string(seen.join("file")).unwrap()), (seen, "two".into()));
        }
        assert_eq!(fs::read_to_string(one.join("file")).unwrap(), "changed");
        // The second one is dropped with its workspace in the lane, as after a panic.
        let third = place.lane("root").enter(&one, &stop).await.unwrap();
        assert_eq!(fs::read_to_string(third.workspace().join("file")).unwrap(), "changed");
        stop.cancel();
        let fourth = place.lane("root").enter(&workspace("four"), &stop).await;
        assert!(matches!(fourth, Err(Interruption::Stopped)));
    }
}

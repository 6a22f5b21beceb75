//! What the system reports about folders: that it is time to look again. Falls back to looking now and then.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Whether the system watches single folders. Elsewhere it watches everything below one, which costs nothing for each folder.
const WATCHES_FOLDERS: bool = cfg!(not(any(target_os = "macos", windows)));
/// Beyond these, a change of an ignored file leads to a look that finds nothing.
const MOST_IGNORED: usize = 10_000;

/// What has been reported and not been looked at.
#[derive(Debug)]
pub(super) struct Pending {
    root: PathBuf,
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// Folders that were removed or renamed: the system no longer watches them, even if there is a new one of that name.
    gone: BTreeSet<PathBuf>,
    /// What was reported since the last look.
    reported: BTreeSet<PathBuf>,
    /// Files that were looked at in vain. That their content changes is of no interest.
    ignored: BTreeSet<PathBuf>,
}

impl Pending {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, inner: Mutex::default(), wake: Notify::new() }
    }

    /// Waits until something is reported.
    pub(super) async fn wait(&self) {
        self.wake.notified().await;
    }

    fn report(&self, event: notify::Result<Event>) {
        let Ok(event) = event else { return self.wake.notify_one() };
        let is_content = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => true,
            // Among others our own reading.
            EventKind::Access(_) => return,
            _ => false,
        };
        let mut inner = self.inner.lock();
        let is_ignored = |path: &PathBuf| self.is_git(path) || (is_content && inner.ignored.contains(path));
        if !event.paths.is_empty() && event.paths.iter().all(is_ignored) {
            return;
        }
        if matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
            inner.gone.extend(event.paths.iter().cloned());
        }
        if inner.reported.len() < MOST_IGNORED {
            inner.reported.extend(event.paths);
        }
        drop(inner);
        self.wake.notify_one();
    }

    fn is_git(&self, path: &Path) -> bool {
        path.strip_prefix(&self.root).is_ok_and(|inside| inside.starts_with(".git"))
    }

    fn take_gone(&self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.inner.lock().gone)
    }

    /// Learns from a look which of the reported files are ignored: those that are not among the sources.
    pub(super) fn looked(&self, sources: &BTreeSet<&Path>, has_changed: bool) {
        let mut inner = self.inner.lock();
        if has_changed {
            // The rules may have.
            inner.ignored.clear();
        }
        let reported = std::mem::take(&mut inner.reported);
        if !has_changed && inner.ignored.len() < MOST_IGNORED {
            let is_ignored = |path: &PathBuf| {
                path.strip_prefix(&self.root).is_ok_and(|inside| !sources.contains(inside)) && path.is_file()
            };
            inner.ignored.extend(reported.into_iter().filter(is_ignored));
        }
    }
}

/// What the system watches.
#[derive(Debug)]
pub(super) struct Hints {
    root: PathBuf,
    pending: Arc<Pending>,
    /// `Err` says why it watches nothing.
    watcher: Result<RecommendedWatcher, String>,
    folders: BTreeSet<PathBuf>,
}

impl Hints {
    pub(super) fn open(root: &Path, pending: Arc<Pending>) -> Self {
        let reported = Arc::clone(&pending);
        let watcher = notify::recommended_watcher(move |event| reported.report(event));
        let watcher = watcher.map_err(|error| reason(&error));
        Self { root: root.to_owned(), pending, watcher, folders: BTreeSet::new() }
    }

    /// Whether the project has to be looked at now and then, because the system does not report changes.
    pub(super) fn is_polling(&self) -> bool {
        self.watcher.is_err()
    }

    /// Returns a sentence for the user if the project is not watched as usual.
    pub(super) fn notice(&self) -> Option<String> {
        let why = self.watcher.as_ref().err()?;
        Some(format!("Changes are looked for every 2 s, because {why}."))
    }

    /// Watches exactly these folders. Returns whether any is new: what happened in it until now was not reported.
    pub(super) fn watch(&mut self, folders: BTreeSet<PathBuf>) -> bool {
        let gone = self.pending.take_gone();
        let Ok(watcher) = &mut self.watcher else { return false };
        if !WATCHES_FOLDERS {
            if !self.folders.is_empty() {
                return false;
            }
            match watcher.watch(&self.root, RecursiveMode::Recursive) {
                Ok(()) => self.folders.extend([self.root.clone()]),
                Err(error) => self.watcher = Err(reason(&error)),
            }
            return true;
        }
        let is_gone = |folder: &Path| folder.ancestors().any(|above| gone.contains(above));
        let dropped: Vec<PathBuf> =
            self.folders.iter().filter(|folder| is_gone(folder) || !folders.contains(*folder)).cloned().collect();
        // Before new ones: a folder that was renamed would lose its watch with its old name.
        for folder in dropped {
            // The system forgets a folder that is removed by itself.
            drop(watcher.unwatch(&folder));
            self.folders.remove(&folder);
        }
        let mut has_new = false;
        for folder in folders {
            if self.folders.contains(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    has_new = true;
                    self.folders.insert(folder);
                }
                // Removed since it was found: the next look is already due.
                Err(_) if !folder.is_dir() => self.pending.wake.notify_one(),
                Err(error) if is_permission(&error) => {}
                Err(error) => {
                    self.watcher = Err(reason(&error));
                    self.folders.clear();
                    return true;
                }
            }
        }
        has_new
    }
}

fn is_permission(error: &notify::Error) -> bool {
    matches!(&error.kind, ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// Returns why the system does not watch, as the end of a sentence.
fn reason(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "the system's limit for watched folders is reached (`fs.inotify.max_user_watches`)".to_owned()
        }
        ErrorKind::Io(error) if error.raw_os_error() == Some(TOO_MANY_OPEN) => {
            "the system's limit for programs that watch folders is reached (`fs.inotify.max_user_instances`)".to_owned()
        }
        _ => format!("the system does not report them ({error})"),
    }
}

/// `EMFILE`.
const TOO_MANY_OPEN: i32 = 24;

//! The files of a project that a step gets, as they were when the run began.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::files::{ProjectFolder, readable_size};
use crate::history::History;

/// How many paths a note names.
const MOST_NAMED: usize = 5;

/// The project's files as they were when the run began. Their contents are read when they are sent.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sources {
    pub(crate) root: PathBuf,
    pub(super) folder: Option<Arc<ProjectFolder>>,
    /// Relative to the root; every directory comes before its entries.
    pub(crate) entries: Vec<Entry>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// How many entries are ignored; an ignored directory counts once.
    pub(crate) ignored: u64,
    /// Whether a relative link leads out of the project.
    pub(crate) has_links_out: bool,
    /// What is not sent, with the reason; becomes a note.
    pub(super) left_out: Vec<(PathBuf, &'static str)>,
    /// Files that were sent in another state than the one in which they were found, because they have changed since.
    pub(super) sent_changed: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// Asks to stop as soon as a file is sent in another state than the one in which it was found.
    pub(crate) watched: Option<Watched>,
    /// What could not be included, and why: reported once, when the run begins.
    pub(crate) notes: Vec<String>,
    /// The project's git history, if a step asks for it; or why there is none, as the end of a sentence.
    pub(crate) history: Option<Result<Arc<History>, String>>,
}

/// What a run does with files that change while they are sent, if it will run again because of them.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) stop: CancellationToken,
    /// Files and folders that do not count.
    pub(crate) except: Arc<Mutex<Vec<PathBuf>>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) kind: EntryKind,
    pub(crate) stamp: Stamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EntryKind {
    Folder,
    File,
    Symlink,
}

/// Shows whether a file has changed, without reading it, as git's index does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(super) kind: EntryKind,
    mode: u32,
    pub(crate) size: u64,
    modified_ns: u128,
    /// Unlike the modification time, it cannot be set back.
    changed_ns: i128,
    /// Files that were written in the same instant differ only in this.
    #[serde(default)]
    inode: u64,
}

impl Sources {
    /// Opens a file of the project. Even if it has been replaced since the scan, never opens a pipe or anything outside the project.
    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        match &self.folder {
            Some(folder) => folder.open_file(path).map_err(io::Error::from),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Reads a link of the project, and never one outside it, even if a directory has been replaced with a link since the scan.
    pub(crate) fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        match &self.folder {
            Some(folder) => folder.read_link(path),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Returns a sentence about what is sent.
    pub(crate) fn summary(&self) -> String {
        let files = if self.files == 1 { "1 file".to_owned() } else { format!("{} files", self.files) };
        let ignored = if self.ignored == 0 { String::new() } else { format!(", {} ignored", self.ignored) };
        format!("Sources: {files}, {}{ignored}.", readable_size(self.bytes))
    }

    /// Returns the same project without its files.
    pub(crate) fn without_entries(&self) -> Self {
        Self {
            root: self.root.clone(),
            folder: self.folder.clone(),
            has_links_out: self.has_links_out,
            sent_changed: Arc::clone(&self.sent_changed),
            watched: self.watched.clone(),
            ..Self::default()
        }
    }

    /// Returns the same for a run that stops when these files change while they are sent.
    pub(crate) fn watched(&self, watched: Watched) -> Self {
        Self {
            entries: self.entries.clone(),
            files: self.files,
            bytes: self.bytes,
            ignored: self.ignored,
            sent_changed: Arc::default(),
            watched: Some(watched),
            notes: self.notes.clone(),
            ..self.without_entries()
        }
    }

    /// Returns the same without what is at some paths, or below them.
    pub(crate) fn without_below(&self, hidden: &[PathBuf]) -> Self {
        let is_seen = |entry: &&Entry| !is_below(&entry.path, hidden);
        let mut seen = self.without_entries();
        for entry in self.entries.iter().filter(is_seen) {
            if entry.kind != EntryKind::Folder {
                seen.files += 1;
            }
            if entry.kind == EntryKind::File {
                seen.bytes += entry.stamp.size;
            }
            seen.entries.push(entry.clone());
        }
        seen
    }

    /// Records in which state a file was sent, so that nothing that was made from it counts as made from the state that was found.
    pub(crate) fn sent(&self, entry: &Entry, metadata: Option<&Metadata>) {
        if metadata.is_none_or(|metadata| Stamp::of(entry.kind, metadata) != entry.stamp) {
            self.sent_changed.lock().insert(entry.path.clone());
            if let Some(Watched { stop, except }) = &self.watched
                && !is_below(&entry.path, &except.lock())
            {
                stop.cancel();
            }
        }
    }

    /// Returns the files that have been sent in another state than the one in which they were found.
    pub(crate) fn sent_changed(&self) -> Vec<PathBuf> {
        self.sent_changed.lock().iter().cloned().collect()
    }

    pub(super) fn add(&mut self, path: &Path, metadata: &Metadata) {
        let kind = if metadata.is_dir() {
            EntryKind::Folder
        } else if metadata.is_symlink() {
            EntryKind::Symlink
        } else if metadata.is_file() {
            EntryKind::File
        } else {
            // Git does not see them either, and they are useless in another place.
            self.leave_out(path, "not a file, a folder or a link");
            return;
        };
        if kind == EntryKind::File && is_perhaps_unreadable(metadata) && self.is_unreadable(path) {
            self.leave_out(path, "permission denied");
            return;
        }
        if kind == EntryKind::Symlink {
            self.has_links_out |= self.read_link(path).is_ok_and(|target| leads_out(path, &target));
        }
        if kind != EntryKind::Folder {
            self.files += 1;
        }
        if kind == EntryKind::File {
            self.bytes += metadata.len();
        }
        self.entries.push(Entry { path: path.to_owned(), kind, stamp: Stamp::of(kind, metadata) });
    }
}

impl Sources {
    /// Records that something is not sent.
    pub(super) fn leave_out(&mut self, path: &Path, reason: &'static str) {
        self.left_out.push((path.to_owned(), reason));
    }

    /// Adds one note for everything that is not sent for the same reason.
    pub(super) fn note_what_is_left_out(&mut self) {
        let mut by_reason: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
        for (path, reason) in std::mem::take(&mut self.left_out) {
            by_reason.entry(reason).or_default().push(path);
        }
        for (reason, paths) in by_reason {
            let names: Vec<String> =
                paths.iter().take(MOST_NAMED).map(|path| format!("`{}`", path.display())).collect();
            let more = paths.len().saturating_sub(MOST_NAMED);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let verb = if paths.len() == 1 { "is" } else { "are" };
            self.notes.push(format!("{}{more} {verb} not sent: {reason}.", names.join(", ")));
        }
    }

    fn is_unreadable(&self, path: &Path) -> bool {
        self.open(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// Whether a path is one of these places, or below one.
pub(crate) fn is_below(path: &Path, places: &[PathBuf]) -> bool {
    places.iter().any(|place| path.starts_with(place))
}

/// Whether a relative link leads above the project, going by the names alone, as an engine does.
fn leads_out(link: &Path, target: &Path) -> bool {
    if target.is_absolute() {
        return false;
    }
    let mut depth = link.components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::ParentDir => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return true,
            },
            Component::Normal(_) => depth += 1,
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    false
}

/// Whether it is worth trying to open a file. Almost every file can be read by everyone, and opening all of them would take time.
#[cfg(unix)]
fn is_perhaps_unreadable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.mode() & 0o444 != 0o444
}

#[cfg(not(unix))]
fn is_perhaps_unreadable(_metadata: &Metadata) -> bool {
    false
}

impl Stamp {
    pub(crate) fn of(kind: EntryKind, metadata: &Metadata) -> Self {
        let Identity { mode, changed_ns, inode } = Identity::of(metadata);
        if kind == EntryKind::Folder {
            // A directory's times and size only reflect its entries, which have stamps of their own.
            return Self { kind, mode, size: 0, modified_ns: 0, changed_ns: 0, inode: 0 };
        }
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified_ns = modified.map_or(0, |time| time.as_nanos());
        Self { kind, mode, size: metadata.len(), modified_ns, changed_ns, inode }
    }

    /// Whether two stamps differ at most in when the file was written.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (self.kind, self.mode, self.size) == (other.kind, other.mode, other.size)
    }

    /// Returns the modification time in whole seconds since 1970.
    pub(super) fn modified_seconds(&self) -> i64 {
        i64::try_from(self.modified_ns / 1_000_000_000).unwrap_or(i64::MAX)
    }
}

/// The part of a stamp that depends on the operating system.
struct Identity {
    mode: u32,
    changed_ns: i128,
    inode: u64,
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let changed_ns = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
        Self { mode: metadata.mode(), changed_ns, inode: metadata.ino() }
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        Self { mode: u32::from(metadata.permissions().readonly()), changed_ns: 0, inode: 0 }
    }
}

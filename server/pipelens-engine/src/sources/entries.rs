//! The files of a project that a step gets, as they were when the run began.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::files::{ProjectFolder, readable_size};

/// The project's files as they were when the run began. Their contents are read when they are sent.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) root: PathBuf,
    pub(super) folder: Option<Arc<ProjectFolder>>,
    /// Relative to the root; every directory comes before its entries.
    pub(crate) entries: Vec<Entry>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// How many entries are ignored; an ignored directory counts once.
    pub(crate) ignored: u64,
    /// What could not be included, and why: reported once, when the run begins.
    pub(crate) notes: Vec<String>,
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
    pub(super) size: u64,
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
        Self { root: self.root.clone(), folder: self.folder.clone(), ..Self::default() }
    }

    pub(super) fn add(&mut self, path: &Path, metadata: &Metadata) {
        let kind = if metadata.is_dir() {
            EntryKind::Folder
        } else if metadata.is_symlink() {
            EntryKind::Symlink
        } else if metadata.is_file() {
            EntryKind::File
        } else {
            // Sockets, pipes and devices are useless in another place.
            return;
        };
        if kind != EntryKind::Folder {
            self.files += 1;
        }
        if kind == EntryKind::File {
            self.bytes += metadata.len();
        }
        self.entries.push(Entry { path: path.to_owned(), kind, stamp: Stamp::of(kind, metadata) });
    }
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

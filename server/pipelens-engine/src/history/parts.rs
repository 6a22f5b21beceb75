//! What the parts of a repository are read into, and up to which size.

use std::path::{Path, PathBuf};

use crate::files::{ProjectFolder, Unreadable};

/// The limit for files that contain only a path or a hash.
pub(super) const MAX_POINTER_BYTES: u64 = 8 * 1024;
pub(super) const MAX_CONFIG_BYTES: u64 = 1024 * 1024;
/// Enough for a million refs, or half a million files.
pub(super) const MAX_LIST_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct HistoryFile {
    pub(crate) path: PathBuf,
    /// `None`: a folder.
    pub(crate) content: Option<Vec<u8>>,
}

/// Returns a file with this content.
pub(super) fn file(path: impl Into<PathBuf>, content: Vec<u8>) -> HistoryFile {
    HistoryFile { path: path.into(), content: Some(content) }
}

/// Reads a file that need not exist.
pub(super) fn optional(base: &ProjectFolder, path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>, Unreadable> {
    match base.read(path, max_bytes) {
        Ok(content) => Ok(Some(content)),
        Err(Unreadable::Missing) => Ok(None),
        Err(error) => Err(error),
    }
}

//! How files of a container are removed and added.

use serde::{Deserialize, Serialize};

use super::message::ContainerPath;

/// Removes paths below a directory and unpacks an archive there, which follows as data (tar, or tar in gzip).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyRequest {
    /// It is created if it is missing, and may be a link.
    pub folder: String,
    /// Files and links to remove; a directory in the place of one stays. Relative to the directory.
    pub removed_files: Vec<ContainerPath>,
    /// Directories to remove if they are empty by then.
    pub removed_folders: Vec<ContainerPath>,
    /// The owner of what is unpacked; `None`: as in the archive. Has an effect only if the agent runs as root.
    pub owner: Option<(u32, u32)>,
    pub missing_folders: MissingFolders,
}

impl ApplyRequest {
    /// Only adds files, in the place of what is there.
    pub fn adding_to(folder: impl Into<String>) -> Self {
        Self {
            folder: folder.into(),
            removed_files: Vec::new(),
            removed_folders: Vec::new(),
            owner: None,
            missing_folders: MissingFolders::Create,
        }
    }
}

/// What happens to an entry whose directory does not exist, or has been replaced by a link or a file. A link below the directory is never
/// followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MissingFolders {
    /// The directory is created, in the place of what is there.
    Create,
    /// The entry is left out: a step has removed its directory.
    Skip,
}

/// What has been unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub unpacked: u64,
    pub removed: u64,
    pub skipped: u64,
}

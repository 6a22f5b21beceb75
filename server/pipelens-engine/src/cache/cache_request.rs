//! What a run asks of the cache.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::snapshot::CacheRegistry;

/// Where the results of earlier runs are, and how much is kept.
#[derive(Debug, Clone)]
pub struct CacheRequest {
    /// The user's state directory.
    pub state_dir: PathBuf,
    /// `false`: every step runs, and its result replaces the older one.
    pub is_read: bool,
    /// Values of the variables that `env_keys` name.
    pub variables: BTreeMap<String, String>,
    pub budget: Budget,
    /// The user shares results with the Harmont tools: their images are used, and new results get the names they look for. A name does not prove who
    /// made an image, so this is never decided by a file alone.
    pub shares_with_harmont: bool,
    /// Where results are shared with other machines, if the user has set it. Never decided by a file of the project.
    pub registry: Option<CacheRegistry>,
}

/// How much a workspace may keep. The least recently used snapshots are removed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub bytes: u64,
    pub age: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: 20_000_000_000, age: Duration::from_secs(30 * 24 * 60 * 60) }
    }
}

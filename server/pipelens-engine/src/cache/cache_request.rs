//! What a run asks of the cache.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

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

/// A registry in which machines share the results of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRegistry {
    /// A repository without a tag, such as `registry.example.com/team/cache`.
    pub repository: String,
    /// What tells projects apart, the same on every machine: the address of the project's git repository. Without it, nothing is shared.
    pub project: Option<String>,
    /// Whether new results are pushed.
    pub pushes: bool,
    /// Whether a credential helper may be started. A prediction while the user types starts no program.
    pub may_ask_helper: bool,
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

//! What steps leave for other steps, and where it is kept beyond a run. Knows neither Docker nor the host.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use pipelens_core::plan::PlanStep;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::error::EngineError;
use crate::mounts::Mounts;
use crate::sources::Manifest;

/// A filesystem that a step left for the steps that start from it. Only the runner that made it knows what it contains.
#[derive(Clone)]
pub(crate) struct Snapshot(Arc<dyn Any + Send + Sync>);

impl Snapshot {
    pub(crate) fn new(content: impl Any + Send + Sync) -> Self {
        Self(Arc::new(content))
    }

    /// Returns the content; `None` if another runner made it.
    pub(crate) fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

/// What became of a kept snapshot that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    Removed,
    /// The store does not let this user remove anything, so it stays there, unused.
    #[cfg_attr(
        not(feature = "kubernetes"),
        expect(dead_code, reason = "engines and folders let their user remove everything")
    )]
    Abandoned,
    /// It stays: something still needs it, or the store does not answer.
    Refused,
}

impl Removal {
    pub(crate) fn of(is_removed: bool) -> Self {
        if is_removed { Self::Removed } else { Self::Refused }
    }
}

/// A snapshot that outlives the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Saved {
    /// Its place in the store: an image's id, a directory.
    pub(crate) place: String,
    /// How much space it uses in addition to what it was made from.
    pub(crate) bytes: u64,
}

/// A kept snapshot that can be used as a step's result.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) place: String,
    /// The sources in it, if they are not the current ones.
    pub(crate) outdated: Option<Outdated>,
}

/// The sources as they were when a snapshot was made.
#[derive(Debug, Clone)]
pub(crate) struct Outdated {
    pub(crate) manifest: Arc<Manifest>,
    /// Their directory in the snapshot.
    pub(crate) folder: String,
}

/// Where a runner keeps what outlives a run: the images of an engine, or a directory on this machine.
#[async_trait]
pub(crate) trait SnapshotStore: Send + Sync {
    /// Returns the store's name, so that a place in one store is not looked up in another; empty if it has no name or does not answer.
    async fn name(&self) -> &str;

    /// Returns what identifies the image that a reference currently resolves to; `None` if it is not present. Pulls nothing. This belongs
    /// to the store and not to the runner because it determines which kept snapshots can be used.
    async fn resolve_image(&self, reference: &str) -> Option<String>;

    /// Returns a kept snapshot as one to start from.
    fn adopt(&self, place: &str) -> Snapshot;

    /// Returns the place of the snapshot with a name that the Harmont tools use, unless pipelens made it for another workspace. The name does
    /// not prove who else may have made it; the caller has to accept that risk.
    async fn find_shared(&self, _name: &str, _workspace: &str) -> Option<String> {
        None
    }

    /// Returns the results that other machines share, if the user has set a place for them.
    fn shared(&self) -> Option<&dyn SharedResults> {
        None
    }

    /// Whether a kept snapshot still exists; `None`: the store does not answer.
    async fn exists(&self, place: &str) -> Option<bool>;

    /// Removes a kept snapshot.
    async fn remove(&self, place: &str) -> Removal;

    /// Returns why nothing is known about what is kept, if the store did not answer when it was asked.
    fn trouble(&self) -> Option<EngineError> {
        None
    }

    /// Returns the cache mounts of the user.
    fn mounts(&self) -> Option<&Mounts> {
        None
    }

    /// Removes a cache mount with its files. Returns `false` if it is in use.
    async fn remove_mount(&self, _id: &str) -> bool {
        false
    }

    /// Removes what holds the files of cache mounts that are no longer recorded.
    async fn sweep_mounts(&self) {}

    /// Removes snapshots that were made for a cache and are not among those it knows, unless a live process may be about
    /// to record them.
    async fn sweep(&self, cache_name: &str, known: &BTreeSet<String>);

    /// Returns the command line that opens a shell in a kept snapshot, with the step's variables but without its secrets.
    fn shell_command(&self, place: &str, step: &PlanStep) -> String;
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
    /// Whether a user asks: then, credential helpers may be started, and the registries of images asked that the project names. A prediction while the
    /// user types does neither.
    pub is_asked_by_user: bool,
}

/// Results of steps in a registry, where all machines that have its credentials find them.
#[async_trait]
pub(crate) trait SharedResults: Send + Sync {
    /// Returns where they are shared, and how.
    fn settings(&self) -> &CacheRegistry;

    /// Returns what an image reference stands for on every machine; `None` if that is not known. Pulls nothing.
    async fn image(&self, reference: &str) -> Option<String>;

    /// Returns what the engine's images have to be made for, such as `linux/amd64`.
    async fn platform(&self) -> String;

    /// Whether there is a result with this key. Pulls nothing.
    async fn has(&self, key: &str) -> bool;

    /// Returns why the registry does not answer, once.
    fn take_complaint(&self) -> Option<String>;

    /// Pulls a result; the error is a reason without a full stop.
    async fn fetch(&self, key: &str) -> Result<Shared, String>;

    /// Pushes a snapshot as the result with this key; the error is a reason without a full stop.
    async fn publish(
        &self,
        key: &str,
        snapshot: &Saved,
        sources: &SharedSources,
        stop: &CancellationToken,
    ) -> Result<(), String>;
}

/// Pushes results until one cannot be pushed: the others of a run would only wait for the same error.
#[derive(Debug, Default)]
pub(crate) struct Pushes {
    failed: Mutex<Option<String>>,
}

impl Pushes {
    /// Why one could not be pushed.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failed.lock().clone()
    }

    /// Waits for `pushing`, but no longer than until the run is stopped.
    pub(crate) async fn push<T>(
        &self,
        stop: &CancellationToken,
        pushing: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        if let Some(why) = self.failure() {
            return Err(why);
        }
        let pushed = tokio::select! {
            pushed = pushing => pushed,
            () = stop.cancelled() => Err("the run was cancelled".to_owned()),
        };
        if let Err(why) = &pushed {
            *self.failed.lock() = Some(why.clone());
        }
        pushed
    }
}

/// A pulled result.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) saved: Saved,
    pub(crate) sources: SharedSources,
}

/// The sources in a shared result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SharedSources {
    /// Their directory.
    pub(crate) folder: String,
    pub(crate) manifest: Manifest,
}

/// Quotes a word for a person's shell.
pub fn shell_word(word: &str) -> String {
    // An argument cannot contain a zero byte, but the command is only displayed.
    shlex::Quoter::new().allow_nul(true).quote(word).map_or_else(|_| String::new(), std::borrow::Cow::into_owned)
}

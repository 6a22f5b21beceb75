//! What steps leave for other steps, and the place where it outlives a run. Knows neither Docker nor the host.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use pipelens_core::plan::PlanStep;

use crate::sources::Manifest;

/// A filesystem that a step left for the steps that boot from it. Only the runner that made it knows what it is.
#[derive(Clone)]
pub(crate) struct Snapshot(Arc<dyn Any + Send + Sync>);

impl Snapshot {
    pub(crate) fn new(content: impl Any + Send + Sync) -> Self {
        Self(Arc::new(content))
    }

    /// Returns what is in it; `None` if another runner made it.
    pub(crate) fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

/// A snapshot that outlives the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Saved {
    /// Where its store has it: an image's id, a folder.
    pub(crate) place: String,
    /// What it takes beyond what it was made from.
    pub(crate) bytes: u64,
}

/// A kept snapshot that a step can be taken from.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) place: String,
    /// The sources in it, if they are not today's.
    pub(crate) outdated: Option<Outdated>,
}

/// Sources as they were when a snapshot was made.
#[derive(Debug, Clone)]
pub(crate) struct Outdated {
    pub(crate) manifest: Arc<Manifest>,
    /// Where in the snapshot they are.
    pub(crate) folder: String,
}

/// Where a runner keeps what outlives a run: the images of an engine, a folder of this machine.
#[async_trait]
pub(crate) trait SnapshotStore: Send + Sync {
    /// Names the store, so that a place in one is not looked for in another; empty if it has no name or does not answer.
    async fn name(&self) -> &str;

    /// Returns what identifies the image that a reference means now; `None` if it is not here. Pulls nothing. It is asked here and not
    /// of the runner because it decides which kept snapshots fit.
    async fn resolve_image(&self, reference: &str) -> Option<String>;

    /// Returns a kept snapshot as one to boot from.
    fn adopt(&self, place: &str) -> Snapshot;

    /// Returns the place of the snapshot that has a name the Harmont tools give, unless another workspace of ours made it. The name does
    /// not say who else may have made it: that risk is the caller's.
    async fn find_shared(&self, _name: &str, _workspace: &str) -> Option<String> {
        None
    }

    /// Whether a kept snapshot is still there.
    async fn exists(&self, place: &str) -> bool;

    /// Removes a kept snapshot. Returns `false` if something still needs it.
    async fn remove(&self, place: &str) -> bool;

    /// Removes snapshots that were made for a cache and are not among those it knows, unless a live process may be about
    /// to record them.
    async fn sweep(&self, cache_name: &str, known: &BTreeSet<String>);

    /// Returns the command line that opens a shell in a kept snapshot, with the step's variables but without its secrets.
    fn shell_command(&self, place: &str, step: &PlanStep) -> String;
}

/// Quotes a word for a person's shell.
pub(crate) fn shell_word(word: &str) -> String {
    // An argument cannot contain a zero byte, but the command is only shown.
    shlex::Quoter::new().allow_nul(true).quote(word).map_or_else(|_| String::new(), std::borrow::Cow::into_owned)
}

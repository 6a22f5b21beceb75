//! Keeps snapshots beyond a run as images in the registry, where every machine and every node finds them.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use pipelens_core::plan::PlanStep;

use crate::kubernetes::registry::Registry;
use crate::snapshot::{Snapshot, SnapshotStore};

/// What a step of this runner leaves for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ClusterSnapshot {
    /// The name of an image in the repository, with its digest.
    Image(String),
    /// The name of the pod in which its only child runs next, with new processes and the same filesystem.
    Pod(String),
}

/// The images of a repository.
pub(super) struct ClusterStore {
    name: String,
    registry: Arc<Registry>,
}

impl ClusterStore {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { name: registry.repository(), registry }
    }
}

#[async_trait]
impl SnapshotStore for ClusterStore {
    async fn name(&self) -> &str {
        &self.name
    }

    async fn resolve_image(&self, reference: &str) -> Option<String> {
        self.registry.resolve(reference).await.ok().flatten()
    }

    fn adopt(&self, place: &str) -> Snapshot {
        Snapshot::new(ClusterSnapshot::Image(place.to_owned()))
    }

    async fn exists(&self, place: &str) -> bool {
        let Some(digest) = self.registry.digest_in(place) else { return false };
        self.registry.has(digest).await.unwrap_or(false)
    }

    async fn remove(&self, place: &str) -> bool {
        let Some(digest) = self.registry.digest_in(place) else { return false };
        match self.registry.remove(digest).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, place, "an image stays in the registry");
                false
            }
        }
    }

    async fn sweep(&self, _cache_name: &str, _known: &BTreeSet<String>) {
        // An image that nothing has recorded may be another machine's. The registry removes what has no tag.
    }

    fn shell_command(&self, place: &str, _step: &PlanStep) -> String {
        // The image has the step's files, and any engine can run it.
        format!("docker run --rm -it --entrypoint sh {place}")
    }
}

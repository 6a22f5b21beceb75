//! Keeps snapshots beyond a run as images of an engine. Does not make images.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use pipelens_core::plan::PlanStep;
use uuid::Uuid;

use crate::docker::about::About;
use crate::docker::cache_registry::ImageRegistry;
use crate::docker::image::Images;
use crate::docker::labels;
use crate::docker::reap;
use crate::mounts::Mounts;
use crate::owner::Owner;
use crate::snapshot::{Removal, SharedResults, Snapshot, SnapshotStore, shell_word};

/// What a step of this runner leaves for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DockerSnapshot {
    /// The image's id.
    Image(String),
    /// The id of the container in which its only child runs next, with new processes and the same filesystem.
    Container(String),
}

/// The images of an engine.
pub(super) struct ImageStore {
    pub(super) docker: Docker,
    pub(super) about: About,
    pub(super) images: Images,
    pub(super) owner: Owner,
    pub(super) run_id: Uuid,
    /// Whether images have been made, by this run or by dead owners.
    pub(super) may_have_images: Arc<AtomicBool>,
    /// Whether a network has been made by this run.
    pub(super) has_networks: AtomicBool,
    pub(super) budget: Duration,
    /// `None`: nothing outlives the run.
    pub(super) mounts: Option<Mounts>,
    pub(super) registry: Option<ImageRegistry>,
}

#[async_trait]
impl SnapshotStore for ImageStore {
    async fn name(&self) -> &str {
        &self.about.facts().await.name
    }

    async fn resolve_image(&self, reference: &str) -> Option<String> {
        self.images.inspect(reference).await.ok().flatten().map(|facts| facts.id)
    }

    fn adopt(&self, place: &str) -> Snapshot {
        Snapshot::new(DockerSnapshot::Image(place.to_owned()))
    }

    async fn find_shared(&self, name: &str, workspace: &str) -> Option<String> {
        let facts = self.images.inspect(name).await.ok().flatten()?;
        // Everything we save is labelled with its workspace, even if it was saved from an image labelled with another one.
        let is_ours = facts.workspace.as_deref().is_none_or(|owner| owner == workspace);
        (is_ours && facts.volumes.is_empty()).then_some(facts.id)
    }

    fn shared(&self) -> Option<&dyn SharedResults> {
        self.registry.as_ref().map(|registry| registry as &dyn SharedResults)
    }

    async fn exists(&self, place: &str) -> Option<bool> {
        let found = self.images.inspect(place).await.ok()?;
        // An image that declares volumes lacks what the step left in them.
        Some(found.is_some_and(|facts| facts.volumes.is_empty()))
    }

    async fn remove(&self, place: &str) -> Removal {
        let base = self.images.inspect(place).await.ok().flatten().and_then(|facts| facts.base);
        let is_removed = reap::remove_image(&self.docker, place).await;
        let names = base.filter(|_| is_removed).map(|base| labels::base_names(&base));
        for name in names.into_iter().flatten() {
            if let Ok(Some(base)) = self.images.inspect(&name).await {
                // By its id, because then the engine refuses if something else is built on it.
                reap::remove_image(&self.docker, &base.id).await;
            }
        }
        Removal::of(is_removed)
    }

    fn mounts(&self) -> Option<&Mounts> {
        self.mounts.as_ref()
    }

    async fn remove_mount(&self, id: &str) -> bool {
        let Some(lease) = self.mounts.as_ref().and_then(|mounts| mounts.take(id)) else { return false };
        reap::remove_volume(&self.docker, id).await && lease.forget().is_ok()
    }

    async fn sweep_mounts(&self) {
        let Some(mounts) = &self.mounts else { return };
        let Ok(made) = reap::mount_volumes(&self.docker, mounts.cache_name()).await else { return };
        // A mount is recorded before its volume is made.
        let known: BTreeSet<String> = mounts.kept(None, None).into_iter().map(|kept| kept.id).collect();
        for id in made.iter().filter(|id| !known.contains(*id)) {
            reap::remove_volume(&self.docker, id).await;
        }
    }

    async fn sweep(&self, cache_name: &str, known: &BTreeSet<String>) {
        if self.may_have_images.load(Ordering::Relaxed) {
            reap::remove_unrecorded(&self.docker, &self.owner, self.run_id, cache_name, known, self.budget).await;
        }
    }

    fn shell_command(&self, place: &str, step: &PlanStep) -> String {
        let variables = step.env.iter().map(|(name, value)| format!(" -e {}", shell_word(&format!("{name}={value}"))));
        let workdir = shell_word(&step.workdir);
        format!("docker run --rm -it{} -w {workdir} --entrypoint sh {place}", variables.collect::<String>())
    }
}

//! Keeps snapshots beyond a run as images in the registry, where every machine and every node finds them.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use pipelens_core::plan::PlanStep;

use crate::blocking;
use crate::cluster_settings::ClusterSettings;
use crate::error::EngineError;
use crate::kubernetes::claims::Claims;
use crate::kubernetes::image::Image;
use crate::kubernetes::kept_shell;
use crate::kubernetes::made_images::{self, MadeImages};
use crate::kubernetes::questions::Questions;
use crate::kubernetes::registry::Registry;
use crate::kubernetes::shared_results::ClusterResults;
use crate::mounts::Mounts;
use crate::runner::OpenRequest;
use crate::snapshot::{Removal, SharedResults, Snapshot, SnapshotStore};

/// What a step of this runner leaves for others.
#[derive(Debug, Clone)]
pub(super) enum ClusterSnapshot {
    /// The name of an image in the repository, with its digest: the result of an earlier run.
    Image(String),
    /// An image whose layers are in the repository: the result of a step of this run.
    Made(Arc<Image>),
    /// The name of the pod in which its only child runs next, with new processes and the same filesystem.
    Pod(String),
}

/// The images of a repository.
pub(super) struct ClusterStore {
    name: String,
    settings: ClusterSettings,
    questions: Arc<Questions>,
    claims: Arc<Claims>,
    results: Option<ClusterResults>,
    made: Arc<MadeImages>,
}

impl ClusterStore {
    pub(super) fn new(
        registry: Arc<Registry>,
        claims: Arc<Claims>,
        settings: &ClusterSettings,
        request: &OpenRequest,
    ) -> Self {
        let question = request.deadlines.question;
        let questions = Arc::new(Questions::new(registry, settings.is_asked_by_user, question));
        let made = Arc::new(MadeImages::new(request.state_dir.clone(), request.run_id));
        let results = || ClusterResults::new(Arc::clone(&questions), settings, Arc::clone(&made));
        Self {
            name: questions.registry.repository(),
            settings: settings.clone(),
            results: settings.project.is_some().then(results),
            questions,
            claims,
            made,
        }
    }

    fn registry(&self) -> &Registry {
        &self.questions.registry
    }

    /// Stores an image for later runs, and returns its place.
    pub(super) async fn add(&self, image: &Image) -> Result<String, EngineError> {
        made_images::push(&self.made, self.registry(), image).await
    }
}

#[async_trait]
impl SnapshotStore for ClusterStore {
    async fn name(&self) -> &str {
        &self.name
    }

    async fn resolve_image(&self, reference: &str) -> Option<String> {
        self.questions.image(reference).await
    }

    fn adopt(&self, place: &str) -> Snapshot {
        Snapshot::new(ClusterSnapshot::Image(place.to_owned()))
    }

    fn shared(&self) -> Option<&dyn SharedResults> {
        self.results.as_ref().map(|results| results as &dyn SharedResults)
    }

    async fn exists(&self, place: &str) -> Option<bool> {
        let Some(digest) = self.registry().digest_in(place) else { return Some(false) };
        self.questions.has(digest).await
    }

    async fn remove(&self, place: &str) -> Removal {
        let Some(digest) = self.registry().digest_in(place) else { return Removal::Refused };
        match self.questions.ask(self.registry().remove(digest)).await {
            Some(true) => Removal::Removed,
            Some(false) => Removal::Abandoned,
            None => Removal::Refused,
        }
    }

    fn trouble(&self) -> Option<EngineError> {
        let reason = self.questions.trouble()?;
        Some(EngineError::Registry { doing: "say what it has".to_owned(), reason, is_away: false })
    }

    fn mounts(&self) -> Option<&Mounts> {
        self.claims.mounts()
    }

    async fn remove_mount(&self, id: &str) -> bool {
        self.claims.remove(id).await
    }

    async fn sweep_mounts(&self) {
        self.claims.sweep().await;
    }

    /// Removes only what this run and those of dead processes of this user have made: another machine may be about to record the rest.
    async fn sweep(&self, _cache_name: &str, known: &BTreeSet<String>) {
        for place in self.made.places() {
            if known.contains(&place) || self.remove(&place).await != Removal::Refused {
                self.made.close(&place);
            }
        }
        let made = Arc::clone(&self.made);
        let left = blocking::run(move |_| made.left_by_others()).await.unwrap_or_default();
        // A run has one repository.
        for left in left.into_iter().filter(|left| left.places.iter().all(|it| self.registry().digest_in(it).is_some()))
        {
            let mut are_gone = true;
            for place in left.places.iter().filter(|place| !known.contains(*place)) {
                are_gone &= self.remove(place).await != Removal::Refused;
            }
            if are_gone {
                left.forget();
            }
        }
    }

    fn shell_command(&self, place: &str, step: &PlanStep) -> String {
        kept_shell::command(&self.settings, place, step)
    }
}

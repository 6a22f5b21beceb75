//! Keeps snapshots beyond a run as images in the registry, where every machine and every node finds them.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use pipelens_core::plan::PlanStep;
use uuid::Uuid;

use crate::cluster_settings::ClusterSettings;
use crate::deadlines::Deadlines;
use crate::error::EngineError;
use crate::kubernetes::attempts::persistently;
use crate::kubernetes::claims::Claims;
use crate::kubernetes::image::Image;
use crate::kubernetes::kept_for::KeptFor;
use crate::kubernetes::kept_shell;
use crate::kubernetes::questions::Questions;
use crate::kubernetes::registry::Registry;
use crate::kubernetes::shared_results::ClusterResults;
use crate::mounts::Mounts;
use crate::snapshot::{Removal, SharedResults, Snapshot, SnapshotStore};

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
    settings: ClusterSettings,
    questions: Arc<Questions>,
    claims: Arc<Claims>,
    run_id: Uuid,
    results: Option<ClusterResults>,
    /// The images that this run has made for later runs.
    made: Mutex<BTreeSet<String>>,
    /// The images that it has made for itself.
    own: Mutex<BTreeSet<String>>,
}

impl ClusterStore {
    pub(super) fn new(
        registry: Arc<Registry>,
        claims: Arc<Claims>,
        settings: &ClusterSettings,
        run_id: Uuid,
        deadlines: Deadlines,
    ) -> Self {
        let questions = Arc::new(Questions::new(registry, settings.is_asked_by_user, deadlines.question));
        Self {
            name: questions.registry.repository(),
            settings: settings.clone(),
            results: settings.project.is_some().then(|| ClusterResults::new(Arc::clone(&questions), settings)),
            questions,
            claims,
            run_id,
            made: Mutex::default(),
            own: Mutex::default(),
        }
    }

    fn registry(&self) -> &Registry {
        &self.questions.registry
    }

    /// Stores an image, for later runs or for this one alone, and returns its place.
    pub(super) async fn add(&self, image: &Image, outlives_run: bool) -> Result<String, EngineError> {
        let (kept_for, list) = match outlives_run {
            true => (KeptFor::LaterRuns(Uuid::new_v4()), &self.made),
            false => (KeptFor::Run(self.run_id), &self.own),
        };
        let digest = persistently(|| self.registry().push(image, &kept_for).boxed()).await?;
        let place = self.registry().name_of(&digest);
        list.lock().insert(place.clone());
        Ok(place)
    }

    /// Removes what the run has made for itself.
    pub(super) async fn remove_own(&self) -> Vec<String> {
        let own = std::mem::take(&mut *self.own.lock());
        let mut stays = 0;
        for place in &own {
            stays += usize::from(self.remove(place).await == Removal::Refused);
        }
        let why = self.questions.trouble().unwrap_or_else(|| "it refused".to_owned());
        let sentence = format!("{stays} images of this run stay in `{}`: {why}.", self.name);
        (stays > 0).then_some(sentence).into_iter().collect()
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

    /// Removes only what this run has made: another machine may be about to record the rest.
    async fn sweep(&self, _cache_name: &str, known: &BTreeSet<String>) {
        let made = std::mem::take(&mut *self.made.lock());
        for place in made.difference(known) {
            self.remove(place).await;
        }
    }

    fn shell_command(&self, place: &str, step: &PlanStep) -> String {
        kept_shell::command(&self.settings, place, step)
    }
}

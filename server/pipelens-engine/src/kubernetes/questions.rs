//! Questions to registries about what is there, with limits: one that does not answer is asked once in a run, and predictions while a user types
//! hardly ask at all. Changes nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::docker::reference;
use crate::error::EngineError;
use crate::kubernetes::kept_for::base_tag;
use crate::kubernetes::registry::Registry;
use crate::registry_answers;

/// How long a prediction waits for an answer. Without it, nothing is predicted.
const PATIENCE_OF_PREDICTIONS: Duration = Duration::from_secs(3);

pub(super) struct Questions {
    pub(super) registry: Arc<Registry>,
    repository: String,
    /// Whether a user asks. Otherwise, only the repository is asked, and no registry that a project names.
    is_asked_by_user: bool,
    patience: Duration,
    /// Why the repository did not answer. It is not asked again.
    trouble: Mutex<Option<String>>,
    /// Other registries that did not answer.
    silent: Mutex<HashSet<String>>,
}

impl Questions {
    pub(super) fn new(registry: Arc<Registry>, is_asked_by_user: bool, patience: Duration) -> Self {
        Self {
            repository: registry.repository(),
            registry,
            is_asked_by_user,
            patience: if is_asked_by_user { patience } else { patience.min(PATIENCE_OF_PREDICTIONS) },
            trouble: Mutex::default(),
            silent: Mutex::default(),
        }
    }

    /// Returns why the repository did not answer.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Waits for an answer of the repository; `None`: there is none.
    pub(super) async fn ask<T>(&self, question: impl Future<Output = Result<T, EngineError>>) -> Option<T> {
        if self.trouble.lock().is_some() {
            return None;
        }
        let why = match tokio::time::timeout(self.patience, question).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(EngineError::Registry { reason, .. })) => reason,
            Ok(Err(error)) => error.to_string().trim_end_matches('.').to_owned(),
            Err(_) => format!("it did not answer within {} s", self.patience.as_secs_f32()),
        };
        self.trouble.lock().get_or_insert(why);
        None
    }

    /// Whether the repository has an image; `None`: it does not answer.
    pub(super) async fn has(&self, digest: &str) -> Option<bool> {
        let question = async { Ok(self.registry.has(digest).await?.then(|| digest.to_owned())) };
        self.has_what(digest, question).await
    }

    /// Whether the repository has something with this tag; `None`: it does not answer.
    pub(super) async fn has_tag(&self, tag: &str) -> Option<bool> {
        self.has_what(tag, self.registry.digest_of_tag(tag)).await
    }

    async fn has_what(
        &self,
        what: &str,
        question: impl Future<Output = Result<Option<String>, EngineError>>,
    ) -> Option<bool> {
        if !self.is_asked_by_user
            && let Some(has) = registry_answers::has(&self.repository, what)
        {
            return Some(has);
        }
        let digest = self.ask(question).await?;
        let has = digest.is_some();
        registry_answers::remember(&self.repository, what, digest);
        Some(has)
    }

    /// Returns the digest that an image's name stands for; in a prediction, the one with which it was used last. `None`: it is not known.
    pub(super) async fn image(&self, reference: &str) -> Option<String> {
        if self.is_asked_by_user {
            return self.ask_its_registry(reference).await;
        }
        let tag = base_tag(reference);
        if let Some(known) = registry_answers::digest_of(&self.repository, &tag) {
            return known;
        }
        let digest = self.ask(self.registry.resolved_before(reference)).await?;
        registry_answers::remember(&self.repository, &tag, digest.clone());
        digest
    }

    async fn ask_its_registry(&self, image: &str) -> Option<String> {
        let host = reference::registry(image).to_owned();
        if self.silent.lock().contains(&host) {
            return None;
        }
        match tokio::time::timeout(self.patience, self.registry.resolve(image)).await {
            Ok(Ok(digest)) => return digest,
            // It answers, if only to say that it does not.
            Ok(Err(EngineError::ImageNotFound { .. } | EngineError::RegistryRefused { .. })) => {}
            Ok(Err(_)) | Err(_) => drop(self.silent.lock().insert(host)),
        }
        None
    }
}

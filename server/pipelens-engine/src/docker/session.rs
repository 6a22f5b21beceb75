//! One run's use of an engine: its client, its labels, its images, and the containers that wait for their next step.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bollard::Docker;
use bollard::models::ContainerCreateBody;
use parking_lot::Mutex;
use tokio::sync::{MutexGuard, OnceCell};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::deadlines::Deadlines;
use crate::docker::about::About;
use crate::docker::arguments::Arguments;
use crate::docker::cache_registry::ImageRegistry;
use crate::docker::commit::{self, Commit};
use crate::docker::container::Container;
use crate::docker::endpoint;
use crate::docker::image::{ImageFacts, Images};
use crate::docker::image_store::{DockerSnapshot, ImageStore};
use crate::docker::labels;
use crate::docker::liveness;
use crate::docker::network::Network;
use crate::docker::source_images::SourceLayers;
use crate::docker::worker::Worker;
use crate::error::EngineError;
use crate::fingerprint::workspace_id;
use crate::owner::Owner;
use crate::runner::OpenRequest;
use crate::slots::{Slot, Slots};
use crate::snapshot::Snapshot;
use crate::step_context::StepContext;
use crate::stop::Interruption;

pub(super) struct Session {
    pub(super) docker: Docker,
    pub(super) store: Arc<ImageStore>,
    /// The engine is on another machine, so sending bytes is expensive.
    pub(super) is_remote: bool,
    pub(super) deadlines: Deadlines,
    pub(super) source_layers: SourceLayers,
    /// Images without the volumes they declare, by the image that declares them.
    pub(super) plain_images: Slots<Arc<ImageFacts>>,
    /// The homes of users, by image and user.
    pub(super) homes: Slots<String>,
    /// The containers whose volumes have the git history, by image, user and path.
    pub(super) histories: Slots<String>,
    /// Cancelled when the first command has ended.
    pub(super) has_run_one: CancellationToken,
    run_id: Uuid,
    labels: HashMap<String, String>,
    /// Created before the first image that is to be removed with the run.
    anchor: OnceCell<()>,
    /// Containers that wait for the next step of their chain, by id.
    waiting: Mutex<HashMap<String, Worker>>,
}

impl Session {
    /// Finds the engine. Changes nothing in it.
    pub(super) async fn open(request: &OpenRequest) -> Result<Self, EngineError> {
        let OpenRequest { run_id, source_root, deadlines, .. } = request;
        let endpoint = endpoint::find(request.docker_host.as_deref(), Some(source_root), *deadlines).await?;
        let docker = endpoint.docker;
        let owner = Owner::this_process();
        let labels = HashMap::from([
            (labels::RUN.to_owned(), run_id.to_string()),
            (labels::OWNER.to_owned(), owner.to_string()),
            (labels::WORKSPACE.to_owned(), workspace_id(source_root)),
            (labels::KEPT.to_owned(), String::new()),
        ]);
        let store = ImageStore {
            about: About::new(docker.clone()),
            images: Images::new(docker.clone(), source_root.clone(), *deadlines),
            docker: docker.clone(),
            owner,
            run_id: *run_id,
            may_have_images: Arc::new(AtomicBool::new(false)),
            has_networks: AtomicBool::new(false),
            budget: deadlines.closing,
            mounts: request.mounts(),
            registry: request.cache_registry.clone().map(|registry| ImageRegistry::new(&docker, registry, request)),
        };
        if request.is_asked_soon {
            store.about.ask_ahead();
        }
        Ok(Self {
            docker,
            store: Arc::new(store),
            is_remote: endpoint.is_remote,
            deadlines: *deadlines,
            source_layers: SourceLayers::default(),
            plain_images: Slots::default(),
            homes: Slots::default(),
            histories: Slots::default(),
            has_run_one: CancellationToken::new(),
            run_id: *run_id,
            labels,
            anchor: OnceCell::new(),
            waiting: Mutex::default(),
        })
    }

    pub(super) fn images(&self) -> &Images {
        &self.store.images
    }

    /// Keeps a container for the only step that starts from it.
    pub(super) fn hand_on(&self, worker: Worker) -> Snapshot {
        let id = worker.container.id.clone();
        self.waiting.lock().insert(id.clone(), worker);
        Snapshot::new(DockerSnapshot::Container(id))
    }

    pub(super) fn take_waiting(&self, id: &str) -> Option<Worker> {
        self.waiting.lock().remove(id)
    }

    /// Creates the network of a step whose services need one.
    pub(super) async fn create_network(
        &self,
        context: &StepContext,
        image: &Arc<ImageFacts>,
        arguments: &Arguments,
    ) -> Result<Option<Network>, EngineError> {
        if arguments.apart.is_empty() {
            return Ok(None);
        }
        // If we are killed, it says that there is a network to remove.
        self.create_anchor(image).await?;
        self.store.has_networks.store(true, Ordering::Relaxed);
        let labels = self.labels_of(context);
        Network::create(&self.docker, labels, arguments.network.as_deref()).await.map(Some)
    }

    pub(super) fn labels_of(&self, context: &StepContext) -> HashMap<String, String> {
        let mut labels = self.labels.clone();
        labels.insert(labels::STEP.to_owned(), context.step().key.clone());
        labels
    }

    /// Returns how to commit a container, and makes sure that the image can be found again.
    pub(super) async fn commit_of(&self, context: &StepContext, container: &Container) -> Result<Commit, EngineError> {
        self.store.may_have_images.store(true, Ordering::Relaxed);
        let mut labels = self.labels_of(context);
        if let Some(workspace) = &context.keeping.workspace {
            // It belongs to no run and no process, so no sweep removes it,
            labels.insert(labels::KEPT.to_owned(), workspace.clone());
            labels.insert(labels::RUN.to_owned(), String::new());
            labels.insert(labels::OWNER.to_owned(), String::new());
            // unless no cache ever records it.
            labels.insert(labels::CACHE.to_owned(), context.keeping.cache_name.clone());
            labels.insert(labels::KEEPER.to_owned(), self.store.owner.to_string());
            labels.insert(labels::KEPT_BY_RUN.to_owned(), self.run_id.to_string());
        } else {
            self.create_anchor(&container.image).await?;
        }
        Ok(Commit {
            docker: self.docker.clone(),
            deadlines: self.deadlines,
            container_id: container.id.clone(),
            image: Arc::clone(&container.image),
            has_own_user: container.user != container.image.user,
            settings: self.store.about.facts().await.commit_settings,
            tag: commit::tag(self.run_id, context.index, &context.step().key),
            further_name: context.keeping.shared_name.clone().filter(|_| context.keeping.is_cached),
            labels,
        })
    }

    /// Creates a container that is removed last, so that whatever else there is of this run is found by it.
    pub(super) async fn create_anchor(&self, image: &Arc<ImageFacts>) -> Result<(), EngineError> {
        let anchor = async || {
            let mut labels = self.labels.clone();
            labels.insert(labels::ANCHOR.to_owned(), String::new());
            let body = ContainerCreateBody {
                image: Some(image.id.clone()),
                // It never runs, but the engine requires a command.
                entrypoint: Some(vec!["sh".into()]),
                labels: Some(labels),
                ..ContainerCreateBody::default()
            };
            Container::create_from(&self.docker, body, "", Arc::clone(image), String::new()).await.map(drop)
        };
        self.anchor.get_or_try_init(anchor).await.copied()
    }

    /// Waits until no other step holds the slot, but no longer than until the step is stopped or the engine is gone.
    pub(super) async fn lock<'s, T>(
        &self,
        context: &StepContext,
        slot: &'s Slot<T>,
    ) -> Result<MutexGuard<'s, Option<T>>, Interruption> {
        self.unless_stopped(context, async { Ok::<_, EngineError>(slot.lock().await) }).await
    }

    /// Waits for `work`, but no longer than until the step is stopped or the engine is gone.
    pub(super) async fn unless_stopped<T, E: Into<Interruption>>(
        &self,
        context: &StepContext,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Interruption> {
        tokio::select! {
            biased;
            () = context.stop.cancelled() => Err(Interruption::Stopped),
            result = work => result.map_err(Into::into),
            lost = liveness::lost(&self.docker, self.deadlines) => Err(lost.into()),
        }
    }
}

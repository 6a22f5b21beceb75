//! One run's use of a cluster: its client, its pods, its images, and the pods that wait for their next step.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use pipelens_agent::client::Agent;
use tokio::sync::{MutexGuard, OnceCell, watch};
use uuid::Uuid;

use crate::cluster_settings::ClusterSettings;
use crate::deadlines::Deadlines;
use crate::error::EngineError;
use crate::event::Phase;
use crate::kubernetes::arguments::Arguments;
use crate::kubernetes::attempts::persistently;
use crate::kubernetes::claims::Claims;
use crate::kubernetes::client::connect;
use crate::kubernetes::image::{Image, Layer, own_architecture};
use crate::kubernetes::kept_for::KeptFor;
use crate::kubernetes::names;
use crate::kubernetes::pod::{Extras, PodPlan};
use crate::kubernetes::pod_state::PodState;
use crate::kubernetes::pods::{self, Pods};
use crate::kubernetes::registry::Registry;
use crate::kubernetes::store::{ClusterSnapshot, ClusterStore};
use crate::kubernetes::worker::Worker;
use crate::kubernetes::{agent_program, agents};
use crate::owner::Owner;
use crate::runner::OpenRequest;
use crate::slots::{Slot, Slots};
use crate::snapshot::Snapshot;
use crate::step_context::StepContext;
use crate::stop::{self, Interruption};

pub(super) struct Session {
    pub(super) registry: Arc<Registry>,
    pub(super) store: Arc<ClusterStore>,
    pub(super) claims: Arc<Claims>,
    pub(super) owner: Owner,
    pub(super) settings: ClusterSettings,
    pub(super) deadlines: Deadlines,
    pub(super) run_id: Uuid,
    project: PathBuf,
    /// The images that steps start from, by reference and architecture.
    bases: Slots<(Image, String)>,
    /// The layers with the sources, by what tells them apart.
    source_layers: Slots<Layer>,
    /// The homes of users, by image.
    pub(super) homes: Slots<String>,
    /// The layer with the agent, by architecture.
    agents: Slots<Layer>,
    /// The connection to the API server, made when it is needed.
    pods: OnceCell<Arc<Pods>>,
    /// Pods that wait for the next step of their chain, by name.
    waiting: Mutex<HashMap<String, Worker>>,
    numbers: AtomicUsize,
    has_reported_mounts: AtomicBool,
}

/// What the first container of a pod is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct First<'a> {
    /// A word that is recognised in the pod's name.
    pub(super) name: &'a str,
    /// Without the agent.
    pub(super) image: &'a Image,
    pub(super) workdir: Option<&'a str>,
    pub(super) arguments: &'a Arguments,
}

/// A pod whose containers run.
pub(super) struct StartedPod {
    pub(super) name: String,
    pub(super) seen: watch::Receiver<PodState>,
    /// One of each container, in their order.
    pub(super) agents: Vec<Agent>,
}

impl Session {
    /// Reads the settings. Asks neither the cluster nor the registry.
    pub(super) fn open(request: &OpenRequest) -> Result<Self, EngineError> {
        let missing = || EngineError::ClusterSettings { reason: "no registry is set".to_owned() };
        let settings = request.cluster.clone().filter(|it| !it.registry.is_empty()).ok_or_else(missing)?;
        let (project, is_asked_by_user) = (request.source_root.clone(), settings.is_asked_by_user);
        let registry = Arc::new(Registry::new(&settings.registry, own_architecture(), project, is_asked_by_user)?);
        let claims = Arc::new(Claims::new(settings.clone(), request.deadlines, request.mounts()));
        let store = ClusterStore::new(Arc::clone(&registry), Arc::clone(&claims), &settings, request);
        Ok(Self {
            registry,
            store: Arc::new(store),
            claims,
            owner: Owner::this_process(),
            settings,
            deadlines: request.deadlines,
            run_id: request.run_id,
            project: request.source_root.clone(),
            bases: Slots::default(),
            source_layers: Slots::default(),
            homes: Slots::default(),
            agents: Slots::default(),
            pods: OnceCell::new(),
            waiting: Mutex::default(),
            numbers: AtomicUsize::new(0),
            has_reported_mounts: AtomicBool::new(false),
        })
    }

    /// Connects to the cluster, once.
    pub(super) async fn pods(&self) -> Result<&Arc<Pods>, EngineError> {
        self.pods.get_or_try_init(|| self.connect().boxed()).await
    }

    async fn connect(&self) -> Result<Arc<Pods>, EngineError> {
        let (client, namespace) = connect(&self.settings).await?;
        Ok(Arc::new(Pods::new(&client, &namespace, self.run_id, self.deadlines)))
    }

    /// Returns the pods if there has been a connection to the cluster.
    pub(super) fn pods_so_far(&self) -> Option<&Arc<Pods>> {
        self.pods.get()
    }

    /// Returns an image with its layers copied to the repository, and its digest.
    pub(super) async fn base(
        &self,
        context: &StepContext,
        reference: &str,
        arguments: &Arguments,
    ) -> Result<(Image, String), Interruption> {
        let architecture = arguments.architecture.as_deref().unwrap_or(own_architecture());
        let slot = self.bases.slot(&format!("{architecture} {reference}"));
        let mut slot = self.lock(context, &slot).await?;
        if let Some(base) = &*slot {
            return Ok(base.clone());
        }
        let bring = async {
            if architecture == own_architecture() {
                return persistently(|| self.registry.bring(reference).boxed()).await;
            }
            let other = Registry::new(&self.settings.registry, architecture, self.project.clone(), true)?;
            persistently(|| other.bring(reference).boxed()).await
        };
        let base = self.unless_stopped(context, bring).await?;
        Ok(slot.insert(base).clone())
    }

    /// Returns a layer that the repository has, made by `make` if no step has made it before.
    pub(super) async fn layer_of_sources(
        &self,
        context: &StepContext,
        name: &str,
        make: impl Future<Output = Result<Layer, EngineError>>,
    ) -> Result<Layer, Interruption> {
        let slot = self.source_layers.slot(name);
        let mut slot = self.lock(context, &slot).await?;
        if let Some(layer) = &*slot {
            return Ok(layer.clone());
        }
        let (files, bytes) = (context.sources.files, context.sources.bytes);
        context.report_phase(Phase::SendingSources { files, bytes });
        let layer = self.unless_stopped(context, make).await?;
        Ok(slot.insert(layer).clone())
    }

    /// Makes what every pod needs: a connection to the API server, and the layer with the agent.
    pub(super) async fn warm_up(&self, context: &StepContext, arguments: &Arguments) -> Result<(), Interruption> {
        let architecture = arguments.architecture.as_deref().unwrap_or(own_architecture());
        let connecting = self.unless_stopped(context, self.pods());
        tokio::try_join!(connecting, self.agent_layer(context, architecture)).map(drop)
    }

    /// Returns the layer with the agent.
    async fn agent_layer(&self, context: &StepContext, architecture: &str) -> Result<Layer, Interruption> {
        let slot = self.agents.slot(architecture);
        let mut slot = self.lock(context, &slot).await?;
        if slot.is_none() {
            let make = async {
                let program = agent_program::program(architecture).await?;
                self.registry.push_layer("store the agent", move |to| write_agent(&program, to)).await
            };
            *slot = Some(self.unless_stopped(context, make).await?);
        }
        slot.clone().ok_or(Interruption::Stopped)
    }

    /// Starts a pod, and connects to the agents of its containers. Once its creation has begun, it is not interrupted: otherwise there would be a
    /// pod that we do not know of.
    pub(super) async fn start_pod(
        &self,
        context: &StepContext,
        first: First<'_>,
        extras: Extras,
    ) -> Result<StartedPod, Interruption> {
        let First { name, image, workdir, arguments } = first;
        let architecture = arguments.architecture.clone().unwrap_or_else(|| own_architecture().to_owned());
        let mut images = Vec::new();
        for image in
            std::iter::once(image).chain(extras.beside.iter().map(|beside| beside.image.as_ref().unwrap_or(image)))
        {
            let with_agent = image.with(&self.agent_layer(context, &architecture).await?, "the agent");
            let push = persistently(|| self.registry.push(&with_agent, &KeptFor::Pod).boxed());
            let digest = self.unless_stopped(context, push).await?;
            images.push(self.registry.name_of(&digest));
        }
        let pods = self.unless_stopped(context, self.pods()).await?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let name = names::pod_name(self.run_id, name, number);
        let plan = PodPlan {
            name: name.clone(),
            run_id: self.run_id,
            owner: &self.owner,
            images,
            architecture: &architecture,
            workdir,
            arguments,
            extras: &extras,
            patience_seconds: agents::PATIENCE.as_secs(),
            avoided_nodes: pods.lost_nodes(),
            template: self.settings.pod_template.as_ref(),
        };
        let mut seen = pods.create(&name, &plan.pod()?).await?;
        match self.unless_stopped(context, self.reach(context, pods, &name, extras.beside.len(), &mut seen)).await {
            Ok(agents) => Ok(StartedPod { name, seen, agents }),
            Err(interruption) => {
                if matches!(&interruption, Interruption::Failed(error) if error.is_of_its_machine()) {
                    pods.note_lost(&name);
                }
                pods.discard(&name).await;
                Err(interruption)
            }
        }
    }

    async fn reach(
        &self,
        context: &StepContext,
        pods: &Pods,
        name: &str,
        beside: usize,
        seen: &mut watch::Receiver<PodState>,
    ) -> Result<Vec<Agent>, EngineError> {
        let key = &context.step().key;
        let notice = |reason: &str| context.events.notice(format!("`{key}` waits for its pod: {reason}."));
        pods::running(seen, self.deadlines.stall, notice).await?;
        let containers =
            std::iter::once(names::STEP_CONTAINER.to_owned()).chain((0..beside).map(names::container_beside));
        let connecting =
            try_join_all(containers.map(|container| agents::connect(pods.api().clone(), name.to_owned(), container)));
        let over = pods::over(seen.clone());
        tokio::select! {
            agents = connecting => agents,
            reason = over => Err(EngineError::PodEnded { reason }),
        }
    }

    /// Reports that nothing keeps cache mounts, once in a run.
    pub(super) fn report_missing_storage(&self, context: &StepContext) {
        if !self.has_reported_mounts.swap(true, Ordering::Relaxed) {
            let sentence = "Cache mounts are not kept in the cluster, because `kubernetes.storageClass` is not set: they are empty folders.";
            context.events.notice(sentence.to_owned());
        }
    }

    /// Keeps a pod for the only step that starts from it.
    pub(super) fn hand_on(&self, worker: Worker) -> Snapshot {
        let name = worker.name.clone();
        self.waiting.lock().insert(name.clone(), worker);
        Snapshot::new(ClusterSnapshot::Pod(name))
    }

    pub(super) fn take_waiting(&self, name: &str) -> Option<Worker> {
        self.waiting.lock().remove(name)
    }

    /// Waits until no other step holds the slot, but no longer than until the step is stopped.
    async fn lock<'s, T>(
        &self,
        context: &StepContext,
        slot: &'s Slot<T>,
    ) -> Result<MutexGuard<'s, Option<T>>, Interruption> {
        self.unless_stopped(context, async { Ok::<_, EngineError>(slot.lock().await) }).await
    }

    /// Waits for `work`, but no longer than until the step is stopped.
    pub(super) async fn unless_stopped<T, E: Into<Interruption>>(
        &self,
        context: &StepContext,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Interruption> {
        stop::unless_stopped(&context.stop, work).await
    }
}

fn write_agent(program: &[u8], to: &mut dyn Write) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(to);
    let mut folder = tar::Header::new_gnu();
    folder.set_entry_type(tar::EntryType::Directory);
    folder.set_mode(0o755);
    folder.set_size(0);
    let (parent, _) = names::AGENT.rsplit_once('/').unwrap_or_default();
    archive.append_data(&mut folder, parent.trim_start_matches('/'), std::io::empty())?;
    let mut file = tar::Header::new_gnu();
    file.set_mode(0o755);
    file.set_size(program.len() as u64);
    archive.append_data(&mut file, names::AGENT.trim_start_matches('/'), program)?;
    archive.finish()
}

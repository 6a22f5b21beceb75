//! Steps as Docker containers. A step's filesystem becomes an image only where several steps boot from it; the only child of a
//! step runs in its parent's container, which costs no start, no commit and no layer.

mod arguments;
mod boot;
mod command;
mod container;
mod conversation;
mod credentials;
mod endpoint;
mod image;
mod layers;
mod postmortem;
mod pulse;
mod readiness;
mod reap;
mod renewal;
mod services;
mod snapshot;
mod ssh;
mod transport;
mod ways;
mod worker;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::ContainerCreateBody;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pipelens_core::plan::PlanStep;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cache::workspace_id;
use crate::deadlines::Deadlines;
use crate::docker::arguments::Arguments;
use crate::docker::command::{StepCommand, Then};
use crate::docker::container::Container;
pub(crate) use crate::docker::endpoint::needs_program;
use crate::docker::image::{ImageFacts, Images};
use crate::docker::layers::Layers;
use crate::docker::services::Services;
use crate::docker::snapshot::{CommitSettings, Snapshot};
use crate::docker::worker::Worker;
use crate::error::{EngineError, with_causes};
use crate::event::Phase;
use crate::logs::StepLogs;
use crate::owner::Owner;
use crate::runner::{
    Ending, Heirs, KeepSnapshot, RunContext, Saved, SnapshotRef, StepResult, StepRunner, WORTH_A_SNAPSHOT, shell_word,
};

pub(crate) const LABEL_RUN: &str = "dev.pipelens.run";
pub(crate) const LABEL_STEP: &str = "dev.pipelens.step";
pub(crate) const LABEL_OWNER: &str = "dev.pipelens.owner";
/// On a container that runs beside a step's command: its name.
pub(crate) const LABEL_SERVICE: &str = "dev.pipelens.service";
/// On a container that never runs and goes behind the images of its run: an engine lists containers in no time, but reads every
/// image it has to list some, so whoever sweeps looks for images only where a dead owner has a container.
pub(crate) const LABEL_ANCHOR: &str = "dev.pipelens.anchor";
pub(crate) const LABEL_WORKSPACE: &str = "dev.pipelens.workspace";
/// On a snapshot that outlives its run: whose it is. A container inherits the labels of its image, so whatever has no such label
/// has an empty one.
pub(crate) const LABEL_KEPT: &str = "dev.pipelens.kept";
/// On a kept snapshot: the store that is to know it, and the process and the run that made it.
pub(crate) const LABEL_STORE: &str = "dev.pipelens.store";
pub(crate) const LABEL_KEEPER: &str = "dev.pipelens.keeper";
pub(crate) const LABEL_KEPT_BY_RUN: &str = "dev.pipelens.kept-by-run";

/// Nothing but the end of the run waits for the sweep; but a pull may take minutes.
const SWEEP_WITHIN: Duration = Duration::from_secs(1);
/// A step's beginning and end are the engine's work, most of it waiting for the kernel. With as many steps as CPUs these idle for a
/// tenth of the time; with two more, twenty steps side by side take as long as the engine's own calls (`cargo bench -- floor`).
const STEPS_ABOVE_CPUS: usize = 2;

/// Connects to the engine, for a question outside of any run.
pub(crate) async fn connect(docker_host: Option<&str>) -> Result<Docker, EngineError> {
    Ok(endpoint::find(docker_host, None, Deadlines::default()).await?.docker)
}

pub(crate) struct DockerRunner {
    docker: Docker,
    /// What the engine says of itself. It thinks about it, so whoever does not need it does not wait.
    about: Arc<OnceCell<About>>,
    /// The engine is on another machine: bytes cost more than time.
    is_remote: bool,
    deadlines: Deadlines,
    run_id: Uuid,
    owner: Owner,
    labels: HashMap<String, String>,
    images: Images,
    layers: Layers,
    /// Images have been made, by this run or by owners that died.
    may_have_images: Arc<AtomicBool>,
    /// Made before the first image that goes with the run.
    anchor: OnceCell<()>,
    /// The first command has ended.
    has_run_one: CancellationToken,
    /// Containers that wait for the next step of their line, by id.
    waiting: Mutex<HashMap<String, Worker>>,
}

impl DockerRunner {
    /// Finds the engine. Leaves everything in it as it is.
    pub(crate) async fn open(
        docker_host: Option<&str>,
        run_id: Uuid,
        source_root: &Path,
        deadlines: Deadlines,
    ) -> Result<Self, EngineError> {
        let engine = endpoint::find(docker_host, Some(source_root), deadlines).await?;
        let docker = engine.docker;
        let owner = Owner::this_process();
        let labels = HashMap::from([
            (LABEL_RUN.to_owned(), run_id.to_string()),
            (LABEL_OWNER.to_owned(), owner.to_string()),
            (LABEL_WORKSPACE.to_owned(), workspace_id(source_root)),
            (LABEL_KEPT.to_owned(), String::new()),
        ]);
        let images = Images::new(docker.clone(), source_root.to_owned(), deadlines);
        Ok(Self {
            docker,
            about: Arc::default(),
            is_remote: engine.is_remote,
            deadlines,
            run_id,
            owner,
            labels,
            images,
            layers: Layers::default(),
            may_have_images: Arc::default(),
            anchor: OnceCell::new(),
            has_run_one: CancellationToken::new(),
            waiting: Mutex::default(),
        })
    }

    /// Removes what dead owners left in the engine, and says how much it was. The engine does one thing after another where it can, so
    /// this waits until the first command has ended, but not for long, and not once `now` is cancelled.
    pub(crate) fn sweep(&self, now: CancellationToken) -> impl Future<Output = Option<String>> + Send + use<> {
        let (docker, owner, budget) = (self.docker.clone(), self.owner.clone(), self.deadlines.closing);
        let (has_run_one, may_have_images) = (self.has_run_one.clone(), Arc::clone(&self.may_have_images));
        async move {
            tokio::select! {
                () = has_run_one.cancelled() => {}
                () = now.cancelled() => {}
                () = tokio::time::sleep(SWEEP_WITHIN) => {}
            }
            let swept = reap::sweep_dead_owners(&docker, &owner, budget).await;
            // The engine may still be about to finish a commit that a dead owner had asked for.
            may_have_images.fetch_or(swept.is_some(), Ordering::Relaxed);
            swept
        }
    }

    /// Has the engine describe itself before anybody needs it.
    pub(crate) fn ask_ahead(&self) {
        let (docker, about) = (self.docker.clone(), Arc::clone(&self.about));
        tokio::spawn(async move { about.get_or_init(|| About::ask(&docker)).await.clone() });
    }

    async fn about(&self) -> &About {
        self.about.get_or_init(|| About::ask(&self.docker)).await
    }

    /// The step up to the end of its command, and its snapshot. What is to be tidied stays in `leftovers`, whatever happens.
    async fn carry_out(
        &self,
        context: &RunContext,
        logs: &mut StepLogs,
        leftovers: &mut Leftovers,
    ) -> Result<Ran, EngineError> {
        let command = StepCommand::of(context)?;
        let arguments = Arguments::of(context.step().runner_args.as_ref(), context.may_open_machine)?;
        if self.prepare(context, &arguments, leftovers).await?.is_none()
            || self.start_services(context, &arguments.services, leftovers).await?.is_none()
        {
            return Ok(Ran::stopped());
        }
        let Some(worker) = &mut leftovers.worker else { return Ok(Ran::stopped()) };
        let running = worker.run(context, &command, what_comes_then(context), logs);
        let ending = leftovers.services.beside(context, running).await;
        self.has_run_one.cancel();
        let ending = ending?;
        leftovers.services.end(context).await;
        if ending == Ending::Exited(0)
            && let Some(artifacts) = &context.artifacts
        {
            let taking = worker.container.take_artifacts(artifacts, &context.step().workdir);
            let Some(taken) = self.unless_stopped(context, taking).await? else { return Ok(Ran::stopped()) };
            context.say_artifacts(artifacts, &taken);
        }
        let has_children = context.keeps_snapshot.after(ending);
        let is_cached = context.keeping.is_cached && ending == Ending::Exited(0);
        if !has_children && !is_cached {
            return Ok(Ran { ending, snapshot: None, saved: None });
        }
        let can_hand_on =
            has_children && context.heirs == Heirs::Only && worker.is_waiting() && !worker.container.image.has_volumes;
        let is_worth_saving = context.keeping.workspace.is_some() && worker.unsaved >= WORTH_A_SNAPSHOT;
        if can_hand_on && !is_cached && !is_worth_saving {
            return Ok(Ran { ending, snapshot: self.hand_on(leftovers), saved: None });
        }
        let Some(saved) = self.save(context, leftovers).await? else { return Ok(Ran::stopped()) };
        let snapshot =
            if can_hand_on { self.hand_on(leftovers) } else { Some(SnapshotRef::Image(saved.place.clone())) };
        Ok(Ran {
            ending,
            snapshot: snapshot.filter(|_| has_children),
            saved: context.keeping.workspace.is_some().then_some(saved),
        })
    }

    fn hand_on(&self, leftovers: &mut Leftovers) -> Option<SnapshotRef> {
        let worker = leftovers.worker.take()?;
        let id = worker.container.id.clone();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), worker);
        Some(SnapshotRef::Container(id))
    }

    /// Makes an image of what the step leaves; `None` if the step is stopped meanwhile.
    async fn save(&self, context: &RunContext, leftovers: &mut Leftovers) -> Result<Option<Saved>, EngineError> {
        let worker = leftovers.worker.as_ref().map(|worker| (&worker.container, worker.is_quiet()));
        let Some((container, is_quiet)) = worker else { return Ok(None) };
        context.say_phase(Phase::Snapshotting);
        if !is_quiet {
            container.end().await?;
        }
        let mut saving = self.snapshot_of(context, container).await?.save().boxed();
        if let Some(saved) = self.unless_stopped(context, &mut saving).await? {
            if let Some(worker) = &mut leftovers.worker {
                worker.unsaved = Duration::ZERO;
            }
            return Ok(Some(saved));
        }
        // The engine goes on with a commit that nobody waits for, and its image would appear behind the cleanup's back.
        leftovers.saving = Some(saving);
        Ok(None)
    }

    /// Returns how the container is to be saved, and sees to it that the image will be found.
    async fn snapshot_of(&self, context: &RunContext, container: &Container) -> Result<Snapshot, EngineError> {
        self.may_have_images.store(true, Ordering::Relaxed);
        let mut labels = self.labels_of(context);
        if let Some(workspace) = &context.keeping.workspace {
            // It belongs to no run and to no process, so no sweep takes it away.
            labels.insert(LABEL_KEPT.to_owned(), workspace.clone());
            labels.insert(LABEL_RUN.to_owned(), String::new());
            labels.insert(LABEL_OWNER.to_owned(), String::new());
            // Unless no store ever gets to know it.
            labels.insert(LABEL_STORE.to_owned(), context.keeping.store.clone());
            labels.insert(LABEL_KEEPER.to_owned(), self.owner.to_string());
            labels.insert(LABEL_KEPT_BY_RUN.to_owned(), self.run_id.to_string());
        } else {
            self.drop_anchor(&container.image).await?;
        }
        Ok(Snapshot {
            docker: self.docker.clone(),
            deadlines: self.deadlines,
            container_id: container.id.clone(),
            image: Arc::clone(&container.image),
            has_own_user: container.user != container.image.user,
            settings: self.about().await.commit_settings,
            tag: snapshot::tag(self.run_id, context.index, &context.step().key),
            further_name: context.keeping.shared_name.clone().filter(|_| context.keeping.is_cached),
            labels,
        })
    }

    async fn drop_anchor(&self, image: &Arc<ImageFacts>) -> Result<(), EngineError> {
        let anchor = async || {
            let mut labels = self.labels.clone();
            labels.insert(LABEL_ANCHOR.to_owned(), String::new());
            let body = ContainerCreateBody {
                image: Some(image.id.clone()),
                // Never run, but an engine wants one.
                entrypoint: Some(vec!["sh".into()]),
                labels: Some(labels),
                ..ContainerCreateBody::default()
            };
            Container::create_from(&self.docker, body, "", Arc::clone(image), String::new()).await.map(drop)
        };
        self.anchor.get_or_try_init(anchor).await.copied()
    }

    fn labels_of(&self, context: &RunContext) -> HashMap<String, String> {
        let mut labels = self.labels.clone();
        labels.insert(LABEL_STEP.to_owned(), context.step().key.clone());
        labels
    }

    /// Waits for `work`, but no longer than until the step is stopped (`None`) or the engine is gone.
    async fn unless_stopped<T>(
        &self,
        context: &RunContext,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<Option<T>, EngineError> {
        tokio::select! {
            biased;
            () = context.stop.cancelled() => Ok(None),
            result = work => result.map(Some),
            lost = self.lost() => Err(lost),
        }
    }

    async fn lost(&self) -> EngineError {
        pulse::lost(&self.docker, self.deadlines).await
    }
}

/// What an engine says of itself.
#[derive(Debug, Clone)]
struct About {
    /// Its own name for itself.
    engine: String,
    parallelism: usize,
    commit_settings: CommitSettings,
}

impl About {
    /// An engine that does not answer shows at its first step.
    async fn ask(docker: &Docker) -> Self {
        let (info, version) = futures_util::future::join(docker.info(), docker.version()).await;
        let (info, version) = (info.unwrap_or_default(), version.unwrap_or_default());
        let is_podman =
            version.components.iter().flatten().any(|component| component.name.to_lowercase().contains("podman"));
        let cpus = info.ncpu.and_then(|cpus| usize::try_from(cpus).ok());
        Self {
            engine: if is_podman {
                // It makes itself a new id whenever it is asked.
                format!("podman {} {}", info.name.unwrap_or_default(), info.docker_root_dir.unwrap_or_default())
            } else {
                info.id.unwrap_or_default()
            },
            parallelism: cpus.unwrap_or(1).max(1) + STEPS_ABOVE_CPUS,
            commit_settings: if is_podman { CommitSettings::AsChanges } else { CommitSettings::InBody },
        }
    }
}

/// What a step leaves in the engine.
#[derive(Default)]
struct Leftovers {
    /// What the image of the step was; told and remembered with the run.
    digest: Option<String>,
    worker: Option<Worker>,
    services: Services,
    /// Goes on in the engine after a stop.
    saving: Option<BoxFuture<'static, Result<Saved, EngineError>>>,
    /// What makes the state of a failed step outlive it.
    failure: Option<Snapshot>,
}

impl Leftovers {
    async fn tidy(self) -> Option<Saved> {
        if let Some(saving) = self.saving {
            // Whatever comes of it is found by its label when the run closes.
            saving.await.ok();
        }
        self.services.remove().await;
        let mut worker = self.worker?;
        let mut kept = None;
        if let Some(failure) = self.failure {
            worker.settle().await;
            kept = failure.save().await.ok();
        }
        worker.remove().await;
        kept
    }
}

/// What became of a step's command.
struct Ran {
    ending: Ending,
    snapshot: Option<SnapshotRef>,
    saved: Option<Saved>,
}

impl Ran {
    fn stopped() -> Self {
        Self { ending: Ending::Stopped, snapshot: None, saved: None }
    }
}

#[async_trait]
impl StepRunner for DockerRunner {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn parallelism(&self) -> usize {
        self.about().await.parallelism
    }

    async fn engine(&self) -> &str {
        &self.about().await.engine
    }

    async fn image_id(&self, reference: &str) -> Option<String> {
        self.images.inspect(reference).await.ok().flatten().map(|facts| facts.id)
    }

    async fn shared_result(&self, name: &str, workspace: &str) -> Option<String> {
        let facts = self.images.inspect(name).await.ok().flatten()?;
        // Whatever we save says whose it is, also what is saved from an image that says something else.
        facts.workspace.as_deref().is_none_or(|owner| owner == workspace).then_some(facts.id)
    }

    async fn still_has(&self, place: &str) -> bool {
        self.image_id(place).await.is_some()
    }

    async fn remove_kept(&self, place: &str) -> bool {
        reap::remove_image(&self.docker, place).await
    }

    async fn remove_forgotten(&self, store: &str, known: &BTreeSet<String>) {
        if self.may_have_images.load(Ordering::Relaxed) {
            reap::remove_forgotten(&self.docker, &self.owner, self.run_id, store, known, self.deadlines.closing).await;
        }
    }

    fn shell_in(&self, place: &str, step: &PlanStep) -> String {
        let variables = step.env.iter().map(|(name, value)| format!(" -e {}", shell_word(&format!("{name}={value}"))));
        let workdir = shell_word(&step.workdir);
        format!("docker run --rm -it{} -w {workdir} --entrypoint sh {place}", variables.collect::<String>())
    }

    async fn run_step(&self, context: &RunContext, logs: &mut StepLogs) -> StepResult {
        let mut leftovers = Leftovers::default();
        let result = self.carry_out(context, logs, &mut leftovers).await;
        leftovers.services.end(context).await;
        if let Ok(Ran { ending: Ending::Exited(code), saved: None, .. }) = &result
            && *code != 0
            && context.keeping.workspace.is_some()
        {
            leftovers.failure = match &leftovers.worker {
                Some(worker) => self.snapshot_of(context, &worker.container).await.ok(),
                None => None,
            };
            if let Some(failure) = &mut leftovers.failure {
                // It is no result: whoever looks for one by its name must not find it.
                failure.further_name = None;
            }
        }
        let digest = leftovers.digest.take();
        let tidy = Some(leftovers.tidy().boxed());
        match result {
            Ok(Ran { ending, snapshot, saved }) => StepResult { ending: Ok(ending), snapshot, saved, tidy, digest },
            Err(error) => StepResult { ending: Err(error), snapshot: None, saved: None, tidy, digest },
        }
    }

    async fn close(&self) -> Vec<String> {
        let may_have_images = self.may_have_images.load(Ordering::Relaxed);
        reap::remove_run(&self.docker, self.run_id, &self.owner, may_have_images, self.deadlines.closing).await
    }
}

/// What becomes of a step's container when its command has ended.
fn what_comes_then(context: &RunContext) -> Then {
    let keeps_snapshot = context.keeps_snapshot != KeepSnapshot::Never;
    if keeps_snapshot && context.heirs == Heirs::Only {
        Then::Next
    } else if keeps_snapshot || context.keeping.is_cached || context.artifacts.is_some() {
        Then::Wait
    } else {
        Then::End
    }
}

/// The engine's own words, less what the client wraps round them.
fn reason(error: &bollard::errors::Error) -> String {
    let text = match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message.clone(),
        bollard::errors::Error::DockerStreamError { error } => error.clone(),
        other => with_causes(other),
    };
    text.trim().trim_end_matches('.').to_owned()
}

fn status_of(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Tells an engine that says no from one that is not there any more.
fn refused(doing: &'static str, error: &bollard::errors::Error) -> EngineError {
    if status_of(error).is_some() {
        EngineError::Refused { doing, reason: reason(error) }
    } else {
        EngineError::Lost { reason: reason(error) }
    }
}

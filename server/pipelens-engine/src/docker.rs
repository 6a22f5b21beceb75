//! Steps as Docker containers. A step's filesystem becomes an image only where several steps boot from it; the only child of a
//! step runs in its parent's container, which costs no start, no commit and no layer.

mod command;
mod container;
mod conversation;
mod endpoint;
mod image;
mod reap;
mod snapshot;
mod worker;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::archive::Packing;
use crate::docker::command::StepCommand;
use crate::docker::container::Container;
use crate::docker::image::{ImageFacts, Images};
use crate::docker::worker::Worker;
use crate::error::{EngineError, with_causes};
use crate::event::Phase;
use crate::logs::StepLogs;
use crate::outbox::Outbox;
use crate::owner::Owner;
use crate::runner::{Base, Ending, Heirs, RunContext, SnapshotRef, StepResult, StepRunner};
use crate::sources::Sources;

pub(crate) const LABEL_RUN: &str = "dev.pipelens.run";
pub(crate) const LABEL_STEP: &str = "dev.pipelens.step";
pub(crate) const LABEL_OWNER: &str = "dev.pipelens.owner";
pub(crate) const LABEL_WORKSPACE: &str = "dev.pipelens.workspace";

/// How often the engine is asked whether it still lives, and how long it may take to answer before it counts as lost.
const PULSE_EVERY: Duration = Duration::from_secs(5);
const PULSE_ANSWER_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct DockerRunner {
    docker: Docker,
    /// The engine is on another machine: bytes cost more than time.
    is_remote: bool,
    parallelism: usize,
    run_id: Uuid,
    labels: HashMap<String, String>,
    images: Images,
    sources: Arc<Sources>,
    /// Containers that wait for the next step of their line, by id.
    waiting: Mutex<HashMap<String, Worker>>,
}

impl DockerRunner {
    /// Finds the engine and removes what dead owners left in it.
    pub(crate) async fn open(
        docker_host: Option<&str>,
        run_id: Uuid,
        sources: Arc<Sources>,
        outbox: &Outbox,
    ) -> Result<Self, EngineError> {
        let engine = endpoint::find(docker_host).await?;
        let docker = engine.docker;
        let owner = Owner::this_process();
        if let Some(swept) = reap::sweep_dead_owners(&docker, &owner).await {
            outbox.notice(swept);
        }
        let info = answered("describe itself", docker.info()).await?;
        let parallelism = info.ncpu.and_then(|cpus| usize::try_from(cpus).ok()).unwrap_or(1).max(1);
        let labels = HashMap::from([
            (LABEL_RUN.to_owned(), run_id.to_string()),
            (LABEL_OWNER.to_owned(), owner.to_string()),
            (LABEL_WORKSPACE.to_owned(), workspace_id(&sources.root)),
        ]);
        let images = Images::new(docker.clone());
        Ok(Self {
            docker,
            is_remote: engine.is_remote,
            parallelism,
            run_id,
            labels,
            images,
            sources,
            waiting: Mutex::default(),
        })
    }

    /// The step up to the end of its command, and its snapshot. What is to be tidied stays in `leftovers`, whatever happens.
    async fn carry_out(
        &self,
        context: &RunContext,
        logs: &mut StepLogs,
        leftovers: &mut Leftovers,
    ) -> Result<(Ending, Option<SnapshotRef>), EngineError> {
        let command = StepCommand::of(context)?;
        match &context.base {
            Base::Image(reference) => {
                let Some(image) = self.unless_stopped(context, self.images.ensure(reference, context)).await? else {
                    return Ok((Ending::Stopped, None));
                };
                let created = self.create(context, image, leftovers).await?;
                if self.unless_stopped(context, self.send_sources(context, created)).await?.is_none() {
                    return Ok((Ending::Stopped, None));
                }
            }
            Base::Snapshot(SnapshotRef::Image(id)) => {
                self.create(context, self.images.known(id).await?, leftovers).await?;
            }
            Base::Snapshot(SnapshotRef::Container(id)) => {
                let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
                leftovers.worker = Some(waiting.ok_or_else(|| EngineError::NoSnapshot { parent: id.clone() })?);
            }
            Base::Snapshot(SnapshotRef::Folder(folder) | SnapshotRef::OwnFolder(folder)) => {
                return Err(EngineError::NoSnapshot { parent: folder.display().to_string() });
            }
        }
        let Some(worker) = &mut leftovers.worker else { return Ok((Ending::Stopped, None)) };
        let ending = worker.run(context, &command, logs, self.lost()).await?;
        if !context.keeps_snapshot.after(ending) {
            return Ok((ending, None));
        }
        match context.heirs {
            Heirs::Only if worker.is_waiting() && !worker.container.image.has_volumes => {
                Ok((ending, self.hand_on(leftovers)))
            }
            Heirs::Only | Heirs::Several => self.save(context, ending, leftovers).await,
        }
    }

    fn hand_on(&self, leftovers: &mut Leftovers) -> Option<SnapshotRef> {
        let worker = leftovers.worker.take()?;
        let id = worker.container.id.clone();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), worker);
        Some(SnapshotRef::Container(id))
    }

    /// Makes an image of what the step leaves.
    async fn save(
        &self,
        context: &RunContext,
        ending: Ending,
        leftovers: &mut Leftovers,
    ) -> Result<(Ending, Option<SnapshotRef>), EngineError> {
        let worker = leftovers.worker.as_ref().map(|worker| (&worker.container, worker.is_quiet()));
        let Some((container, is_quiet)) = worker else { return Ok((ending, None)) };
        context.say_phase(Phase::Snapshotting);
        if !is_quiet {
            container.end().await?;
        }
        let tag = snapshot::tag(self.run_id, context.index, &context.step().key);
        let (id, image) = (container.id.clone(), Arc::clone(&container.image));
        let mut commit = snapshot::commit(self.docker.clone(), id, image, tag, self.labels_of(context)).boxed();
        if let Some(image_id) = self.unless_stopped(context, &mut commit).await? {
            return Ok((ending, Some(SnapshotRef::Image(image_id))));
        }
        // The engine goes on with a commit that nobody waits for, and its image would appear behind the cleanup's back.
        leftovers.commit = Some(commit);
        Ok((Ending::Stopped, None))
    }

    /// Not interrupted by a stop: a container whose creation nobody waits for is a container nobody knows.
    async fn create<'a>(
        &self,
        context: &RunContext,
        image: Arc<ImageFacts>,
        leftovers: &'a mut Leftovers,
    ) -> Result<&'a Container, EngineError> {
        let created = Container::create(&self.docker, context, image, self.labels_of(context)).await?;
        Ok(&leftovers.worker.insert(Worker::new(created)).container)
    }

    async fn send_sources(&self, context: &RunContext, container: &Container) -> Result<(), EngineError> {
        context.say_phase(Phase::SendingSources { files: self.sources.files, bytes: self.sources.bytes });
        let (user_id, group_id) = container.user_ids().await?;
        let target = container.resolve(&context.step().workdir).await?;
        let packing = Packing { folder: target.name, user_id, group_id, is_compressed: self.is_remote };
        container.unpack(&target.parent, Arc::clone(&self.sources), packing).await
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

    /// Ends when the engine no longer answers. A connection to another machine may break without a sign.
    async fn lost(&self) -> EngineError {
        loop {
            tokio::time::sleep(PULSE_EVERY).await;
            match tokio::time::timeout(PULSE_ANSWER_WITHIN, self.docker.ping()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return EngineError::Lost { reason: with_causes(&error) },
                Err(_) => return no_answer(),
            }
        }
    }
}

/// What a step leaves in the engine.
#[derive(Default)]
struct Leftovers {
    worker: Option<Worker>,
    /// Goes on in the engine after a stop.
    commit: Option<BoxFuture<'static, Result<String, EngineError>>>,
}

impl Leftovers {
    async fn tidy(self) {
        if let Some(commit) = self.commit {
            // Whatever comes of it is found by its label when the run closes.
            commit.await.ok();
        }
        if let Some(worker) = self.worker {
            worker.container.remove().await;
        }
    }
}

#[async_trait]
impl StepRunner for DockerRunner {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn parallelism(&self) -> usize {
        self.parallelism
    }

    async fn run_step(&self, context: &RunContext, logs: &mut StepLogs) -> StepResult {
        let mut leftovers = Leftovers::default();
        let result = self.carry_out(context, logs, &mut leftovers).await;
        let tidy = Some(leftovers.tidy().boxed());
        match result {
            Ok((ending, snapshot)) => StepResult { ending: Ok(ending), snapshot, tidy },
            Err(error) => StepResult { ending: Err(error), snapshot: None, tidy },
        }
    }

    async fn close(&self) -> Vec<String> {
        reap::remove_run(&self.docker, self.run_id).await
    }
}

/// Names a workspace without telling its path.
fn workspace_id(root: &Path) -> String {
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
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

/// Waits for a call that is quick by nature. It is not interrupted by a stop, so an engine that hangs must not hold it.
async fn answered<T>(
    doing: &'static str,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(PULSE_ANSWER_WITHIN, call).await {
        Ok(result) => result.map_err(|error| refused(doing, &error)),
        Err(_) => Err(no_answer()),
    }
}

fn no_answer() -> EngineError {
    EngineError::Lost { reason: format!("it has not answered for {} s", PULSE_ANSWER_WITHIN.as_secs()) }
}

/// Tells an engine that says no from one that is not there any more.
fn refused(doing: &'static str, error: &bollard::errors::Error) -> EngineError {
    if status_of(error).is_some() {
        EngineError::Refused { doing, reason: reason(error) }
    } else {
        EngineError::Lost { reason: reason(error) }
    }
}

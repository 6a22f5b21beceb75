//! One step, from what it starts from to the snapshot it leaves.

use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt as _;
use pipelens_agent::client::Agent;
use pipelens_agent::protocol::message::{ApplyRequest, Identity, Then};
use pipelens_core::arguments;
use pipelens_core::plan::PlanStep;

use crate::archive::{self, Packing};
use crate::artifacts::{Artifacts, archives};
use crate::docker::source_images;
use crate::error::EngineError;
use crate::event::Phase;
use crate::image_user;
use crate::kubernetes::agents;
use crate::kubernetes::arguments::{Arguments, extra_hosts};
use crate::kubernetes::attempts::persistently;
use crate::kubernetes::history;
use crate::kubernetes::image::Image;
use crate::kubernetes::image_files::ImageFiles;
use crate::kubernetes::mounting::{self, Mounting};
use crate::kubernetes::pod::Extras;
use crate::kubernetes::services::{self, ServicePods};
use crate::kubernetes::session::{First, Session, StartedPod};
use crate::kubernetes::shell;
use crate::kubernetes::store::ClusterSnapshot;
use crate::kubernetes::worker::Worker;
use crate::logs::StepLogs;
use crate::mounts;
use crate::runner::Ran;
use crate::snapshot::{Outdated, Saved, Snapshot};
use crate::sources::Sources;
use crate::step_context::{Base, Ending, KeepSnapshot, StepContext};
use crate::stop::Interruption;

/// Sources of more bytes are a layer of the image.
const MOST_BYTES_SENT: u64 = 8_000_000;
/// Fewer are sent as they are.
const FEWEST_BYTES_COMPRESSED: u64 = 100_000;

/// What a step leaves in the cluster until it is removed.
#[derive(Default)]
pub(super) struct Leftovers {
    /// The digest of the step's image; reported, and remembered with the run.
    pub(super) digest: Option<String>,
    pub(super) worker: Option<Worker>,
    pub(super) services: ServicePods,
    /// The step's cache mounts, in use until nothing of the step runs any more.
    pub(super) mounting: Mounting,
}

/// Runs a step. Whatever happens, what has to be removed is in `leftovers`.
pub(super) async fn run(
    session: &Session,
    context: &StepContext,
    logs: &mut StepLogs,
    leftovers: &mut Leftovers,
) -> Result<Ran, Interruption> {
    let arguments = Arguments::of(context.step().runner_args.as_ref())?;
    leftovers.mounting = mounting::begin(session, context, &arguments).await?;
    let prepared = services::prepare(session, context, &arguments).await?;
    services::start_apart(session, context, &arguments, &prepared, &mut leftovers.services).await?;
    let mut extras = extras_of(&arguments)?;
    services::add_to(&mut extras, &prepared, &leftovers.services)?;
    let has_history = history::add_to(&mut extras, context, &arguments);
    let mut beside = prepare(session, context, &arguments, extras, leftovers).await?;
    if let Some(agent) = has_history.then(|| beside.pop()).flatten() {
        session.unless_stopped(context, history::fill(context, agent)).await?;
    }
    let Some(worker) = &mut leftovers.worker else { return Err(Interruption::Stopped) };
    session.unless_stopped(context, add_artifacts(context, worker)).await?;
    services::start(session, context, &prepared, &worker.name, beside, &mut leftovers.services).await?;
    let services = &mut leftovers.services.running;
    if let Some(terminal) = &context.terminal {
        let shell = session.unless_stopped(context, shell::run(context, &worker.agent, terminal));
        services.beside(context, shell).await?;
        services.end(context).await;
        return Ok(Ran::without_snapshot(Ending::Exited(0)));
    }
    let running = worker.run(context, what_comes_then(context), is_saved_afterwards(context), logs);
    let ran = services.beside(context, running).await;
    if let (Err(error), Some(pods)) = (&ran, session.pods_so_far())
        && error.is_of_its_machine()
    {
        pods.note_lost(&worker.name);
    }
    let ending = ran?;
    services.end(context).await;
    if let Some(artifacts) = context.artifacts_after(ending) {
        let taken = take_artifacts(session, context, worker, &artifacts).await;
        context.forgive_after_failure(ending, taken)?;
    }
    let can_be_handed_on = goes_to_child(context) && worker.is_waiting();
    let afterwards = context.afterwards(ending, can_be_handed_on, worker.unsaved);
    let (mut saved, mut made) = (None, None);
    if afterwards.is_saved {
        context.report_phase(Phase::Snapshotting);
        let is_kept = context.is_kept_after(ending);
        saved = session.unless_stopped(context, save(session, worker, is_kept)).await?;
        made = Some(Arc::new(worker.image.clone()));
    }
    let snapshot = match afterwards.is_handed_on {
        true => leftovers.worker.take().map(|worker| session.hand_on(worker)),
        false => made.map(|image| Snapshot::new(ClusterSnapshot::Made(image))),
    };
    let snapshot = snapshot.filter(|_| afterwards.has_children);
    Ok(Ran { ending, snapshot, saved: context.kept(saved, ending) })
}

/// Copies the artifacts out of the result of an earlier run. No command of the step runs.
pub(super) async fn hand_back_artifacts(
    session: &Session,
    context: &StepContext,
    leftovers: &mut Leftovers,
) -> Result<(), Interruption> {
    let arguments = Arguments::of(context.step().runner_args.as_ref())?;
    prepare(session, context, &arguments, extras_of(&arguments)?, leftovers).await?;
    let Some((worker, artifacts)) = leftovers.worker.as_ref().zip(context.artifacts.as_ref()) else { return Ok(()) };
    take_artifacts(session, context, worker, artifacts).await
}

/// Saves the filesystem of a pod as an image, whose layers are in the repository; if it is kept for later runs, the image is, too.
async fn save(session: &Session, worker: &mut Worker, is_kept: bool) -> Result<Option<Saved>, EngineError> {
    if is_kept {
        return save_for_later_runs(session, worker).await.map(Some);
    }
    worker.save(&session.registry).await.map(|_| None)
}

/// Saves the filesystem of a pod as an image for later runs.
pub(super) async fn save_for_later_runs(session: &Session, worker: &mut Worker) -> Result<Saved, EngineError> {
    let bytes = worker.save(&session.registry).await?;
    Ok(Saved { place: session.store.add(&worker.image).await?, bytes })
}

/// Returns what the step's own container has besides its image.
fn extras_of(arguments: &Arguments) -> Result<Extras, EngineError> {
    let mut extras = Extras { hosts: extra_hosts(&arguments.options)?, ..Extras::default() };
    extras.mounts = extras.volumes.of_options(&arguments.options)?;
    Ok(extras)
}

/// Makes a pod with what the step starts from, and returns the agents of the containers beside the step's.
async fn prepare(
    session: &Session,
    context: &StepContext,
    arguments: &Arguments,
    extras: Extras,
    leftovers: &mut Leftovers,
) -> Result<Vec<Agent>, Interruption> {
    match &context.base {
        Base::Image(reference) => {
            let has_no_mounts = extras.mounts.is_empty() && context.step().cache_mounts.is_empty();
            let from_base = async {
                let (image, digest) = session.base(context, reference, arguments).await?;
                context.report_image(reference, &digest);
                leftovers.digest = Some(digest);
                let finding = user_ids(session, arguments, &image);
                let ids = session.unless_stopped(context, finding).await?;
                if ids == (0, 0) && has_no_mounts && are_sent_to_pod(context) {
                    return Ok((image, true));
                }
                Ok((with_sources(session, context, ids, &image).await?, false))
            };
            // Meanwhile, what every pod needs.
            let ((image, are_missing), ()) = tokio::try_join!(from_base, session.warm_up(context, arguments))?;
            let beside = start_pod(session, context, arguments, image, extras, leftovers).await?;
            if let Some(worker) = leftovers.worker.as_ref().filter(|_| are_missing) {
                session.unless_stopped(context, send_sources(context, worker)).await?;
            }
            Ok(beside)
        }
        Base::Snapshot(snapshot, outdated) => match snapshot.get::<ClusterSnapshot>() {
            Some(ClusterSnapshot::Image(name)) => {
                let digest = session.registry.digest_in(name).ok_or_else(|| context.no_snapshot())?;
                let read = persistently(|| session.registry.read(digest).boxed());
                let image = session.unless_stopped(context, read).await?;
                let beside = start_pod(session, context, arguments, image, extras, leftovers).await?;
                if let Some((outdated, worker)) = outdated.as_ref().zip(leftovers.worker.as_ref()) {
                    session.unless_stopped(context, update_sources(context, worker, outdated)).await?;
                }
                Ok(beside)
            }
            Some(ClusterSnapshot::Made(image)) => {
                start_pod(session, context, arguments, Image::clone(image), extras, leftovers).await
            }
            Some(ClusterSnapshot::Pod(name)) => {
                let worker = session.take_waiting(name).ok_or_else(|| context.no_snapshot())?;
                let worker = leftovers.worker.insert(worker);
                leftovers.mounting.find(session, context, arguments, &worker.image).await?;
                Ok(Vec::new())
            }
            None => Err(context.no_snapshot().into()),
        },
    }
}

/// Starts the step's pod, and returns the agents of the containers beside the step's.
async fn start_pod(
    session: &Session,
    context: &StepContext,
    arguments: &Arguments,
    image: Image,
    mut extras: Extras,
    leftovers: &mut Leftovers,
) -> Result<Vec<Agent>, Interruption> {
    let step = context.step();
    let adding = leftovers.mounting.add_to(&mut extras, session, context, arguments, &image);
    session.unless_stopped(context, adding).await?;
    if leftovers.mounting.is_kept() {
        let finding = user_ids(session, arguments, &image);
        let ids = session.unless_stopped(context, finding).await?;
        extras.group = Some(ids.1).filter(|_| ids != (0, 0));
    }
    let first = First { name: &step.key, image: &image, workdir: Some(&step.workdir), arguments };
    let StartedPod { name, seen, agents } = session.start_pod(context, first, extras).await?;
    let mut agents = agents.into_iter();
    let agent = agents.next().ok_or(Interruption::Stopped)?;
    leftovers.worker = Some(Worker::new(name, agent, seen, image));
    Ok(agents.collect())
}

/// Whether the sources are sent to the step's pod: then the image is that of earlier runs, which nodes have. More of them are a layer, for which
/// nodes and the registry need not be asked again unless they change.
fn are_sent_to_pod(context: &StepContext) -> bool {
    context.sources.bytes <= MOST_BYTES_SENT && !source_images::is_worth_it(context)
}

/// Sends all sources to the pod of root.
async fn send_sources(context: &StepContext, worker: &Worker) -> Result<(), EngineError> {
    let (files, bytes) = (context.sources.files, context.sources.bytes);
    context.report_phase(Phase::SendingSources { files, bytes });
    let request = ApplyRequest::adding_to(&context.step().workdir);
    let packing = Packing { is_compressed: bytes >= FEWEST_BYTES_COMPRESSED, ..packing_for((0, 0)) };
    apply("receive the sources", context, worker, request, Arc::clone(&context.sources), packing).await
}

/// Returns an image with the sources on top.
async fn with_sources(
    session: &Session,
    context: &StepContext,
    ids: (u64, u64),
    image: &Image,
) -> Result<Image, Interruption> {
    let workdir = context.step().workdir.trim_matches('/').to_owned();
    let mut name = format!("{workdir}\0{ids:?}\0{:?}", context.hidden);
    if !source_images::is_worth_it(context) {
        // A step sees few files as they are when it starts. If they are unchanged, so is the layer, which the registry then has.
        name.extend(["\0", &context.step().key]);
    }
    let sources = Arc::clone(&context.sources);
    let packing = Packing { folder: workdir, ..packing_for(ids) };
    let make = session.registry.push_layer("send the sources", move |to| archive::pack(&sources, &packing, to));
    let layer = session.layer_of_sources(context, &name, make).await?;
    Ok(image.with(&layer, "the sources"))
}

/// Returns the ids of the user and the group with which a step's command runs.
async fn user_ids(session: &Session, arguments: &Arguments, image: &Image) -> Result<(u64, u64), EngineError> {
    match (arguments.user, image.user()) {
        // As Kubernetes does it for a user without a group.
        (Some((user, group)), _) => Ok((user, group.unwrap_or(0))),
        // No file needs to be looked for in the layers.
        (None, "0" | "root") => Ok((0, 0)),
        (None, user) => image_user::ids(user, &ImageFiles { registry: &session.registry, image }).await,
    }
}

/// Brings the sources in a snapshot up to date.
async fn update_sources(context: &StepContext, worker: &Worker, outdated: &Outdated) -> Result<(), EngineError> {
    let delta = context.delta_since(outdated);
    if delta.is_empty() {
        return Ok(());
    }
    let (files, bytes) = (delta.changed.files, delta.changed.bytes);
    context.report_phase(Phase::SendingSources { files, bytes });
    let identity = worker.identity("bring the sources up to date").await?;
    // `make` and its kind ignore a change that is older than what they have built.
    let modified = identity.now_seconds.max(delta.newest_before.saturating_add(1));
    let request = ApplyRequest {
        removed_files: delta.removed_files.iter().map(|path| bytes_of(path)).collect(),
        removed_folders: delta.removed_folders.iter().map(|path| bytes_of(path)).collect(),
        ..ApplyRequest::adding_to(&outdated.folder)
    };
    let packing = Packing { modified: Some(u64::try_from(modified).unwrap_or(0)), ..packing_for(ids_of(&identity)) };
    apply("bring the sources up to date", context, worker, request, Arc::new(delta.changed), packing).await
}

/// Returns how files are sent to a user and a group.
fn packing_for((user_id, group_id): (u64, u64)) -> Packing {
    Packing { folder: String::new(), user_id, group_id, is_compressed: false, modified: None }
}

fn ids_of(identity: &Identity) -> (u64, u64) {
    (identity.uid.into(), identity.gid.into())
}

fn bytes_of(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

async fn apply(
    doing: &'static str,
    context: &StepContext,
    worker: &Worker,
    request: ApplyRequest,
    sources: Arc<Sources>,
    packing: Packing,
) -> Result<(), EngineError> {
    if is_saved_afterwards(context) {
        // What is there when the files are listed is not part of what is saved.
        worker.agent.await_listing().await.map_err(|error| agents::refused(doing, &error))?;
    }
    let root = sources.root.clone();
    let (stream, failure) = archive::stream(sources, packing);
    let applied = worker.agent.apply(request, stream).await;
    if let Some(source) = failure.take() {
        return Err(EngineError::Sources { path: root, source });
    }
    applied.map(drop).map_err(|error| agents::refused(doing, &error))
}

/// Adds the artifacts that the step needs.
async fn add_artifacts(context: &StepContext, worker: &Worker) -> Result<(), EngineError> {
    let doing = "receive the artifacts of another step";
    for (provider, artifacts) in context.needed_artifacts().await? {
        if artifacts.entries.is_empty() {
            continue;
        }
        context.report_phase(Phase::SendingSources { files: artifacts.files, bytes: artifacts.bytes });
        let packing = packing_for(ids_of(&worker.identity(doing).await?));
        apply(
            doing,
            context,
            worker,
            ApplyRequest::adding_to(&context.step().workdir),
            Arc::clone(&artifacts),
            packing,
        )
        .await?;
        provider.check_sent(&artifacts)?;
    }
    Ok(())
}

async fn take_artifacts(
    session: &Session,
    context: &StepContext,
    worker: &Worker,
    artifacts: &Artifacts,
) -> Result<(), Interruption> {
    let taking = archives::take(worker, artifacts, &context.step().workdir);
    let taken = session.unless_stopped(context, taking).await?;
    context.report_artifacts(artifacts, &taken);
    Ok(())
}

/// What happens in a step's pod when its command has ended.
fn what_comes_then(context: &StepContext) -> Then {
    let keeps_snapshot = context.keeps_snapshot != KeepSnapshot::Never;
    if keeps_snapshot && goes_to_child(context) {
        Then::Next
    } else if keeps_snapshot || is_saved_afterwards(context) || context.artifacts.is_some() {
        Then::Wait
    } else {
        Then::End
    }
}

/// Whether the filesystem may be saved when the command has ended: then the agent has to know what was there before.
fn is_saved_afterwards(context: &StepContext) -> bool {
    context.keeps_snapshot != KeepSnapshot::Never || context.keeping.is_cached || context.keeping.workspace.is_some()
}

/// Whether the only child of a step may run in its pod. The pod of one with services is its own.
fn goes_to_child(context: &StepContext) -> bool {
    let arguments = context.step().runner_args.as_ref();
    let has_services =
        |step: &PlanStep| step.runner_args.as_ref().is_some_and(|it| !arguments::services(it).is_empty());
    let runs_there = |child: &PlanStep| {
        (child.runner_args.is_none() || child.runner_args.as_ref() == arguments)
            && mounts::are_same(context.step(), child)
            && !has_services(child)
            && !has_services(context.step())
    };
    context.only_child().is_some_and(runs_there)
}

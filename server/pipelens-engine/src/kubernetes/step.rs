//! One step, from what it starts from to the snapshot it leaves.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use pipelens_agent::protocol::message::{ApplyRequest, MissingFolders, Then};

use tokio::sync::mpsc;

use crate::archive::{self, Packing};
use crate::artifacts::taking::Taking;
use crate::artifacts::{Artifacts, StreamedBytes, Taken};
use crate::error::EngineError;
use crate::event::Phase;
use crate::kubernetes::agents;
use crate::kubernetes::arguments::Arguments;
use crate::kubernetes::image::Image;
use crate::kubernetes::session::Session;
use crate::kubernetes::shell;
use crate::kubernetes::store::ClusterSnapshot;
use crate::kubernetes::users;
use crate::kubernetes::worker::Worker;
use crate::logs::StepLogs;
use crate::runner::WORTH_A_SNAPSHOT;
use crate::snapshot::{Outdated, Saved, Snapshot};
use crate::sources::Sources;
use crate::step_context::{Base, Ending, KeepSnapshot, SnapshotUse, StepContext};
use crate::stop::Interruption;

/// How many chunks of an archive may be queued for the disk.
const ARTIFACT_CHUNKS: usize = 16;

/// What a step leaves in the cluster until it is removed.
#[derive(Default)]
pub(super) struct Leftovers {
    /// The digest of the step's image; reported, and remembered with the run.
    pub(super) digest: Option<String>,
    pub(super) worker: Option<Worker>,
}

/// How a step's command ended.
pub(super) struct Ran {
    pub(super) ending: Ending,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) saved: Option<Saved>,
}

impl Ran {
    pub(super) fn without_snapshot(ending: Ending) -> Self {
        Self { ending, snapshot: None, saved: None }
    }
}

/// Runs a step. Whatever happens, what has to be removed is in `leftovers`.
pub(super) async fn run(
    session: &Session,
    context: &StepContext,
    logs: &mut StepLogs,
    leftovers: &mut Leftovers,
) -> Result<Ran, Interruption> {
    let arguments = Arguments::of(context.step().runner_args.as_ref())?;
    session.report_what_is_missing(context);
    prepare(session, context, &arguments, leftovers).await?;
    let Some(worker) = &mut leftovers.worker else { return Err(Interruption::Stopped) };
    session.unless_stopped(context, add_artifacts(context, worker)).await?;
    if let Some(terminal) = &context.terminal {
        session.unless_stopped(context, shell::run(context, &worker.agent, terminal)).await?;
        return Ok(Ran::without_snapshot(Ending::Exited(0)));
    }
    let ending = worker.run(context, what_comes_then(context), is_saved_afterwards(context), logs).await?;
    if let Some(artifacts) = context.artifacts_after(ending) {
        let taken = take_artifacts(session, context, worker, &artifacts).await;
        context.forgive_after_failure(ending, taken)?;
    }
    let has_children = context.keeps_snapshot.after(ending);
    let is_cached = context.keeping.is_cached && ending == Ending::Exited(0);
    if !has_children && !is_cached {
        return Ok(Ran::without_snapshot(ending));
    }
    let can_hand_on = has_children && goes_to_child(context) && worker.is_waiting();
    let is_worth_saving = context.keeping.workspace.is_some() && worker.unsaved >= WORTH_A_SNAPSHOT;
    let mut saved = None;
    if !can_hand_on || is_cached || is_worth_saving {
        context.report_phase(Phase::Snapshotting);
        saved = Some(session.unless_stopped(context, save(session, worker)).await?);
    }
    let snapshot = if can_hand_on {
        leftovers.worker.take().map(|worker| session.hand_on(worker))
    } else {
        saved.as_ref().map(|saved| Snapshot::new(ClusterSnapshot::Image(saved.place.clone())))
    };
    Ok(Ran {
        ending,
        snapshot: snapshot.filter(|_| has_children),
        // Steps of this run may start from what a failure left, but it is no result for later runs.
        saved: saved.filter(|_| context.keeping.workspace.is_some() && ending == Ending::Exited(0)),
    })
}

/// Copies the artifacts out of the result of an earlier run. No command of the step runs.
pub(super) async fn hand_back_artifacts(
    session: &Session,
    context: &StepContext,
    leftovers: &mut Leftovers,
) -> Result<(), Interruption> {
    let arguments = Arguments::of(context.step().runner_args.as_ref())?;
    prepare(session, context, &arguments, leftovers).await?;
    let Some((worker, artifacts)) = leftovers.worker.as_ref().zip(context.artifacts.as_ref()) else { return Ok(()) };
    take_artifacts(session, context, worker, artifacts).await
}

/// Saves the filesystem of a pod as an image.
pub(super) async fn save(session: &Session, worker: &mut Worker) -> Result<Saved, EngineError> {
    let before: i64 = worker.image.layers.iter().map(|layer| layer.size).sum();
    let image = worker.save(&session.registry).await?;
    let after: i64 = image.layers.iter().map(|layer| layer.size).sum();
    let digest = session.registry.push_tagged(&image).await?;
    Ok(Saved { place: session.registry.name_of(&digest), bytes: u64::try_from(after - before).unwrap_or(0) })
}

/// Returns a pod with what the step starts from.
async fn prepare(
    session: &Session,
    context: &StepContext,
    arguments: &Arguments,
    leftovers: &mut Leftovers,
) -> Result<(), Interruption> {
    match &context.base {
        Base::Image(reference) => {
            let (image, digest) = session.base(context, reference, arguments).await?;
            context.report_image(reference, &digest);
            leftovers.digest = Some(digest);
            let image = with_sources(session, context, arguments, &image).await?;
            leftovers.worker = Some(session.start_pod(context, arguments, image).await?);
        }
        Base::Snapshot(snapshot, outdated) => match snapshot.get::<ClusterSnapshot>() {
            Some(ClusterSnapshot::Image(name)) => {
                let digest = session.registry.digest_in(name).ok_or_else(|| context.no_snapshot())?;
                let image = session.unless_stopped(context, session.registry.read(digest)).await?;
                let worker = leftovers.worker.insert(session.start_pod(context, arguments, image).await?);
                if let Some(outdated) = outdated {
                    session.unless_stopped(context, update_sources(context, worker, outdated)).await?;
                }
            }
            Some(ClusterSnapshot::Pod(name)) => {
                leftovers.worker = Some(session.take_waiting(name).ok_or_else(|| context.no_snapshot())?);
            }
            None => return Err(context.no_snapshot().into()),
        },
    }
    Ok(())
}

/// Returns an image with the sources on top.
async fn with_sources(
    session: &Session,
    context: &StepContext,
    arguments: &Arguments,
    image: &Image,
) -> Result<Image, Interruption> {
    let finding = users::ids(&session.registry, image, arguments.user);
    let (user_id, group_id) = session.unless_stopped(context, finding).await?;
    let workdir = context.step().workdir.trim_matches('/').to_owned();
    let name = format!("{workdir}\0{user_id}:{group_id}\0{:?}", context.hidden);
    let sources = Arc::clone(&context.sources);
    let packing = Packing { folder: workdir, user_id, group_id, is_compressed: false, modified: None };
    let make = session.registry.push_layer("send the sources", move |to| archive::pack(&sources, &packing, to));
    let layer = session.layer_of_sources(context, &name, make).await?;
    Ok(image.with(&layer, "the sources"))
}

/// Brings the sources in a snapshot up to date.
async fn update_sources(context: &StepContext, worker: &Worker, outdated: &Outdated) -> Result<(), EngineError> {
    let delta = context.delta_since(outdated);
    if delta.is_empty() {
        return Ok(());
    }
    let (files, bytes) = (delta.changed.files, delta.changed.bytes);
    context.report_phase(Phase::SendingSources { files, bytes });
    let doing = "bring the sources up to date";
    let identity = worker.agent.identity().await.map_err(|error| agents::refused(doing, &error))?;
    // `make` and its kind ignore a change that is older than what they have built.
    let modified = identity.now_seconds.max(delta.newest_before.saturating_add(1));
    let request = ApplyRequest {
        folder: outdated.folder.clone(),
        removed_files: delta.removed_files.iter().map(|path| bytes_of(path)).collect(),
        removed_folders: delta.removed_folders.iter().map(|path| bytes_of(path)).collect(),
        owner: None,
        missing_folders: MissingFolders::Create,
    };
    let packing = Packing {
        folder: String::new(),
        user_id: identity.uid.into(),
        group_id: identity.gid.into(),
        is_compressed: false,
        modified: Some(u64::try_from(modified).unwrap_or(0)),
    };
    apply(doing, worker, request, Arc::new(delta.changed), packing).await
}

fn bytes_of(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

async fn apply(
    doing: &'static str,
    worker: &Worker,
    request: ApplyRequest,
    sources: Arc<Sources>,
    packing: Packing,
) -> Result<(), EngineError> {
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
        let identity = worker.agent.identity().await.map_err(|error| agents::refused(doing, &error))?;
        let request = ApplyRequest {
            folder: context.step().workdir.clone(),
            removed_files: Vec::new(),
            removed_folders: Vec::new(),
            owner: None,
            missing_folders: MissingFolders::Create,
        };
        let packing = Packing {
            folder: String::new(),
            user_id: identity.uid.into(),
            group_id: identity.gid.into(),
            is_compressed: false,
            modified: None,
        };
        apply(doing, worker, request, Arc::clone(&artifacts), packing).await?;
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
    let taken = session.unless_stopped(context, copy_artifacts(context, worker, artifacts)).await?;
    context.report_artifacts(artifacts, &taken);
    Ok(())
}

async fn copy_artifacts(context: &StepContext, worker: &Worker, artifacts: &Artifacts) -> Result<Taken, EngineError> {
    let workdir = context.step().workdir.as_str();
    let mut taking = Taking::new(artifacts.clone(), vec![workdir.into()]);
    for place in artifacts.places() {
        let own_place = place.clone();
        let take = move |taking: &mut Taking, archive: StreamedBytes| taking.take_from_archive(&own_place, archive);
        taking = read_archive(workdir, place, worker, taking, take).await?;
    }
    taking.follow_links();
    while let Some(original) = taking.next_original() {
        let place = original.path.to_string_lossy().into_owned();
        let take =
            move |taking: &mut Taking, archive: StreamedBytes| taking.take_original_from_archive(original, archive);
        taking = read_archive(workdir, place, worker, taking, take).await?;
    }
    let finished = tokio::task::spawn_blocking(move || taking.finish()).await;
    let finished = finished.unwrap_or_else(|panic| Err(std::io::Error::other(panic.to_string())));
    finished.map_err(|source| EngineError::File { doing: "Writing the artifacts", path: workdir.into(), source })
}

/// Reads an archive of something in the working directory. If it does not exist, the archive is empty.
async fn read_archive(
    workdir: &str,
    place: String,
    worker: &Worker,
    mut taking: Taking,
    take: impl FnOnce(&mut Taking, StreamedBytes) -> std::io::Result<()> + Send + 'static,
) -> Result<Taking, EngineError> {
    let doing = "copy the artifacts";
    let path = if place.is_empty() { workdir.to_owned() } else { format!("{workdir}/{place}") };
    let archive = worker.agent.archive(path.into_bytes()).await;
    let Some(mut archive) = archive.map_err(|error| agents::refused(doing, &error))? else { return Ok(taking) };
    let (tx, chunks) = mpsc::channel(ARTIFACT_CHUNKS);
    let unpacking = tokio::task::spawn_blocking(move || {
        take(&mut taking, StreamedBytes { chunks, rest: Bytes::new() }).map(|()| taking)
    });
    let mut broken = None;
    loop {
        match archive.next().await {
            Ok(Some(chunk)) => {
                if tx.send(Ok(chunk)).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                tx.send(Err(std::io::Error::other("the connection was interrupted"))).await.ok();
                broken = Some(agents::refused(doing, &error));
                break;
            }
        }
    }
    // The task ends when its input ends.
    drop(tx);
    let unpacked = unpacking.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic.to_string())));
    if let Some(error) = broken {
        return Err(error);
    }
    unpacked.map_err(|source| EngineError::File { doing: "Writing the artifacts", path: place.into(), source })
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

/// Whether the only child of a step may run in its pod.
fn goes_to_child(context: &StepContext) -> bool {
    let mut children = context.plan.steps.iter().filter(|step| step.parent() == Some(context.index));
    let arguments = context.step().runner_args.as_ref();
    context.snapshot_use == SnapshotUse::Once
        && children.next().is_some_and(|child| child.runner_args.is_none() || child.runner_args.as_ref() == arguments)
}

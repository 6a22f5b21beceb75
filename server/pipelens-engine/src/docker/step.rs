//! One step, from what it starts from to the snapshot it leaves.

use std::time::Duration;

use pipelens_core::arguments::HOST_NETWORK;

use crate::artifacts::{Artifacts, archives};
use crate::docker::arguments::Arguments;
use crate::docker::boot;
use crate::docker::container::Container;
use crate::docker::image_store::DockerSnapshot;
use crate::docker::leftovers::Leftovers;
use crate::docker::mounting;
use crate::docker::services;
use crate::docker::session::Session;
use crate::docker::shell;
use crate::error::EngineError;
use crate::event::Phase;
use crate::logs::StepLogs;
use crate::mounts;
use crate::runner::Ran;
use crate::services::on_one_port;
use crate::snapshot::{Saved, Snapshot};
use crate::step_context::{Ending, KeepSnapshot, StepContext};
use crate::stop::Interruption;
use crate::supervisor::{StepCommand, Then};

/// Runs a step. Whatever happens, everything that has to be removed is in `leftovers`.
pub(super) async fn run(
    session: &Session,
    context: &StepContext,
    logs: &mut StepLogs,
    leftovers: &mut Leftovers,
) -> Result<Ran, EngineError> {
    match try_to_run(session, context, logs, leftovers).await {
        Ok(ran) => Ok(ran),
        Err(Interruption::Stopped) => Ok(Ran::without_snapshot(Ending::Stopped)),
        Err(Interruption::Failed(error)) => Err(error),
    }
}

/// Copies the artifacts out of the result of an earlier run. Its container never starts.
pub(super) async fn hand_back_artifacts(
    session: &Session,
    context: &StepContext,
    leftovers: &mut Leftovers,
) -> Result<(), Interruption> {
    let arguments = Arguments::of(context.step().runner_args.as_ref(), context.may_open_machine)?;
    boot::prepare(session, context, &arguments, None, leftovers).await?;
    let container = leftovers.worker.as_ref().map(|worker| &worker.container);
    let Some((container, artifacts)) = container.zip(context.artifacts.as_ref()) else { return Ok(()) };
    take_artifacts(session, context, container, artifacts).await
}

async fn take_artifacts(
    session: &Session,
    context: &StepContext,
    container: &Container,
    artifacts: &Artifacts,
) -> Result<(), Interruption> {
    let taking = archives::take(container, artifacts, &context.step().workdir);
    let taken = session.unless_stopped(context, taking).await?;
    context.report_artifacts(artifacts, &taken);
    Ok(())
}

async fn try_to_run(
    session: &Session,
    context: &StepContext,
    logs: &mut StepLogs,
    leftovers: &mut Leftovers,
) -> Result<Ran, Interruption> {
    let command = StepCommand::of(context)?;
    let mut arguments = Arguments::of(context.step().runner_args.as_ref(), context.may_open_machine)?;
    let mut images = Vec::new();
    if arguments.services.len() > 1 && arguments.network.as_deref() != Some(HOST_NETWORK) {
        images = services::images(session, context, &arguments.services).await?;
        let facts: Vec<_> = images.iter().map(|image| services::image_of(image)).collect();
        arguments.apart = on_one_port(&arguments.services, &facts);
    }
    let mounting = match context.step().cache_mounts.is_empty() {
        true => None,
        false => Some(mounting::begin(session, context, &arguments).await?),
    };
    let prepared = boot::prepare(session, context, &arguments, mounting.as_ref(), leftovers).await;
    leftovers.mounting = mounting;
    prepared?;
    let Some(worker) = &mut leftovers.worker else { return Err(Interruption::Stopped) };
    session.unless_stopped(context, boot::add_artifacts(session, context, &worker.container)).await?;
    if images.is_empty() && !arguments.services.is_empty() {
        images = services::images(session, context, &arguments.services).await?;
    }
    services::start(session, context, &arguments, images, worker, &mut leftovers.services).await?;
    if let Some(terminal) = &context.terminal {
        session.unless_stopped(context, worker.wake()).await?;
        let shell = shell::run(context, &worker.container, &arguments, terminal);
        let shell = session.unless_stopped(context, shell);
        leftovers.services.beside(context, shell).await?;
        leftovers.services.end(context).await;
        return Ok(Ran::without_snapshot(Ending::Exited(0)));
    }
    let running = worker.run(context, &command, what_comes_then(context), logs);
    let ending = leftovers.services.beside(context, running).await;
    session.has_run_one.cancel();
    let ending = ending?;
    leftovers.services.end(context).await;
    if let Some(artifacts) = context.artifacts_after(ending) {
        let taken = take_artifacts(session, context, &worker.container, &artifacts).await;
        context.forgive_after_failure(ending, taken)?;
    }
    let can_be_handed_on = goes_to_child(context) && worker.is_waiting();
    let afterwards = context.afterwards(ending, can_be_handed_on, worker.unsaved);
    let saved = match afterwards.is_saved {
        true => Some(save(session, context, ending, leftovers).await?),
        false => None,
    };
    let snapshot = match afterwards.is_handed_on {
        true => leftovers.worker.take().map(|worker| session.hand_on(worker)),
        false => saved.as_ref().map(|saved| Snapshot::new(DockerSnapshot::Image(saved.place.clone()))),
    };
    let snapshot = snapshot.filter(|_| afterwards.has_children);
    Ok(Ran { ending, snapshot, saved: context.kept(saved, ending) })
}

/// Saves the filesystem the step left as an image.
async fn save(
    session: &Session,
    context: &StepContext,
    ending: Ending,
    leftovers: &mut Leftovers,
) -> Result<Saved, Interruption> {
    let Some(worker) = &mut leftovers.worker else { return Err(Interruption::Stopped) };
    context.report_phase(Phase::Snapshotting);
    if !worker.is_quiet() {
        worker.container.end().await?;
    }
    let mut commit = session.commit_of(context, &worker.container).await?;
    // The name is how others find a result.
    commit.further_name = commit.further_name.filter(|_| ending == Ending::Exited(0));
    let saved = leftovers.wait_for_image(session, context, commit.save()).await?;
    if let Some(worker) = &mut leftovers.worker {
        worker.unsaved = Duration::ZERO;
    }
    Ok(saved)
}

/// What happens to a step's container when its command has ended.
fn what_comes_then(context: &StepContext) -> Then {
    let keeps_snapshot = context.keeps_snapshot != KeepSnapshot::Never;
    let has_mounts = !context.step().cache_mounts.is_empty();
    if keeps_snapshot && goes_to_child(context) {
        Then::Next
    } else if keeps_snapshot || context.keeping.is_cached || context.artifacts.is_some() || has_mounts {
        Then::Wait
    } else {
        Then::End
    }
}

/// Whether the only child of a step may run in its container.
fn goes_to_child(context: &StepContext) -> bool {
    context.only_child().is_some_and(|child| mounts::are_same(context.step(), child))
}

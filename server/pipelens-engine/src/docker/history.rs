//! The project's git history in steps: a volume that a container of ours fills and that steps mount read-only. It is filled once for all steps
//! of a run that have the same user, is part of no snapshot, and is removed with the last container that has it.

use std::sync::Arc;

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};

use crate::archive::Packing;
use crate::blocking;
use crate::docker::arguments::Arguments;
use crate::docker::container::Container;
use crate::docker::image::ImageFacts;
use crate::docker::session::Session;
use crate::error::EngineError;
use crate::history::{History, archive_of};
use crate::sources::Sources;
use crate::step_context::StepContext;
use crate::stop::Interruption;

/// Returns the container whose volume a step mounts, read-only, if it gets the history.
pub(super) async fn volume_of(
    session: &Session,
    context: &StepContext,
    image: &Arc<ImageFacts>,
    arguments: &Arguments,
) -> Result<Option<String>, Interruption> {
    let Some((history, folder)) = context.history.as_ref().zip(context.history_folder()) else { return Ok(None) };
    let user = arguments.user.as_deref().unwrap_or(&image.user);
    let slot = session.histories.slot(&format!("{}\0{user}\0{folder}", image.origin));
    let mut slot = session.lock(context, &slot).await?;
    if slot.is_none() {
        let container = create(session, context, image, arguments, &folder).await?;
        let filling = fill(session, &container, history, &folder);
        session.unless_stopped(context, filling).await?;
        *slot = Some(container.id);
    }
    Ok(slot.as_ref().map(|holder| format!("{holder}:ro")))
}

/// Creates a container that never runs, with an empty volume at a path. It is removed with the run.
async fn create(
    session: &Session,
    context: &StepContext,
    image: &Arc<ImageFacts>,
    arguments: &Arguments,
    folder: &str,
) -> Result<Container, EngineError> {
    let labels = session.labels_of(context);
    let volume_options =
        MountVolumeOptions { no_copy: Some(true), labels: Some(labels.clone()), ..MountVolumeOptions::default() };
    let mount = Mount {
        typ: Some(MountType::VOLUME),
        target: Some(folder.to_owned()),
        volume_options: Some(volume_options),
        ..Mount::default()
    };
    let body = ContainerCreateBody {
        image: Some(image.id.clone()),
        // The engine requires a command.
        entrypoint: Some(vec!["sh".into()]),
        labels: Some(labels),
        host_config: Some(HostConfig { mounts: Some(vec![mount]), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let user = arguments.user.clone().unwrap_or_else(|| image.user.clone());
    let platform = arguments.platform.as_deref().unwrap_or_default();
    Container::create_from(&session.docker, body, platform, Arc::clone(image), user).await
}

async fn fill(session: &Session, container: &Container, history: &History, folder: &str) -> Result<(), EngineError> {
    let (user_id, group_id) = container.user_ids().await?;
    let path = folder.trim_start_matches('/');
    let archive = archive_of(history, path, user_id, group_id);
    let archive = archive
        .map_err(|error| EngineError::Refused { doing: "receive the git history", reason: error.to_string() })?;
    container.receive("receive the git history", "/", archive).await?;
    for objects in &history.objects {
        let (own, from) = (objects.clone(), objects.0.clone());
        let failed = |source| EngineError::Sources { path: from.clone(), source };
        let listed = blocking::run(move |_| Sources::of_files(&own.0, &own.list()?)).await.flatten().map_err(failed)?;
        let is_compressed = session.is_remote;
        let packing = Packing { folder: format!("{path}/objects"), user_id, group_id, is_compressed, modified: None };
        container.unpack("/", Arc::new(listed), packing).await?;
    }
    Ok(())
}

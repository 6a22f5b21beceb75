//! Images without the volumes they declare. A declared volume is a directory that every container has for itself and that is in no snapshot,
//! so what a step leaves in it would be lost to the steps that start from it. An engine cannot start a container without them, nor commit
//! an image without them, so the image is given to it once more, with a changed configuration and the same layers. Knows no steps.
//!
//! What the engine was asked to make is waited for even if the step is stopped, because otherwise there would be something that we do
//! not know of.

use std::sync::Arc;

use bollard::models::{ContainerCreateBody, ImageConfig, ImageInspect};
use bollard::query_parameters::ImportImageOptions;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::docker::commit::{Commit, REPOSITORY};
use crate::docker::container::Container;
use crate::docker::image::ImageFacts;
use crate::docker::labels::{self, PLAIN, WITH_FOLDERS};
use crate::docker::leftovers::Leftovers;
use crate::docker::session::Session;
use crate::error::EngineError;
use crate::fingerprint::digest;
use crate::step_context::StepContext;
use crate::stop::Interruption;

/// Returns an image with the same files and settings that declares no volumes; the image itself if it declares none.
pub(super) async fn without_volumes(
    session: &Session,
    context: &StepContext,
    image: Arc<ImageFacts>,
    leftovers: &mut Leftovers,
) -> Result<Arc<ImageFacts>, Interruption> {
    if image.volumes.is_empty() {
        return Ok(image);
    }
    let slot = session.plain_images.slot(&image.id);
    let mut slot = session.lock(context, &slot).await?;
    if let Some(plain) = &*slot {
        return Ok(Arc::clone(plain));
    }
    let made = match make(session, context, &image, leftovers).await {
        Ok(made) => made,
        Err(Interruption::Failed(error)) if !matches!(error, EngineError::Lost { .. }) => {
            let reason = error.to_string().trim_end_matches('.').to_owned();
            let (image, volumes) = (image.reference.clone(), image.volumes.clone());
            return Err(EngineError::Volumes { image, volumes, reason }.into());
        }
        Err(stopped_or_lost) => return Err(stopped_or_lost),
    };
    let plain = Arc::new(ImageFacts {
        reference: image.reference.clone(),
        digest: image.digest.clone(),
        origin: image.origin.clone(),
        ..ImageFacts::clone(&made)
    });
    *slot = Some(Arc::clone(&plain));
    Ok(plain)
}

async fn make(
    session: &Session,
    context: &StepContext,
    image: &Arc<ImageFacts>,
    leftovers: &mut Leftovers,
) -> Result<Arc<ImageFacts>, Interruption> {
    let plain = match load(session, image, &commit_of(session, context, &unmade(session, image), PLAIN).await?).await {
        Some(plain) => plain,
        // An engine that does not accept an image without its layers gets all files.
        None => {
            let container = create(session, context, image).await?;
            let saving = commit_of(session, context, &container, PLAIN).await?.save_without_history();
            let saved = leftovers.wait_for_image(session, context, saving).await?;
            container.remove().await;
            session.images().known(&saved.place).await?
        }
    };
    // Where the image has no directory for a volume, the engine would have made one.
    let container = create(session, context, &plain).await?;
    let with_folders = add_folders(session, context, &container, &image.volumes, leftovers).await?;
    container.remove().await;
    Ok(with_folders.unwrap_or(plain))
}

/// Saves a container with the missing directories; `None`: none is missing.
async fn add_folders(
    session: &Session,
    context: &StepContext,
    container: &Container,
    folders: &[String],
    leftovers: &mut Leftovers,
) -> Result<Option<Arc<ImageFacts>>, Interruption> {
    if !create_folders(container, folders).await? {
        return Ok(None);
    }
    let saving = commit_of(session, context, container, WITH_FOLDERS).await?.save();
    let saved = leftovers.wait_for_image(session, context, saving).await?;
    Ok(Some(session.images().known(&saved.place).await?))
}

/// Returns how to make one of the images from a container.
async fn commit_of(
    session: &Session,
    context: &StepContext,
    container: &Container,
    suffix: &str,
) -> Result<Commit, EngineError> {
    let commit = session.commit_of(context, container).await?;
    let mut labels = commit.labels.clone();
    // It is not the result of a step.
    labels.remove(labels::STEP);
    labels.insert(labels::BASE.to_owned(), format!("{REPOSITORY}:{}", commit.tag));
    let tag = format!("{}-{suffix}", commit.tag);
    Ok(Commit { tag, labels, further_name: None, has_own_user: false, ..commit })
}

/// Describes a container of an image without creating it.
fn unmade(session: &Session, image: &Arc<ImageFacts>) -> Container {
    let (docker, image) = (session.docker.clone(), Arc::clone(image));
    Container { docker, id: String::new(), user: image.user.clone(), image }
}

/// Creates a container that never runs.
async fn create(session: &Session, context: &StepContext, image: &Arc<ImageFacts>) -> Result<Container, EngineError> {
    let body = ContainerCreateBody {
        image: Some(image.id.clone()),
        // The engine requires a command.
        entrypoint: Some(vec!["sh".into()]),
        labels: Some(session.labels_of(context)),
        ..ContainerCreateBody::default()
    };
    Container::create_from(&session.docker, body, "", Arc::clone(image), image.user.clone()).await
}

/// Gives the engine a configuration for layers that it already has, which takes a few milliseconds. `None`: it does not accept that.
async fn load(session: &Session, image: &ImageFacts, commit: &Commit) -> Option<Arc<ImageFacts>> {
    let inspected = session.docker.inspect_image(&image.id).await.ok()?;
    let name = format!("{REPOSITORY}:{}", commit.tag);
    let archive = archive(inspected, &name, commit)?;
    let loading = session.docker.import_image(ImportImageOptions::default(), bollard::body_full(archive), None);
    if let Err(error) = loading.try_for_each(|_| std::future::ready(Ok(()))).await {
        tracing::debug!(%error, "the engine does not load an image without its layers");
        return None;
    }
    let loaded = session.images().inspect(&name).await.ok().flatten()?;
    (loaded.volumes.is_empty() && loaded.layers == image.layers).then(|| Arc::new(loaded))
}

/// Returns an archive as `docker load` expects it, except that it lacks the layers.
fn archive(inspected: ImageInspect, name: &str, commit: &Commit) -> Option<Bytes> {
    let layers = inspected.root_fs?.layers?;
    let mut settings = inspected.config.unwrap_or_default();
    let mut labels = settings.labels.take().unwrap_or_default();
    labels.extend(commit.labels.clone());
    let config = json!({
        "created": inspected.created,
        "architecture": inspected.architecture,
        "variant": inspected.variant,
        "os": inspected.os,
        "os.version": inspected.os_version,
        "config": ImageConfig { volumes: None, labels: Some(labels), ..settings },
        "rootfs": { "type": "layers", "diff_ids": layers },
    });
    let config = serde_json::to_vec(&without_nulls(config)).ok()?;
    let file = format!("{}.json", digest(&config));
    let layers: Vec<_> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    let manifest = json!([{ "Config": file, "RepoTags": [name], "Layers": layers }]).to_string();
    let mut archive = Builder::new(Vec::new());
    for (name, content) in [(file.as_str(), config.as_slice()), ("manifest.json", manifest.as_bytes())] {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content).ok()?;
    }
    Some(archive.into_inner().ok()?.into())
}

fn without_nulls(mut value: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
    }
    value
}

/// Creates the directories that are missing in a container, and returns whether there were any.
async fn create_folders(container: &Container, folders: &[String]) -> Result<bool, EngineError> {
    let mut is_any_missing = false;
    for folder in folders {
        let mut existing = folder.trim_end_matches('/');
        let mut missing = Vec::new();
        while !existing.is_empty() && !container.has_path(existing).await? {
            missing.push(existing);
            existing = existing.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        if missing.is_empty() {
            continue;
        }
        is_any_missing = true;
        let mut archive = Builder::new(Vec::new());
        for path in missing.into_iter().rev() {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            let name = path.strip_prefix(existing).unwrap_or(path).trim_start_matches('/');
            archive.append_data(&mut header, name, std::io::empty()).map_err(|error| failed(&error))?;
        }
        let archive = archive.into_inner().map_err(|error| failed(&error))?;
        let parent = if existing.is_empty() { "/" } else { existing };
        container.receive("create a directory", parent, archive).await?;
    }
    Ok(is_any_missing)
}

fn failed(error: &std::io::Error) -> EngineError {
    EngineError::Refused { doing: "create a directory", reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_image_says_is_in_its_configuration() {
        let config = json!({ "os": "linux", "variant": null });
        assert_eq!(without_nulls(config), json!({ "os": "linux" }));
    }
}

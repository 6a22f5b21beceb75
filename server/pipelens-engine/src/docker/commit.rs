//! Commits a container's filesystem as an image that other steps start from. Knows nothing about scheduling.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerConfig, ContainerCreateBody};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptions, CreateImageOptionsBuilder, InspectContainerOptionsBuilder,
    RemoveImageOptions, TagImageOptionsBuilder,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use crate::deadlines::Deadlines;
use crate::docker::client_error::{reason, status_of};
use crate::docker::image::ImageFacts;
use crate::docker::labels;
use crate::docker::reap;
use crate::docker::transport;
use crate::error::EngineError;
use crate::owner::Owner;
use crate::snapshot::Saved;

/// The repository of all snapshots; the tag protects a snapshot from `docker image prune` while children still need it.
pub(super) const REPOSITORY: &str = "pipelens-snapshot";
/// Storage drivers support about 125 layers. Above this number, a snapshot is flattened into one layer.
const MOST_LAYERS: usize = 100;

/// Even a slow disk is faster. (Reading, packing and writing are one stream.)
const SAVED_BYTES_PER_SECOND: u64 = 10_000_000;

/// How an engine is told the command and entry point of the committed image. Each engine understands one of the two ways: Docker loses an
/// empty entry point in a `change`, and Podman ignores the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitSettings {
    InBody,
    AsChanges,
}

/// A container to commit, and the image to make from it.
pub(super) struct Commit {
    pub(super) docker: Docker,
    pub(super) deadlines: Deadlines,
    pub(super) container_id: String,
    /// The image the container was made from.
    pub(super) image: Arc<ImageFacts>,
    /// Whether the step's user differs from the image's.
    pub(super) has_own_user: bool,
    pub(super) settings: CommitSettings,
    pub(super) tag: String,
    pub(super) further_name: Option<String>,
    pub(super) labels: HashMap<String, String>,
}

impl Commit {
    /// Saves the filesystem. The image gets back its own command and entry point instead of the supervisor's.
    pub(super) async fn save(self) -> Result<Saved, EngineError> {
        if self.image.layers >= MOST_LAYERS {
            return self.save_without_history().await;
        }
        let id = self.commit(&self.container_id).await.map_err(|error| refused(&error))?;
        self.finish(id).await
    }

    /// Saves the filesystem as one layer, without the volumes that the image declares.
    pub(super) async fn save_without_history(self) -> Result<Saved, EngineError> {
        let id = self.save_flattened().await.map_err(|error| refused(&error))?;
        self.finish(id).await
    }

    async fn finish(self, id: String) -> Result<Saved, EngineError> {
        let inspected = self.docker.inspect_image(&id).await.unwrap_or_default();
        // As the engine itself writes ids: Podman's commit omits the `sha256:`, and without it a missing image is reported as an invalid name.
        let id = inspected.id.unwrap_or(id);
        if let Some((name, tag)) = self.further_name.as_deref().and_then(|name| name.rsplit_once(':')) {
            let options = TagImageOptionsBuilder::default().repo(name).tag(tag).build();
            self.docker.tag_image(&id, Some(options)).await.map_err(|error| refused(&error))?;
        }
        let size = inspected.size.and_then(|size| u64::try_from(size).ok());
        Ok(Saved { place: id, bytes: size.unwrap_or(0).saturating_sub(self.image.bytes) })
    }

    async fn commit(&self, container_id: &str) -> Result<String, bollard::errors::Error> {
        let options = CommitContainerOptionsBuilder::default()
            .container(container_id)
            .repo(REPOSITORY)
            .tag(&self.tag)
            // Nothing in the container writes, so there is no need to pause it.
            .pause(false);
        let config = self.config();
        let (options, config) = match self.settings {
            CommitSettings::InBody => (options.build(), config),
            CommitSettings::AsChanges => (options.changes(&changes(&config)).build(), ContainerConfig::default()),
        };
        tokio::select! {
            committed = self.docker.commit_container(options, config) => Ok(committed?.id),
            silent = self.too_long_for_its_size(container_id) => Err(silent.into()),
        }
    }

    /// Resolves when saving a container has taken too long. The engine reports nothing until it is done, so the amount of data to
    /// save is requested once saving takes a while.
    async fn too_long_for_its_size(&self, container_id: &str) -> std::io::Error {
        let first = self.deadlines.saving / 2;
        tokio::time::sleep(first).await;
        let options = InspectContainerOptionsBuilder::default().size(true).build();
        let inspected = self.docker.inspect_container(container_id, Some(options)).await;
        let bytes = inspected.ok().and_then(|inspected| u64::try_from(inspected.size_rw?).ok()).unwrap_or(0);
        let rest = first + Duration::from_secs(bytes / SAVED_BYTES_PER_SECOND);
        tokio::time::sleep(rest).await;
        transport::silence(first + rest)
    }

    fn config(&self) -> ContainerConfig {
        ContainerConfig {
            // An empty list means "none"; omitting it would keep ours.
            entrypoint: Some(self.image.entrypoint.clone().unwrap_or_default()),
            cmd: Some(self.image.cmd.clone().unwrap_or_default()),
            working_dir: self.image.workdir.clone().filter(|workdir| !workdir.is_empty()),
            // An empty one would keep the step's.
            user: self.has_own_user.then(|| match self.image.user.as_str() {
                "" => "0".to_owned(),
                user => user.to_owned(),
            }),
            labels: Some(self.labels.clone()),
            ..ContainerConfig::default()
        }
    }

    /// Exports the filesystem and imports it as one layer. An import loses variables and users, so a container that
    /// is never started restores them.
    async fn save_flattened(&self) -> Result<String, bollard::errors::Error> {
        let flat = format!("{}-flat", self.tag);
        let saved = self.save_by_way_of(&flat).await;
        // Its single layer stays in the image made from it; only the name is removed.
        for name in [format!("{REPOSITORY}:{flat}"), format!("localhost/{REPOSITORY}:{flat}")] {
            if self.docker.remove_image(&name, None::<RemoveImageOptions>, None).await.is_ok() {
                break;
            }
        }
        saved
    }

    async fn save_by_way_of(&self, flat: &str) -> Result<String, bollard::errors::Error> {
        let files = self.docker.export_container(&self.container_id).map_err(std::io::Error::other);
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(REPOSITORY)
            .tag(flat)
            // If this process ends here, the next one can tell whose image it was.
            .changes(vec![format!("LABEL {}=\"{}\" {}=\"\"", labels::OWNER, Owner::this_process(), labels::KEPT)])
            .build();
        let mut import = self.docker.create_image(Some(options), Some(bollard::body_try_stream(files)), None);
        let mut imported = format!("{REPOSITORY}:{flat}");
        while let Some(progress) = import.next().await {
            // The last report is the id, which is safer than the name: Podman makes it a name of this machine.
            imported = progress?.status.filter(|status| is_id(status)).unwrap_or(imported);
        }
        let config = self.docker.inspect_image(&self.image.id).await?.config.unwrap_or_default();
        let body = ContainerCreateBody {
            image: Some(imported),
            // Never run, but the engine requires a command.
            entrypoint: Some(vec!["sh".into()]),
            env: config.env,
            user: config.user,
            labels: Some(self.labels.clone()),
            ..ContainerCreateBody::default()
        };
        let shell = self.docker.create_container(None::<CreateContainerOptions>, body).await?.id;
        let committed = self.commit(&shell).await;
        reap::remove_container(&self.docker, &shell).await;
        committed
    }
}

fn is_id(status: &str) -> bool {
    let digits = status.strip_prefix("sha256:").unwrap_or(status);
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns settings as lines of a Dockerfile. The step's label comes from its container instead, because a key may contain characters that
/// a line may not.
fn changes(config: &ContainerConfig) -> String {
    let words = |words: &Option<Vec<String>>| serde_json::to_string(words.as_deref().unwrap_or_default());
    let mut lines: Vec<String> = [("ENTRYPOINT", &config.entrypoint), ("CMD", &config.cmd)]
        .into_iter()
        .filter_map(|(name, list)| Some(format!("{name} {}", words(list).ok()?)))
        .collect();
    lines.extend(config.working_dir.iter().map(|folder| format!("WORKDIR {folder}")));
    lines.extend(config.user.iter().map(|user| format!("USER {user}")));
    let labels = config.labels.iter().flatten().filter(|(name, _)| name.as_str() != labels::STEP);
    lines.extend(labels.map(|(name, value)| format!("LABEL {name}=\"{value}\"")));
    lines.join("\n")
}

fn refused(error: &bollard::errors::Error) -> EngineError {
    match status_of(error) {
        Some(_) => EngineError::SnapshotRefused { reason: reason(error) },
        None => EngineError::Lost { reason: reason(error) },
    }
}

/// Returns a tag that no other step has, whatever characters the step's key contains.
pub(super) fn tag(run_id: Uuid, index: usize, key: &str) -> String {
    let readable: String = key
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' })
        .take(40)
        .collect();
    format!("{}-{index}-{readable}", run_id.simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_becomes_a_valid_tag() {
        let id = Uuid::nil();
        assert_eq!(tag(id, 3, "Bau.Größe"), "00000000000000000000000000000000-3-bau-gr--e");
        assert!(tag(id, 999_999, &"x".repeat(500)).len() <= 128);
    }
}

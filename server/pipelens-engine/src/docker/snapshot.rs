//! A container's filesystem as an image its children boot from. Knows no schedule.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::Docker;
use bollard::models::ContainerConfig;
use bollard::query_parameters::CommitContainerOptionsBuilder;
use uuid::Uuid;

use crate::docker::image::ImageFacts;
use crate::docker::{reason, status_of};
use crate::error::EngineError;

/// The repository of every snapshot; a tag keeps `docker image prune` away while children still need it.
const REPOSITORY: &str = "pipelens-snapshot";

/// Saves the filesystem and returns the image's id. The image's own command and entry point come back; ours are not kept.
pub(super) async fn commit(
    docker: Docker,
    container_id: String,
    image: Arc<ImageFacts>,
    tag: String,
    labels: HashMap<String, String>,
) -> Result<String, EngineError> {
    let options = CommitContainerOptionsBuilder::default()
        .container(&container_id)
        .repo(REPOSITORY)
        .tag(&tag)
        // It has ended: there is nothing to pause.
        .pause(false)
        .build();
    let config = ContainerConfig {
        // An empty list says "none"; leaving it out would keep ours.
        entrypoint: Some(image.entrypoint.clone().unwrap_or_default()),
        cmd: Some(image.cmd.clone().unwrap_or_default()),
        working_dir: image.workdir.clone().filter(|workdir| !workdir.is_empty()),
        labels: Some(labels),
        ..ContainerConfig::default()
    };
    let committed = docker.commit_container(options, config).await.map_err(|error| match status_of(&error) {
        Some(_) => EngineError::SnapshotRefused { reason: reason(&error) },
        None => EngineError::Lost { reason: reason(&error) },
    })?;
    Ok(committed.id)
}

/// Returns a tag no other step has, whatever its key is made of.
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
    fn any_key_makes_a_tag() {
        let id = Uuid::nil();
        assert_eq!(tag(id, 3, "Bau.Größe"), "00000000000000000000000000000000-3-bau-gr--e");
        assert!(tag(id, 999_999, &"x".repeat(500)).len() <= 128);
    }
}

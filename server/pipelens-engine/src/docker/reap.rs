//! Removes what a run made, and what dead owners left. Finds everything by label. The only record it trusts is that a run has made
//! no images.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bollard::Docker;
use bollard::models::ImageSummary;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptions,
};
use futures_util::{FutureExt as _, StreamExt as _};
use uuid::Uuid;

use crate::docker::client_error::{reason, status_of};
use crate::docker::labels;
use crate::error::counted;
use crate::owner::Owner;

/// The engine may still finish a call that nothing waits for any more (a commit), so looking once is not enough.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);
const REMOVALS_AT_ONCE: usize = 4;

type Error = bollard::errors::Error;

/// Removes containers and images of the run, and returns a sentence for each that could not be removed. Also removes what dead owners left,
/// because it may have appeared only after the run's start.
///
/// It has a time limit of its own, because it also runs after a cancel and must not keep an editor from closing.
pub(super) async fn remove_run(
    docker: &Docker,
    run_id: Uuid,
    observer: &Owner,
    may_have: MayHave,
    budget: Duration,
) -> Vec<String> {
    let run_id = run_id.to_string();
    let mut problems = Vec::new();
    let work = async {
        loop {
            let Ok(mut things) = find(docker, observer, may_have).await else {
                problems = vec![
                    "The container engine stopped responding; what this run left in it will be removed at the next start.".into(),
                ];
                return;
            };
            things.keep_if(|thing| thing.run_id == run_id || thing.is_orphan(observer));
            problems = things.remove(docker).await;
            if problems.is_empty() {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    };
    let in_time = tokio::time::timeout(budget, work).await.is_ok();
    if !in_time && problems.is_empty() {
        problems.push(format!(
            "Cleaning up took more than {} s; the rest will be removed at the next start.",
            budget.as_secs()
        ));
    }
    problems
}

/// Removes what dead processes left, and returns a sentence about it.
pub(super) async fn sweep_dead_owners(docker: &Docker, observer: &Owner, budget: Duration) -> Option<String> {
    let work = async {
        let mut things = find(docker, observer, MayHave { images: false, networks: false }).await.ok()?;
        things.keep_if(|thing| thing.is_orphan(observer));
        if things.containers.is_empty() && things.images.is_empty() {
            return None;
        }
        let (containers, images) = (things.containers.len(), things.images.len());
        let networks = match things.networks.len() {
            0 => String::new(),
            networks => format!(", {}", counted(networks, "network")),
        };
        let problems = things.remove(docker).await;
        let stays = problems.iter().map(|problem| format!(" {problem}")).collect::<String>();
        Some(format!(
            "Removed leftovers of processes that have exited: {}, {}{networks}.{stays}",
            counted(containers, "container"),
            counted(images, "image")
        ))
    };
    tokio::time::timeout(budget, work).await.ok()?
}

/// Removes kept snapshots that their cache does not know and that will not be recorded, because their maker is dead or is this
/// run, which is over. A snapshot that something is still built on is removed another time.
pub(super) async fn remove_unrecorded(
    docker: &Docker,
    observer: &Owner,
    run_id: Uuid,
    cache_name: &str,
    known: &BTreeSet<String>,
    budget: Duration,
) {
    let Ok(mut images) = images(docker, &format!("{}={cache_name}", labels::CACHE)).await else { return };
    let run_id = run_id.to_string();
    images.retain(|image| {
        let label = |name: &str| image.labels.get(name).map_or("", String::as_str);
        // Whatever starts from a kept snapshot inherits all its labels except this one.
        let is_kept = !label(labels::KEPT).is_empty();
        let is_over = label(labels::KEPT_BY_RUN) == run_id
            || label(labels::KEEPER).parse::<Owner>().is_ok_and(|keeper| keeper.is_dead(observer));
        is_kept && is_over && !known.contains(&image.id)
    });
    let things: Vec<Thing> = images.into_iter().map(|image| Thing::new(image.id, &image.labels)).collect();
    // If a snapshot cannot be removed, there is nothing the user could do about it.
    drop(tokio::time::timeout(budget, remove_images(docker, &things)).await);
}

fn has_orphans(containers: &[Thing], observer: &Owner) -> bool {
    containers.iter().any(|thing| thing.is_orphan(observer))
}

/// Labelled containers and images, each with its owner.
struct Things {
    containers: Vec<Thing>,
    /// Newest first.
    images: Vec<Thing>,
    networks: Vec<Thing>,
}

/// What there may be besides containers: an engine takes long to list it.
#[derive(Debug, Clone, Copy)]
pub(super) struct MayHave {
    pub(super) images: bool,
    pub(super) networks: bool,
}

struct Thing {
    id: String,
    owner: String,
    run_id: String,
    is_service: bool,
    is_anchor: bool,
}

impl Thing {
    fn new(id: String, labels: &HashMap<String, String>) -> Self {
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let (is_service, is_anchor) = (labels.contains_key(labels::SERVICE), labels.contains_key(labels::ANCHOR));
        Self { id, owner: label(labels::OWNER), run_id: label(labels::RUN), is_service, is_anchor }
    }

    fn is_orphan(&self, observer: &Owner) -> bool {
        self.owner.parse::<Owner>().is_ok_and(|owner| owner.is_dead(observer))
    }
}

/// Finds everything that is to be removed with its run; images and networks only if there may be some: of dead owners, if one of them has a
/// container.
async fn find(docker: &Docker, observer: &Owner, may_have: MayHave) -> Result<Things, Error> {
    let filters = HashMap::from([("label", vec![labels::OWNER])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let containers = docker.list_containers(Some(options)).await?;
    let containers: Vec<Thing> =
        containers.into_iter().filter_map(|it| Some(Thing::new(it.id?, &it.labels.unwrap_or_default()))).collect();
    let has_orphans = has_orphans(&containers, observer);
    let images =
        if may_have.images || has_orphans { images(docker, &format!("{}=", labels::KEPT)).await? } else { Vec::new() };
    let images = images.into_iter().map(|it| Thing::new(it.id, &it.labels)).collect();
    let networks = if may_have.networks || has_orphans { networks(docker).await? } else { Vec::new() };
    Ok(Things { containers, images, networks })
}

async fn networks(docker: &Docker) -> Result<Vec<Thing>, Error> {
    let filters = HashMap::from([("label", vec![labels::OWNER])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = docker.list_networks(Some(options)).await?;
    Ok(networks.into_iter().filter_map(|it| Some(Thing::new(it.id?, &it.labels.unwrap_or_default()))).collect())
}

/// Returns the images with a label, newest first, because a child has to be removed before its parent.
async fn images(docker: &Docker, label: &str) -> Result<Vec<ImageSummary>, Error> {
    let filters = HashMap::from([("label", vec![label])]);
    let options = ListImagesOptionsBuilder::default().all(true).filters(&filters).build();
    let mut images = docker.list_images(Some(options)).await?;
    images.sort_by_key(|image| std::cmp::Reverse(image.created));
    Ok(images)
}

impl Things {
    fn keep_if(&mut self, keep: impl Fn(&Thing) -> bool) {
        self.containers.retain(&keep);
        self.images.retain(&keep);
        self.networks.retain(&keep);
    }

    async fn remove(&self, docker: &Docker) -> Vec<String> {
        let (anchors, others): (Vec<_>, Vec<_>) = self.containers.iter().partition(|thing| thing.is_anchor);
        // Podman does not remove a container whose network another one has joined.
        let (services, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|thing| thing.is_service);
        let mut problems = remove_containers(docker, services).await;
        problems.extend(remove_containers(docker, others).await);
        for network in &self.networks {
            problems.extend(remove_network(docker, &network.id).await);
        }
        problems.extend(remove_images(docker, &self.images).await);
        if problems.is_empty() {
            problems.extend(remove_containers(docker, anchors).await);
        }
        problems
    }
}

async fn remove_containers(docker: &Docker, things: Vec<&Thing>) -> Vec<String> {
    let removals: Vec<_> = things.into_iter().map(|thing| remove_container(docker, &thing.id).boxed()).collect();
    let removals = futures_util::stream::iter(removals).buffer_unordered(REMOVALS_AT_ONCE);
    removals.collect::<Vec<_>>().await.into_iter().flatten().collect()
}

/// Removes a container, running or not, with its anonymous volumes. Returns a sentence if it could not be removed.
pub(super) async fn remove_container(docker: &Docker, id: &str) -> Option<String> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match docker.remove_container(id, Some(options)).await {
        Ok(()) => None,
        // It is already removed, or about to be.
        Err(error) if status_of(&error) == Some(404) => None,
        Err(error) if status_of(&error) == Some(409) && reason(&error).contains("already in progress") => None,
        Err(error) => Some(format!("Container `{}` could not be removed: {}.", short(id), reason(&error))),
    }
}

/// Removes a network that no container uses any more. Returns a sentence if it could not be removed.
pub(super) async fn remove_network(docker: &Docker, id: &str) -> Option<String> {
    match docker.remove_network(id).await {
        Ok(()) => None,
        Err(error) if status_of(&error) == Some(404) => None,
        Err(error) => Some(format!("Network `{}` could not be removed: {}.", short(id), reason(&error))),
    }
}

/// Removes images. Their order within the same second is unknown, so an image with children is tried again after they are removed.
async fn remove_images(docker: &Docker, images: &[Thing]) -> Vec<String> {
    let mut left: Vec<&Thing> = images.iter().collect();
    loop {
        let mut refused = Vec::new();
        for &image in &left {
            // `noprune`, because the parent may be an untagged image of the user.
            let options = RemoveImageOptionsBuilder::default().force(true).noprune(true).build();
            match docker.remove_image(&image.id, Some(options), None).await {
                Ok(_) => {}
                Err(error) if status_of(&error) == Some(404) => {}
                Err(error) => refused.push((image, reason(&error))),
            }
        }
        if refused.is_empty() || refused.len() == left.len() {
            return refused
                .into_iter()
                .map(|(image, reason)| format!("Snapshot `{}` could not be removed: {reason}.", short(&image.id)))
                .collect();
        }
        left = refused.into_iter().map(|(image, _)| image).collect();
    }
}

/// Removes one image. `false`: something still needs it, or the engine does not answer.
pub(super) async fn remove_image(docker: &Docker, id: &str) -> bool {
    let options = RemoveImageOptionsBuilder::default().force(true).noprune(true).build();
    match docker.remove_image(id, Some(options), None).await {
        Ok(_) => true,
        Err(error) => status_of(&error) == Some(404),
    }
}

const VOLUME_PREFIX: &str = "pipelens-mount-";

/// Returns the name of the volume of a cache mount.
pub(super) fn volume_of(mount_id: &str) -> String {
    format!("{VOLUME_PREFIX}{mount_id}")
}

/// Returns the ids of the cache mounts of a state directory that have a volume.
pub(super) async fn mount_volumes(docker: &Docker, cache_name: &str) -> Result<Vec<String>, Error> {
    let filters = HashMap::from([("label", vec![format!("{}={cache_name}", labels::CACHE)])]);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let volumes = docker.list_volumes(Some(options)).await?.volumes.unwrap_or_default();
    Ok(volumes.iter().filter_map(|volume| Some(volume.name.strip_prefix(VOLUME_PREFIX)?.to_owned())).collect())
}

/// Removes the volume of a cache mount. `false`: a container still uses it, or the engine does not answer.
pub(super) async fn remove_volume(docker: &Docker, mount_id: &str) -> bool {
    match docker.remove_volume(&volume_of(mount_id), None::<RemoveVolumeOptions>).await {
        Ok(()) => true,
        Err(error) => status_of(&error) == Some(404),
    }
}

fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

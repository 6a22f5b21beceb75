//! The cache mounts of steps as volumes of the engine. A volume has our labels, no lock: the locks are on this machine.

use std::collections::HashMap;
use std::fmt::Write as _;

use bollard::models::{Mount, MountType, MountVolumeOptions, VolumeCreateRequest};
use bollard::query_parameters::ListContainersOptionsBuilder;
use tar::{Builder, EntryType, Header};

use crate::clock;
use crate::docker::arguments::Arguments;
use crate::docker::client_error::refused;
use crate::docker::container::{Attachments, Container};
use crate::docker::image::ImageFacts;
use crate::docker::labels;
use crate::docker::reap;
use crate::docker::session::Session;
use crate::docker::worker::Worker;
use crate::error::EngineError;
use crate::mounts::{self, Lease, Meter, Wanted};
use crate::owner::Owner;
use crate::step_context::StepContext;
use crate::stop::Interruption;
use crate::supervisor::quoted;

/// What the permissions of a file are in its mode.
const PERMISSIONS: u32 = 0o777;

/// The mounts of one step.
#[derive(Debug, Default)]
pub(super) struct Mounting {
    /// In use until these are dropped; empty if nothing outlives the run.
    leases: Vec<Lease>,
}

/// Waits until the step may use its mounts, and makes their volumes.
pub(super) async fn begin(
    session: &Session,
    context: &StepContext,
    arguments: &Arguments,
) -> Result<Mounting, Interruption> {
    let wanted = &context.step().cache_mounts;
    let Some(mounts) = session.store.mounts.as_ref().filter(|_| !wanted.is_empty()) else {
        return Ok(Mounting::default());
    };
    let engine = session.store.about.facts().await.name.clone();
    let platform = arguments.platform.as_deref().unwrap_or_default();
    let wanted: Vec<_> = wanted.iter().map(|mount| Wanted { mount, engine: &engine, platform }).collect();
    let leases = mounts.lease(&wanted, |mount| context.report_wait(mount), &context.stop).await?;
    for lease in &leases {
        let labels = HashMap::from([
            (labels::MOUNT.to_owned(), lease.record.name.clone()),
            (labels::WORKSPACE.to_owned(), lease.record.workspace.clone()),
            (labels::CACHE.to_owned(), mounts.cache_name().to_owned()),
        ]);
        let request =
            VolumeCreateRequest { name: Some(reap::volume_of(&lease.id)), labels: Some(labels), ..Default::default() };
        let making = session.docker.create_volume(request);
        let making = async { making.await.map_err(|error| refused("create a volume", &error)) };
        session.unless_stopped(context, making).await?;
        if lease.is_exclusive {
            session.unless_stopped(context, end_dead_users(session, &lease.id)).await?;
        }
    }
    Ok(Mounting { leases })
}

/// Removes containers of dead processes that still use a mount. They end by themselves within seconds, but until then they may write to it.
async fn end_dead_users(session: &Session, id: &str) -> Result<(), EngineError> {
    let filters = HashMap::from([("volume", vec![reap::volume_of(id)])]);
    let options = ListContainersOptionsBuilder::default().filters(&filters).build();
    let containers = session.docker.list_containers(Some(options)).await;
    let containers = containers.map_err(|error| refused("list the containers that use a volume", &error))?;
    for container in containers {
        let owner = container.labels.as_ref().and_then(|labels| labels.get(labels::OWNER));
        let is_dead = owner
            .and_then(|owner| owner.parse::<Owner>().ok())
            .is_some_and(|owner| owner.is_dead(&session.store.owner));
        if let (true, Some(id)) = (is_dead, container.id) {
            reap::remove_container(&session.docker, &id).await;
        }
    }
    Ok(())
}

impl Mounting {
    /// Returns how a container of an image mounts the volumes. Without a lease, a volume is removed with its container.
    pub(super) async fn volumes(
        &self,
        session: &Session,
        context: &StepContext,
        image: &ImageFacts,
        arguments: &Arguments,
    ) -> Result<Vec<Mount>, EngineError> {
        let of_image = async {
            match &image.home {
                Some(home) => Ok(home.clone()),
                None => home_of_user(session, context, image, arguments).await,
            }
        };
        let places = mounts::places(&context.step().cache_mounts, context.home(of_image)).await?;
        let volume = |(number, target): (usize, String)| Mount {
            typ: Some(MountType::VOLUME),
            source: self.leases.get(number).map(|lease| reap::volume_of(&lease.id)),
            target: Some(target),
            // It begins empty, whatever the image has there.
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
            ..Mount::default()
        };
        Ok(places.into_iter().enumerate().map(volume).collect())
    }

    /// Returns how to look up how large the mounts are, once nothing else runs in the container.
    pub(super) fn meters(&self, volumes: &[Mount]) -> Vec<(String, Meter)> {
        let targets = volumes.iter().filter_map(|volume| volume.target.clone());
        targets.zip(self.leases.iter().map(Lease::meter)).collect()
    }
}

/// Looks up the home of the user in the image, once for a run.
async fn home_of_user(
    session: &Session,
    context: &StepContext,
    image: &ImageFacts,
    arguments: &Arguments,
) -> Result<String, EngineError> {
    let user = arguments.user.as_deref().unwrap_or(&image.user);
    let slot = session.homes.slot(&format!("{}\0{user}", image.origin));
    let mut slot = slot.lock().await;
    if let Some(home) = &*slot {
        return Ok(home.clone());
    }
    let labels = session.labels_of(context);
    let image = std::sync::Arc::new(image.clone());
    // It never runs.
    let container =
        Container::create(&session.docker, context, image, arguments, Attachments::default(), labels).await?;
    let home = container.home().await;
    container.remove().await;
    *slot = Some(home.clone());
    Ok(home)
}

/// Gives the mounts to the container's user, with the directories above them that the engine has made.
pub(super) async fn own(container: &Container, context: &StepContext, volumes: &[Mount]) -> Result<(), EngineError> {
    let (user_id, group_id) = container.user_ids().await?;
    if (user_id, group_id) == (0, 0) {
        return Ok(());
    }
    let failed =
        |error: std::io::Error| EngineError::Refused { doing: "create a cache mount", reason: error.to_string() };
    let mut archive = Builder::new(Vec::new());
    for (mount, volume) in context.step().cache_mounts.iter().zip(volumes) {
        let Some(target) = volume.target.as_deref() else { continue };
        // Directories outside the home and the working directory belong to the image.
        let inside = mount.path.strip_prefix("~/").or_else(|| {
            let below = mount.path.strip_prefix(context.step().workdir.trim_end_matches('/'))?;
            below.strip_prefix('/')
        });
        let inside = inside.unwrap_or_else(|| mount.path.rsplit('/').next().unwrap_or_default());
        let above = target.strip_suffix(inside).unwrap_or_default().trim_end_matches('/');
        let mut path = above.to_owned();
        for part in inside.split('/') {
            write!(path, "/{part}").ok();
            let Some(mode) = container.mode(&path).await? else { continue };
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Directory);
            header.set_mode(mode & PERMISSIONS);
            header.set_uid(user_id);
            header.set_gid(group_id);
            header.set_mtime(u64::try_from(clock::seconds_now()).unwrap_or(0));
            header.set_size(0);
            archive.append_data(&mut header, path.trim_start_matches('/'), std::io::empty()).map_err(failed)?;
        }
    }
    container.receive("create a cache mount", "/", archive.into_inner().map_err(failed)?).await
}

/// Looks up how large mounts are, in a container in which nothing else runs. An image without `du` leaves it unknown.
pub(super) async fn measure(worker: &mut Worker, meters: Vec<(String, Meter)>) {
    if meters.is_empty() {
        return;
    }
    let paths: String = meters.iter().map(|(path, _)| format!(" {}", quoted(path))).collect();
    let line = format!("du -sk --{paths} 2>/dev/null\n");
    let Ok(Some(said)) = tokio::time::timeout(mounts::MEASURED_WITHIN, worker.look(line.into())).await else { return };
    mounts::record_sizes(&said, meters);
}

//! The cache mounts of steps as persistent volume claims, where the user names a storage class; else as empty folders that go with the pod.

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::ListParams;
use pipelens_agent::protocol::message::AskRequest;

use crate::error::EngineError;
use crate::image_user;
use crate::image_user::UserFiles as _;
use crate::kubernetes::arguments::Arguments;
use crate::kubernetes::image::Image;
use crate::kubernetes::image::own_architecture;
use crate::kubernetes::image_files::ImageFiles;
use crate::kubernetes::pod::Extras;
use crate::kubernetes::resources::Pod;
use crate::kubernetes::session::Session;
use crate::kubernetes::worker::Worker;
use crate::kubernetes::{names, pods};
use crate::mounts::{self, Lease, Meter, Wanted};
use crate::owner::Owner;
use crate::step_context::StepContext;
use crate::stop::Interruption;

/// How long what a dead process has left may take to end, and how often it is looked for.
const ENDED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// The processes of a dead owner get no time, but its pod is there until they have ended.
const GRACE_SECONDS: u32 = 1;

/// The mounts of one step.
#[derive(Debug, Default)]
pub(super) struct Mounting {
    /// In use until these are dropped; empty if nothing outlives the run.
    leases: Vec<Lease>,
    /// Where they are in the container.
    paths: Vec<String>,
    /// How to record how large those are that are no longer in use.
    meters: Vec<Meter>,
}

/// Waits until the step may use its mounts, and makes their claims.
pub(super) async fn begin(
    session: &Session,
    context: &StepContext,
    arguments: &Arguments,
) -> Result<Mounting, Interruption> {
    let wanted = &context.step().cache_mounts;
    let claims = &session.claims;
    let Some(mounts) = claims.mounts().filter(|_| !wanted.is_empty()) else { return Ok(Mounting::default()) };
    if claims.storage_class().is_none() {
        session.report_missing_storage(context);
        return Ok(Mounting::default());
    }
    let engine = session.registry.repository();
    let architecture = arguments.architecture.as_deref().unwrap_or(own_architecture());
    let platform = format!("{}\n{architecture}", claims.place());
    let wanted: Vec<_> = wanted.iter().map(|mount| Wanted { mount, engine: &engine, platform: &platform }).collect();
    let leases = mounts.lease(&wanted, |mount| context.report_wait(mount), &context.stop).await?;
    for lease in &leases {
        session.unless_stopped(context, claims.make(lease)).await?;
        if lease.is_exclusive {
            session.unless_stopped(context, end_dead_users(session, &lease.id)).await?;
        }
    }
    Ok(Mounting { leases, ..Mounting::default() })
}

/// Removes the pods of dead processes that still use a mount, and waits until they are gone. They end by themselves when their agents notice, but
/// until then they may write to it.
async fn end_dead_users(session: &Session, id: &str) -> Result<(), EngineError> {
    let pods = session.pods().await?;
    let (managed_by, pipelens) = names::MANAGED_BY;
    let all = ListParams::default().labels(&format!("{managed_by}={pipelens}"));
    let claim = names::claim(id);
    let looking = async {
        loop {
            let listed = pods.api().list(&all).await;
            let listed = listed.map_err(|error| pods::refused("list the pods that use a cache mount", &error))?;
            let dead: Vec<_> = listed.items.into_iter().filter(|pod| is_left(session, pod, &claim)).collect();
            if dead.is_empty() {
                return Ok(());
            }
            for pod in dead.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
                pods.delete(&pod.name_any(), GRACE_SECONDS).await?;
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    };
    // A node that does not answer keeps its pods for ever.
    tokio::time::timeout(ENDED_WITHIN, looking).await.unwrap_or(Ok(()))
}

/// Whether a pod uses a claim, and its owner is dead.
fn is_left(session: &Session, pod: &Pod, claim: &str) -> bool {
    let owner = pod.annotations().get(names::OWNER).and_then(|text| text.parse::<Owner>().ok());
    pod.uses_claim(claim) && owner.is_some_and(|owner| owner.is_dead(&session.owner))
}

impl Mounting {
    /// Adds the volumes to a pod with an image. `group`: that of its user.
    pub(super) async fn add_to(
        &mut self,
        extras: &mut Extras,
        session: &Session,
        context: &StepContext,
        arguments: &Arguments,
        image: &Image,
    ) -> Result<(), EngineError> {
        self.find(session, context, arguments, image).await?;
        for (number, path) in self.paths.iter().enumerate() {
            extras.mounts.push(match self.leases.get(number) {
                Some(lease) => extras.volumes.claim(&names::claim(&lease.id), path),
                None => extras.volumes.folder(path),
            });
        }
        Ok(())
    }

    /// Looks up where the mounts are in a container with an image.
    pub(super) async fn find(
        &mut self,
        session: &Session,
        context: &StepContext,
        arguments: &Arguments,
        image: &Image,
    ) -> Result<(), EngineError> {
        let of_image = async {
            match image.variable("HOME") {
                Some(home) => Ok(home),
                None => home_of_user(session, image, arguments).await,
            }
        };
        self.paths = mounts::places(&context.step().cache_mounts, context.home(of_image)).await?;
        Ok(())
    }

    /// Whether a volume outlives the pod.
    pub(super) fn is_kept(&self) -> bool {
        !self.leases.is_empty()
    }

    /// Lets other steps use the mounts: nothing of this one runs any more.
    pub(super) fn release(&mut self) {
        self.meters = self.leases.drain(..).map(|lease| lease.meter()).collect();
    }

    /// Looks up how large the mounts are that have been released. An image without `du` leaves it unknown.
    pub(super) async fn measure(&mut self, worker: &Worker) {
        if self.meters.is_empty() {
            return;
        }
        let command = ["du", "-sk", "--"].map(str::to_owned).into_iter().chain(self.paths.iter().cloned()).collect();
        let asking = worker.agent.ask(AskRequest { command, variables: Vec::new() });
        let Ok(Ok(asked)) = tokio::time::timeout(mounts::MEASURED_WITHIN, asking).await else { return };
        mounts::record_sizes(&asked.said, self.paths.iter().cloned().zip(self.meters.drain(..)));
    }
}

/// Looks up the home of the user in the image, once for the images that have the same base.
async fn home_of_user(session: &Session, image: &Image, arguments: &Arguments) -> Result<String, EngineError> {
    let user = arguments.user.map_or_else(|| image.user().to_owned(), |(user, _)| user.to_string());
    let base = image.layers.first().map(|layer| layer.digest.as_str()).unwrap_or_default();
    let slot = session.homes.slot(&format!("{base}\0{user}"));
    let mut slot = slot.lock().await;
    if let Some(home) = &*slot {
        return Ok(home.clone());
    }
    let passwd = ImageFiles { registry: &session.registry, image }.read("/etc/passwd").await?;
    Ok(slot.insert(image_user::home(&passwd, &user)).clone())
}

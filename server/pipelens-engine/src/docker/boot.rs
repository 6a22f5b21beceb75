//! Makes a container with what a step starts from: an image and the sources, or the filesystem another step left. Knows no commands.
//!
//! The creation of a container is never interrupted, because otherwise there would be a container that we do not know of.

use std::sync::Arc;

use crate::archive::Packing;
use crate::docker::arguments::Arguments;
use crate::docker::commit::Commit;
use crate::docker::container::{Attachments, Container};
use crate::docker::history;
use crate::docker::image::ImageFacts;
use crate::docker::image_store::DockerSnapshot;
use crate::docker::leftovers::Leftovers;
use crate::docker::mounting::{self, Mounting};
use crate::docker::session::Session;
use crate::docker::source_images::{self, SourceLayer};
use crate::docker::source_update::{self, Dating};
use crate::docker::volumes;
use crate::docker::worker::Worker;
use crate::error::EngineError;
use crate::event::Phase;
use crate::sources::Delta;
use crate::step_context::{Base, StepContext};
use crate::stop::Interruption;

/// Returns a container with what the step starts from.
pub(super) async fn prepare(
    session: &Session,
    context: &StepContext,
    arguments: &Arguments,
    mounting: Option<&Mounting>,
    leftovers: &mut Leftovers,
) -> Result<(), Interruption> {
    let boot = Boot { session, context, arguments, mounting };
    match &context.base {
        Base::Image(reference) => {
            let ensuring = session.images().ensure(reference, arguments, context);
            let image = session.unless_stopped(context, ensuring).await?;
            leftovers.digest = Some(image.digest.clone());
            let image = volumes::without_volumes(session, context, image, leftovers).await?;
            if source_images::is_worth_it(context) {
                boot.boot_with_sources(image, leftovers).await
            } else {
                boot.boot_and_send(image, leftovers).await
            }
        }
        Base::Snapshot(snapshot, outdated) => match snapshot.get::<DockerSnapshot>() {
            Some(DockerSnapshot::Image(id)) => {
                let image = session.images().known(id).await?;
                let image = volumes::without_volumes(session, context, image, leftovers).await?;
                let worker = boot.create(image, leftovers).await?;
                let Some(outdated) = outdated else { return Ok(()) };
                let delta = context.delta_since(outdated);
                session.unless_stopped(context, boot.update_sources(worker, delta, &outdated.folder, Dating::Now)).await
            }
            Some(DockerSnapshot::Container(id)) => {
                let worker = session.take_waiting(id).ok_or_else(|| context.no_snapshot())?;
                let image = Arc::clone(&worker.container.image);
                leftovers.worker = Some(worker);
                if let Some(mounting) = mounting {
                    let volumes = mounting.volumes(session, context, &image, arguments).await?;
                    leftovers.meters = mounting.meters(&volumes);
                }
                Ok(())
            }
            None => Err(context.no_snapshot().into()),
        },
    }
}

/// Adds the artifacts that the step needs.
pub(super) async fn add_artifacts(
    session: &Session,
    context: &StepContext,
    container: &Container,
) -> Result<(), EngineError> {
    for (provider, artifacts) in context.needed_artifacts().await? {
        if artifacts.entries.is_empty() {
            continue;
        }
        context.report_phase(Phase::SendingSources { files: artifacts.files, bytes: artifacts.bytes });
        let (user_id, group_id) = container.user_ids().await?;
        let target = container.resolve(&context.step().workdir).await?.for_sources(&artifacts);
        let is_compressed = session.is_remote;
        let packing = Packing { folder: target.name, user_id, group_id, is_compressed, modified: None };
        container.unpack(&target.parent, Arc::clone(&artifacts), packing).await?;
        provider.check_sent(&artifacts)?;
    }
    Ok(())
}

/// A step that is being booted.
struct Boot<'a> {
    session: &'a Session,
    context: &'a StepContext,
    arguments: &'a Arguments,
    /// `None`: without the step's mounts.
    mounting: Option<&'a Mounting>,
}

impl Boot<'_> {
    async fn boot_and_send(&self, image: Arc<ImageFacts>, leftovers: &mut Leftovers) -> Result<(), Interruption> {
        let worker = self.create(image, leftovers).await?;
        self.session.unless_stopped(self.context, self.send_sources(&worker.container)).await
    }

    /// Starts from an image that contains the sources, from an earlier run or another step, and makes one if there is none.
    async fn boot_with_sources(&self, image: Arc<ImageFacts>, leftovers: &mut Leftovers) -> Result<(), Interruption> {
        let ground = source_images::ground(&image, self.context.step(), self.arguments.user.as_deref());
        let slot = self.session.source_layers.slot(&ground);
        let mut slot = self.session.lock(self.context, &slot).await?;
        if slot.is_none() {
            *slot = self.layer_of_earlier_run(&image, &ground).await;
        }
        let booted = match slot.clone() {
            Some(layer) if layer.outdated.is_none() => {
                // There is nothing left to do; the others need not wait.
                drop(slot);
                self.create(layer.image, leftovers).await?;
                return Ok(());
            }
            Some(layer) => self.boot_from_layer(layer, leftovers).await,
            None => self.boot_and_send(Arc::clone(&image), leftovers).await.map(|()| true),
        };
        let is_worth_saving = match booted {
            // The image may have no `rm`. Sending all sources to the plain image does not need it.
            Err(Interruption::Failed(EngineError::Refused { .. })) if slot.is_some() => {
                if let Some(worker) = leftovers.worker.take() {
                    worker.remove().await;
                }
                self.boot_and_send(image, leftovers).await?;
                true
            }
            booted => booted?,
        };
        if is_worth_saving { self.save_layer(&ground, &mut slot, leftovers).await } else { Ok(()) }
    }

    async fn layer_of_earlier_run(&self, image: &ImageFacts, ground: &str) -> Option<SourceLayer> {
        let source_images = self.context.keeping.source_images.as_ref()?;
        let hit = source_images.find(ground, self.session.store.as_ref()).await?;
        let layer = self.session.images().known(&hit.place).await.ok()?;
        (!source_images::is_too_deep(&layer, image)).then_some(SourceLayer { image: layer, outdated: hit.outdated })
    }

    /// Returns whether the container's current filesystem should be saved as an image.
    async fn boot_from_layer(&self, layer: SourceLayer, leftovers: &mut Leftovers) -> Result<bool, Interruption> {
        let worker = self.create(layer.image, leftovers).await?;
        let Some(outdated) = layer.outdated else { return Ok(false) };
        let delta = self.context.delta_since(&outdated);
        let is_worth_another = source_images::is_worth_another(self.context, &delta);
        // Nothing has been built from the older ones yet.
        let updating = self.update_sources(worker, delta, &outdated.folder, Dating::AsInProject);
        self.session.unless_stopped(self.context, updating).await?;
        Ok(is_worth_another)
    }

    /// Saves the container's filesystem as an image, for other steps and later runs. Without it, they only take longer.
    async fn save_layer(
        &self,
        ground: &str,
        slot: &mut Option<SourceLayer>,
        leftovers: &mut Leftovers,
    ) -> Result<(), Interruption> {
        let Some(worker) = &leftovers.worker else { return Ok(()) };
        let commit = self.session.commit_of(self.context, &worker.container).await?;
        let commit = Commit { tag: format!("{}-sources", commit.tag), further_name: None, ..commit };
        let saved = match leftovers.wait_for_image(self.session, self.context, commit.save()).await {
            Err(Interruption::Failed(EngineError::SnapshotRefused { reason })) => {
                tracing::debug!(reason, "there is no image of the sources");
                return Ok(());
            }
            saved => saved?,
        };
        *slot = Some(SourceLayer { image: self.session.images().known(&saved.place).await?, outdated: None });
        if let Some(source_images) = &self.context.keeping.source_images {
            let (folder, store) = (&self.context.step().workdir, self.session.store.as_ref());
            if let Err(error) = source_images.replace(ground, saved, folder, store).await {
                self.context.events.notice(format!("The image with the sources could not be cached: {error}."));
            }
        }
        Ok(())
    }

    async fn create<'l>(
        &self,
        image: Arc<ImageFacts>,
        leftovers: &'l mut Leftovers,
    ) -> Result<&'l mut Worker, Interruption> {
        let labels = self.session.labels_of(self.context);
        let (docker, context, arguments) = (&self.session.docker, self.context, self.arguments);
        let of_container = history::volume_of(self.session, context, &image, arguments).await?;
        let network = self.session.create_network(context, &image, arguments).await?;
        let Some(mounting) = self.mounting else {
            let attachments = Attachments { mounts: &[], of_container, network: network.as_ref() };
            let created = Container::create(docker, context, image, arguments, attachments, labels).await?;
            return Ok(leftovers.worker.insert(Worker::new(created, network, self.session.deadlines)));
        };
        let volumes = mounting.volumes(self.session, context, &image, arguments).await?;
        let attachments = Attachments { mounts: &volumes, of_container, network: network.as_ref() };
        let created = Container::create(docker, context, image, arguments, attachments, labels).await?;
        leftovers.meters = mounting.meters(&volumes);
        let worker = leftovers.worker.insert(Worker::new(created, network, self.session.deadlines));
        mounting::own(&worker.container, context, &volumes).await?;
        Ok(worker)
    }

    async fn send_sources(&self, container: &Container) -> Result<(), EngineError> {
        let (sources, workdir) = (&self.context.sources, &self.context.step().workdir);
        self.context.report_phase(Phase::SendingSources { files: sources.files, bytes: sources.bytes });
        let (user_id, group_id) = container.user_ids().await?;
        let is_compressed = self.session.is_remote;
        // The engine has created the directory, owned by root. Its real path, with links resolved, matters only if its owner has to be changed.
        if (user_id, group_id) == (0, 0) && !sources.has_links_out {
            let packing = Packing { folder: String::new(), user_id, group_id, is_compressed, modified: None };
            return container.unpack(workdir, Arc::clone(sources), packing).await;
        }
        let target = container.resolve(workdir).await?.for_sources(sources);
        let packing = Packing { folder: target.name, user_id, group_id, is_compressed, modified: None };
        container.unpack(&target.parent, Arc::clone(sources), packing).await
    }

    async fn update_sources(
        &self,
        worker: &mut Worker,
        delta: Delta,
        folder: &str,
        dating: Dating,
    ) -> Result<(), EngineError> {
        if delta.is_empty() {
            return Ok(());
        }
        let phase = Phase::SendingSources { files: delta.changed.files, bytes: delta.changed.bytes };
        self.context.report_phase(phase);
        source_update::apply(worker, delta, folder, dating, self.session.is_remote).await
    }
}

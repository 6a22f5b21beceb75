//! From what a step starts from to a container that holds it: an image and the sources, or what another step left. Knows no command.

use std::sync::{Arc, PoisonError};

use futures_util::FutureExt as _;

use crate::archive::Packing;
use crate::docker::arguments::Arguments;
use crate::docker::container::Container;
use crate::docker::image::ImageFacts;
use crate::docker::layers::{self, Layer};
use crate::docker::snapshot::Snapshot;
use crate::docker::worker::Worker;
use crate::docker::{DockerRunner, Leftovers, renewal};
use crate::error::EngineError;
use crate::event::Phase;
use crate::runner::{Base, RunContext, SnapshotRef};
use crate::sources::Delta;

impl DockerRunner {
    /// Gets a container that holds what the step starts from; `None` if the step is stopped meanwhile. A creation is never cut
    /// short: a container whose creation nobody waits for is a container nobody knows.
    pub(super) async fn prepare(
        &self,
        context: &RunContext,
        arguments: &Arguments,
        leftovers: &mut Leftovers,
    ) -> Result<Option<()>, EngineError> {
        match &context.base {
            Base::Image(reference) => {
                let Some(image) =
                    self.unless_stopped(context, self.images.ensure(reference, arguments, context)).await?
                else {
                    return Ok(None);
                };
                leftovers.digest = Some(image.digest.clone());
                if layers::is_worth_it(context) {
                    self.boot_with_sources(context, image, arguments, leftovers).await
                } else {
                    self.boot_and_send(context, image, arguments, leftovers).await
                }
            }
            Base::Snapshot(SnapshotRef::Image(id), outdated) => {
                let worker = self.create(context, self.images.known(id).await?, arguments, leftovers).await?;
                let Some(outdated) = outdated else { return Ok(Some(())) };
                let delta = outdated.manifest.delta(&context.sources);
                self.unless_stopped(context, self.renew_sources(context, worker, delta, &outdated.folder)).await
            }
            Base::Snapshot(SnapshotRef::Container(id), _) => {
                let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
                leftovers.worker = Some(waiting.ok_or_else(|| EngineError::NoSnapshot { parent: id.clone() })?);
                Ok(Some(()))
            }
            Base::Snapshot(SnapshotRef::Folder(folder) | SnapshotRef::OwnFolder(folder), _) => {
                Err(EngineError::NoSnapshot { parent: folder.display().to_string() })
            }
        }
    }

    async fn boot_and_send(
        &self,
        context: &RunContext,
        image: Arc<ImageFacts>,
        arguments: &Arguments,
        leftovers: &mut Leftovers,
    ) -> Result<Option<()>, EngineError> {
        let worker = self.create(context, image, arguments, leftovers).await?;
        self.unless_stopped(context, self.send_sources(context, &worker.container)).await
    }

    /// Boots from an image that holds the sources, of an earlier run or of another step, and makes one if there is none.
    async fn boot_with_sources(
        &self,
        context: &RunContext,
        image: Arc<ImageFacts>,
        arguments: &Arguments,
        leftovers: &mut Leftovers,
    ) -> Result<Option<()>, EngineError> {
        let ground = layers::ground(&image, context.step(), arguments.user.as_deref());
        let slot = self.layers.slot(&ground);
        let Some(mut slot) = self.unless_stopped(context, async { Ok(slot.lock().await) }).await? else {
            return Ok(None);
        };
        if slot.is_none() {
            *slot = self.layer_of_earlier_run(context, &image, &ground).await;
        }
        let booted = match slot.clone() {
            Some(layer) if layer.outdated.is_none() => {
                // It is all there is to do; the others need not wait.
                drop(slot);
                return self.create(context, layer.image, arguments, leftovers).await.map(|_| Some(()));
            }
            Some(layer) => self.boot_from_layer(context, layer, arguments, leftovers).await,
            None => self
                .boot_and_send(context, Arc::clone(&image), arguments, leftovers)
                .await
                .map(|sent| sent.map(|()| true)),
        };
        let is_worth_saving = match booted {
            // It may have no `rm`. What is sent to the image itself needs nothing in it.
            Err(EngineError::Refused { .. }) if slot.is_some() => {
                if let Some(worker) = leftovers.worker.take() {
                    worker.remove().await;
                }
                self.boot_and_send(context, image, arguments, leftovers).await?.map(|()| true)
            }
            booted => booted?,
        };
        match is_worth_saving {
            None => Ok(None),
            Some(false) => Ok(Some(())),
            Some(true) => self.save_layer(context, &ground, &mut slot, leftovers).await,
        }
    }

    async fn layer_of_earlier_run(&self, context: &RunContext, image: &ImageFacts, ground: &str) -> Option<Layer> {
        let hit = context.keeping.shelf.as_ref()?.find(ground, self).await?;
        let layer = self.images.known(&hit.place).await.ok()?;
        (!layers::is_too_deep(&layer, image)).then_some(Layer { image: layer, outdated: hit.outdated })
    }

    /// Returns whether an image of what is in the container now should be made; `None` if the step is stopped meanwhile.
    async fn boot_from_layer(
        &self,
        context: &RunContext,
        layer: Layer,
        arguments: &Arguments,
        leftovers: &mut Leftovers,
    ) -> Result<Option<bool>, EngineError> {
        let worker = self.create(context, layer.image, arguments, leftovers).await?;
        let Some(outdated) = layer.outdated else { return Ok(Some(false)) };
        let delta = outdated.manifest.delta(&context.sources);
        let is_worth_another = layers::is_worth_another(context, &delta);
        let renewing = self.renew_sources(context, worker, delta, &outdated.folder);
        let renewed = self.unless_stopped(context, renewing).await?;
        Ok(renewed.map(|()| is_worth_another))
    }

    /// Makes an image of what is in the container, for the other steps of the run and for later ones. Without it they only take longer.
    async fn save_layer(
        &self,
        context: &RunContext,
        ground: &str,
        slot: &mut Option<Layer>,
        leftovers: &mut Leftovers,
    ) -> Result<Option<()>, EngineError> {
        let Some(worker) = &leftovers.worker else { return Ok(Some(())) };
        let snapshot = self.snapshot_of(context, &worker.container).await?;
        let snapshot = Snapshot { tag: format!("{}-sources", snapshot.tag), further_name: None, ..snapshot };
        let mut saving = snapshot.save().boxed();
        let saved = match self.unless_stopped(context, &mut saving).await {
            Ok(Some(saved)) => saved,
            Ok(None) => {
                leftovers.saving = Some(saving);
                return Ok(None);
            }
            Err(EngineError::SnapshotRefused { reason }) => {
                tracing::debug!(reason, "there is no image of the sources");
                return Ok(Some(()));
            }
            Err(error) => return Err(error),
        };
        *slot = Some(Layer { image: self.images.known(&saved.place).await?, outdated: None });
        if let Some(shelf) = &context.keeping.shelf
            && let Err(error) = shelf.put(ground, saved, &context.step().workdir, self).await
        {
            context.outbox.notice(format!("The image with the sources could not be remembered: {error}."));
        }
        Ok(Some(()))
    }

    async fn create<'a>(
        &self,
        context: &RunContext,
        image: Arc<ImageFacts>,
        arguments: &Arguments,
        leftovers: &'a mut Leftovers,
    ) -> Result<&'a mut Worker, EngineError> {
        let created = Container::create(&self.docker, context, image, arguments, self.labels_of(context)).await?;
        Ok(leftovers.worker.insert(Worker::new(created, self.deadlines)))
    }

    async fn send_sources(&self, context: &RunContext, container: &Container) -> Result<(), EngineError> {
        let sources = &context.sources;
        context.say_phase(Phase::SendingSources { files: sources.files, bytes: sources.bytes });
        let (user_id, group_id) = container.user_ids().await?;
        // The engine has made the folder, root's. Where it really is, links followed, matters only if it must change hands.
        if (user_id, group_id) == (0, 0) {
            let packing = Packing { folder: String::new(), user_id, group_id, is_compressed: self.is_remote };
            return container.unpack(&context.step().workdir, Arc::clone(sources), packing).await;
        }
        let target = container.resolve(&context.step().workdir).await?;
        let packing = Packing { folder: target.name, user_id, group_id, is_compressed: self.is_remote };
        container.unpack(&target.parent, Arc::clone(sources), packing).await
    }

    async fn renew_sources(
        &self,
        context: &RunContext,
        worker: &mut Worker,
        delta: Delta,
        folder: &str,
    ) -> Result<(), EngineError> {
        if delta.is_empty() {
            return Ok(());
        }
        context.say_phase(Phase::SendingSources { files: delta.changed.files, bytes: delta.changed.bytes });
        renewal::apply(worker, delta, folder, self.is_remote).await
    }
}

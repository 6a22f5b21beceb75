//! What a step leaves in the engine until it is removed.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::docker::commit::Commit;
use crate::docker::listening::Listener;
use crate::docker::mounting::{self, Mounting};
use crate::docker::services;
use crate::docker::session::Session;
use crate::docker::worker::Worker;
use crate::error::EngineError;
use crate::mounts::Meter;
use crate::services::Services;
use crate::snapshot::Saved;
use crate::step_context::StepContext;
use crate::stop::Interruption;

#[derive(Default)]
pub(super) struct Leftovers {
    /// The digest of the step's image; reported, and remembered with the run.
    pub(super) digest: Option<String>,
    pub(super) worker: Option<Worker>,
    pub(super) services: Services<Listener>,
    /// A call that continues in the engine after a stop.
    saving: Option<BoxFuture<'static, Result<Saved, EngineError>>>,
    /// The step's cache mounts, in use until nothing of the step runs any more.
    pub(super) mounting: Option<Mounting>,
    /// How to look up how large the mounts are, by their paths.
    pub(super) meters: Vec<(String, Meter)>,
    /// How to keep the state of a failed step.
    pub(super) failure: Option<Commit>,
}

impl Leftovers {
    /// Waits for an image to be saved. If the step is stopped, the engine finishes it even if nothing waits for it any more, and the image
    /// would appear after the cleanup, so `tidy` waits for it.
    pub(super) async fn wait_for_image(
        &mut self,
        session: &Session,
        context: &StepContext,
        saving: impl Future<Output = Result<Saved, EngineError>> + Send + 'static,
    ) -> Result<Saved, Interruption> {
        let mut saving = saving.boxed();
        let saved = session.unless_stopped(context, &mut saving).await;
        if matches!(saved, Err(Interruption::Stopped)) {
            self.saving = Some(saving);
        }
        saved
    }

    /// Removes everything, and returns the state of a failed step if it is kept.
    pub(super) async fn tidy(self) -> Option<Saved> {
        if let Some(saving) = self.saving {
            // The resulting image is found by its label when the run closes.
            saving.await.ok();
        }
        services::remove(self.services).await;
        let mut worker = self.worker?;
        let mut kept = None;
        if let Some(failure) = self.failure {
            worker.settle().await;
            kept = failure.save().await.ok();
        }
        mounting::measure(&mut worker, self.meters).await;
        worker.remove().await;
        drop(self.mounting);
        kept
    }
}

//! What is watched: each runs again whenever a file of its project changes, until it is stopped.

use std::sync::Arc;

use lsp_types::Uri;
use parking_lot::Mutex;
use pipelens_core::plan::Target;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::lsp::protocol::commands::{StopWatchingArgs, UNTRUSTED};
use crate::lsp::session::settings::SessionSettings;

/// Something that is watched.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) id: Uuid,
    pub(crate) uri: Uri,
    /// Index into the file's pipelines.
    pub(crate) pipeline: usize,
    pub(crate) target: Target,
    pub(crate) stop: CancellationToken,
}

impl Watched {
    /// Whether a save would run the same steps for both. What two different steps build in is not run twice.
    fn overlaps(&self, other: &Self) -> bool {
        let are_steps = match (&self.target, &other.target) {
            (Target::Step(one), Target::Step(two)) => one != two,
            _ => false,
        };
        self.uri == other.uri && self.pipeline == other.pipeline && !are_steps
    }

    fn is_of_step(&self, key: &str) -> bool {
        matches!(&self.target, Target::Step(step) | Target::From(step) if step == key)
    }
}

/// Everything that is watched.
#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<Vec<Arc<Watched>>>);

impl Watches {
    /// Adds something. It takes the place of what would run the same steps.
    pub(crate) fn add(&self, settings: &SessionSettings, new: Arc<Watched>) -> Result<(), String> {
        let mut all = self.0.lock();
        // Under the lock that is also held when trust is withdrawn.
        if settings.is_untrusted() {
            return Err(UNTRUSTED.to_owned());
        }
        all.retain(|watched| {
            let stays = !watched.overlaps(&new);
            if !stays {
                watched.stop.cancel();
            }
            stays
        });
        all.push(new);
        Ok(())
    }

    /// Stops what the arguments name, and returns it.
    pub(crate) fn stop(&self, args: &StopWatchingArgs) -> Vec<Uuid> {
        let mut stopped = Vec::new();
        self.0.lock().retain(|watched| {
            let is_named = args.watch_id.is_none_or(|id| watched.id == id)
                && args.uri.as_ref().is_none_or(|uri| watched.uri == *uri)
                && args.step.as_ref().is_none_or(|step| watched.is_of_step(step));
            if is_named {
                watched.stop.cancel();
                stopped.push(watched.id);
            }
            !is_named
        });
        stopped
    }

    pub(crate) fn forget(&self, id: Uuid) {
        self.0.lock().retain(|watched| watched.id != id);
    }

    /// Returns what is watched at a place: of a step, or the whole pipeline.
    pub(crate) fn at(&self, uri: &Uri, pipeline: usize, step: Option<&str>) -> Option<Uuid> {
        let all = self.0.lock();
        let mut here = all.iter().filter(|watched| watched.uri == *uri && watched.pipeline == pipeline);
        let found = here.find(|watched| match step {
            None => watched.target == Target::Pipeline,
            Some(step) => watched.is_of_step(step),
        });
        found.map(|watched| watched.id)
    }
}

//! The images the container engine has, for completion. Looked up in the background: editing never waits for an engine, and does not need one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use super::settings::SessionSettings;

/// Images change when one is built or pulled; a list of this age is still useful.
const MAX_AGE: Duration = Duration::from_secs(60);
/// For a mere convenience, an engine that takes longer is not waited for.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct KnownImages {
    found: Mutex<Found>,
    lookups: TaskTracker,
}

#[derive(Debug, Default)]
struct Found {
    images: Arc<Vec<String>>,
    asked: Option<Instant>,
}

impl KnownImages {
    /// Returns the images known so far.
    pub(crate) fn known(&self) -> Arc<Vec<String>> {
        self.found.lock().images.clone()
    }

    /// Asks the engine again in the background if the list is old.
    pub(crate) fn refresh(self: &Arc<Self>, settings: &SessionSettings) {
        let docker_host = settings.settings().docker_host.clone();
        if settings.is_untrusted() || pipelens_engine::images::needs_program(docker_host.as_deref()) {
            return;
        }
        {
            let mut found = self.found.lock();
            if found.asked.is_some_and(|asked| asked.elapsed() < MAX_AGE) {
                return;
            }
            found.asked = Some(Instant::now());
        }
        let this = self.clone();
        self.lookups.spawn(async move {
            let lookup = pipelens_engine::images::local(docker_host.as_deref());
            if let Ok(Some(images)) = tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await {
                this.found.lock().images = Arc::new(images);
            }
        });
    }
}

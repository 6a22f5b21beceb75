//! Where an image that holds a project's sources is found again by later runs. Knows nothing of how it is made.

use std::sync::Arc;

use crate::cache::{Cache, Hit};
use crate::runner::{Saved, StepRunner};

/// The place for images of the sources of one workspace.
#[derive(Debug, Clone)]
pub(crate) struct Shelf(Arc<Cache>);

impl Shelf {
    pub(crate) fn new(cache: Arc<Cache>) -> Self {
        Self(cache)
    }

    /// Returns the image that was put there last for the same ground, if it is still there. A store that cannot be read costs time alone.
    pub(crate) async fn find(&self, ground: &str, runner: &dyn StepRunner) -> Option<Hit> {
        if !self.0.is_read {
            return None;
        }
        self.0.find(&key(ground), runner).await.ok().flatten()
    }

    /// Puts an image with today's sources in a folder of it in the place of the one before.
    pub(crate) async fn put(
        &self,
        ground: &str,
        saved: Saved,
        folder: &str,
        runner: &dyn StepRunner,
    ) -> Result<(), rusqlite::Error> {
        self.0.remember_snapshot(key(ground), "", saved, folder, runner).await
    }
}

fn key(ground: &str) -> String {
    format!("sources:{}", super::short_name(ground.as_bytes()))
}

//! Passes the artifacts of a step to the steps that need them. Knows no engines.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::EngineError;
use crate::sources::Sources;

/// What has been copied of a step's artifacts in this run, once it is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delivery(Arc<Mutex<Option<Delivered>>>);

#[derive(Debug, Clone)]
struct Delivered {
    /// Files and links, relative to their folder. Whatever else is in the folder is from earlier runs, or from the user.
    files: Vec<PathBuf>,
    is_complete: bool,
}

impl Delivery {
    pub(super) fn set(&self, files: Vec<PathBuf>, is_complete: bool) {
        *self.0.lock() = Some(Delivered { files, is_complete });
    }
}

/// A step whose artifacts another one needs.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    pub(crate) key: String,
    pub(crate) folder: PathBuf,
    pub(crate) delivery: Delivery,
}

impl Provider {
    /// Returns its artifacts in the form in which sources are sent; `None` if it has handed back none, because it failed. Blocks on the disk.
    pub(crate) fn artifacts(&self) -> Result<Option<Sources>, EngineError> {
        let Some(Delivered { files, is_complete }) = self.delivery.0.lock().clone() else { return Ok(None) };
        if !is_complete {
            return Err(EngineError::ArtifactsIncomplete { step: self.key.clone() });
        }
        if files.is_empty() {
            return Ok(Some(Sources::default()));
        }
        Sources::of_files(&self.folder, &files).map(Some).map_err(|source| self.lost(self.folder.clone(), source))
    }

    /// Fails if the artifacts changed before or while they were sent: the step would run with files that this run did not make.
    pub(crate) fn check_sent(&self, artifacts: &Sources) -> Result<(), EngineError> {
        match artifacts.sent_changed().into_iter().next() {
            None => Ok(()),
            Some(path) => {
                let changed = std::io::Error::other("it was changed or removed during the run");
                Err(self.lost(self.folder.join(path), changed))
            }
        }
    }

    fn lost(&self, path: PathBuf, source: std::io::Error) -> EngineError {
        EngineError::Artifacts { step: self.key.clone(), path, source }
    }
}

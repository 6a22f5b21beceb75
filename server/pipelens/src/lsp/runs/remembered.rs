//! What is known of the records of runs: when they were looked at last, and which of them are of no use here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::lsp::session::debounced::Debounced;

/// Several documents that are opened at once are one look at the disk.
pub(crate) const REST: Duration = Duration::from_millis(20);
/// A command line may run the pipeline as well, so the disk is looked at again when lenses are shown after this time.
const MAX_AGE: Duration = Duration::from_secs(10);

/// What is known of the records.
#[derive(Debug)]
pub(crate) struct Remembered {
    wanted: Arc<Debounced<String>>,
    looked: Mutex<Looked>,
}

#[derive(Debug, Default)]
pub(super) struct Looked {
    /// The pipeline files of records that were read and not needed.
    pub(super) others: BTreeMap<Uuid, PathBuf>,
    at: Option<Instant>,
}

impl Remembered {
    /// `wanted` are the documents whose runs are looked for.
    pub(crate) fn new(wanted: Arc<Debounced<String>>) -> Self {
        Self { wanted, looked: Mutex::default() }
    }

    /// Requests a look for a document's runs, if the last one was some time ago.
    pub(crate) fn want_if_old(&self, uri: &str) {
        if self.looked.lock().at.is_some_and(|at| at.elapsed() > MAX_AGE) {
            self.wanted.want(uri.to_owned());
        }
    }

    /// Waits until a look is wanted.
    pub(super) async fn wanted(&self) {
        self.wanted.next().await;
    }

    /// Begins a look: of two that look at once, the second waits, and finds the work done.
    pub(super) fn begin(&self) -> MutexGuard<'_, Looked> {
        let mut looked = self.looked.lock();
        looked.at = Some(Instant::now());
        looked
    }
}

//! What open programs have made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lsp_types::Uri;
use parking_lot::Mutex;
use pipelens_core::programs::Rendering;

/// A save is often followed by another.
pub(super) const REST: Duration = Duration::from_millis(50);

/// What open programs have made, by URI.
#[derive(Debug, Default)]
pub(super) struct Renderings(Mutex<BTreeMap<String, Arc<Rendering>>>);

impl Renderings {
    pub(super) fn of(&self, uri: &Uri) -> Option<Arc<Rendering>> {
        self.0.lock().get(uri.as_str()).cloned()
    }

    pub(super) fn keep(&self, uri: &Uri, rendering: Arc<Rendering>) {
        self.0.lock().insert(uri.as_str().to_owned(), rendering);
    }

    pub(super) fn forget(&self, uri: &Uri) {
        self.0.lock().remove(uri.as_str());
    }
}

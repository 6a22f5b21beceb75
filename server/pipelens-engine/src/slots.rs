//! What the steps of a run make once and share. Knows nothing about what that is.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Held by the step that makes the thing, while others that need the same one wait. If that step is stopped, the next one makes it.
pub(crate) type Slot<T> = tokio::sync::Mutex<Option<T>>;

/// A slot for each thing, by name.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    known: Mutex<HashMap<String, Arc<Slot<T>>>>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<T> Slots<T> {
    pub(crate) fn slot(&self, name: &str) -> Arc<Slot<T>> {
        let mut known = self.known.lock();
        Arc::clone(known.entry(name.to_owned()).or_default())
    }
}

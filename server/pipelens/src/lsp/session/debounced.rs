//! Work that is asked for often and done once: what is wanted is collected while the asking goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The keys of what is wanted. One task takes them, after a rest during which more may come.
#[derive(Debug)]
pub(crate) struct Debounced<K> {
    wanted: Mutex<BTreeSet<K>>,
    wake: Notify,
    rest: Duration,
}

impl<K: Ord> Debounced<K> {
    pub(crate) fn new(rest: Duration) -> Self {
        Self { wanted: Mutex::new(BTreeSet::new()), wake: Notify::new(), rest }
    }

    pub(crate) fn want(&self, key: K) {
        self.wanted.lock().insert(key);
        self.wake.notify_one();
    }

    /// Waits until something is wanted, and returns everything that is after the rest.
    pub(crate) async fn next(&self) -> BTreeSet<K> {
        loop {
            self.wake.notified().await;
            if !self.rest.is_zero() {
                tokio::time::sleep(self.rest).await;
            }
            let wanted = std::mem::take(&mut *self.wanted.lock());
            if !wanted.is_empty() {
                return wanted;
            }
        }
    }
}

//! Work that is requested often and done once: requests are collected until there is a pause.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The keys of what is wanted. One task takes them, after a delay during which more may come.
#[derive(Debug)]
pub(crate) struct Debounced<K> {
    wanted: Mutex<BTreeSet<K>>,
    wake: Notify,
    delay: Duration,
}

impl<K: Ord> Debounced<K> {
    pub(crate) fn new(delay: Duration) -> Self {
        Self { wanted: Mutex::new(BTreeSet::new()), wake: Notify::new(), delay }
    }

    pub(crate) fn want(&self, key: K) {
        self.wanted.lock().insert(key);
        self.wake.notify_one();
    }

    /// Waits until something is wanted, and returns everything that is wanted after the delay.
    pub(crate) async fn next(&self) -> BTreeSet<K> {
        loop {
            self.wake.notified().await;
            if !self.delay.is_zero() {
                tokio::time::sleep(self.delay).await;
            }
            let wanted = std::mem::take(&mut *self.wanted.lock());
            if !wanted.is_empty() {
                return wanted;
            }
        }
    }
}

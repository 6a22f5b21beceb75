//! Tells the client that its lenses are out of date.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tower_lsp::Client;

use super::debounced::Debounced;
use super::settings::SessionSettings;

/// At most four refreshes a second, besides those that are wanted at once: each makes the client ask for every lens again.
const REFRESH_INTERVAL: Duration = Duration::from_millis(250);
/// A client that does not answer a refresh for this long will not.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct LensRefresh {
    wanted: Debounced<()>,
    at_once: Notify,
}

impl Default for LensRefresh {
    fn default() -> Self {
        Self { wanted: Debounced::new(Duration::ZERO), at_once: Notify::new() }
    }
}

impl LensRefresh {
    /// Has the client request the lenses again, soon.
    pub(crate) fn want(&self) {
        self.wanted.want(());
    }

    /// Like `want`, but does not wait for the interval to pass: for what a person waits for, and what is rare.
    pub(crate) fn want_at_once(&self) {
        self.want();
        self.at_once.notify_waiters();
    }

    /// Sends refreshes until the process ends.
    pub(crate) async fn send(&self, client: Client, settings: Arc<SessionSettings>) {
        loop {
            self.wanted.next().await;
            // Whatever is wanted at once from here on, also while the client answers, ends the interval.
            let at_once = self.at_once.notified();
            if !settings.client().lens_refresh {
                continue;
            }
            match tokio::time::timeout(REFRESH_TIMEOUT, client.code_lens_refresh()).await {
                // A client may refuse a refresh although it declared support: it will ask when it wants to.
                Ok(Ok(()) | Err(_)) => {}
                Err(_) => tracing::warn!("the client did not answer a lens refresh"),
            }
            tokio::select! {
                () = tokio::time::sleep(REFRESH_INTERVAL) => {}
                () = at_once => {}
            }
        }
    }
}

//! What the server says by itself about documents: diagnostics and lens refreshes. One task sends; the newest per file wins, so
//! a slow client gets fewer messages, never older ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lsp_types::{Diagnostic, Uri};
use tokio::sync::Notify;
use tower_lsp::Client;

use super::config::Config;
use super::runs::Runs;
use super::state::{Document, lock};

/// At most four refreshes a second: each makes the client ask for every lens again.
const REFRESH_INTERVAL: Duration = Duration::from_millis(250);
/// A client that does not answer a refresh for this long will not.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);

/// What waits to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    diagnostics: Mutex<BTreeMap<String, Pending>>,
    wake: Notify,
    refresh: Notify,
}

#[derive(Debug)]
enum Pending {
    Publish(Arc<Document>),
    Clear(Uri),
}

impl Outbox {
    pub(crate) fn publish_diagnostics(&self, document: Arc<Document>) {
        self.put(document.uri.as_str().to_owned(), Pending::Publish(document));
    }

    pub(crate) fn clear_diagnostics(&self, document: &Document) {
        self.put(document.uri.as_str().to_owned(), Pending::Clear(document.uri.clone()));
    }

    /// Asks the client to ask for the lenses again, soon.
    pub(crate) fn refresh_lenses(&self) {
        self.refresh.notify_one();
    }

    fn put(&self, uri: String, pending: Pending) {
        lock(&self.diagnostics).insert(uri, pending);
        self.wake.notify_one();
    }

    /// Sends diagnostics as they come, until the process ends.
    pub(crate) async fn send_diagnostics(&self, client: Client, config: Arc<Config>, runs: Arc<Runs>) {
        loop {
            self.wake.notified().await;
            while let Some((_, pending)) = self.take() {
                match pending {
                    Pending::Clear(uri) => client.publish_diagnostics(uri, Vec::new(), None).await,
                    Pending::Publish(document) => {
                        let diagnostics = diagnostics(&document, &config, &runs);
                        client.publish_diagnostics(document.uri.clone(), diagnostics, Some(document.version)).await;
                    }
                }
            }
        }
    }

    /// Sends lens refreshes, coalesced, until the process ends.
    pub(crate) async fn send_refreshes(&self, client: Client, config: Arc<Config>) {
        loop {
            self.refresh.notified().await;
            if !config.client().lens_refresh {
                continue;
            }
            match tokio::time::timeout(REFRESH_TIMEOUT, client.code_lens_refresh()).await {
                // A client may say that it knows no refresh although it declared one: it will ask when it wants to.
                Ok(Ok(()) | Err(_)) => {}
                Err(_) => tracing::warn!("the client did not answer a lens refresh"),
            }
            tokio::time::sleep(REFRESH_INTERVAL).await;
        }
    }

    fn take(&self) -> Option<(String, Pending)> {
        lock(&self.diagnostics).pop_first()
    }
}

fn diagnostics(document: &Document, config: &Config, runs: &Runs) -> Vec<Diagnostic> {
    let map = document.map(config.encoding());
    let project = document.path().map(|path| config.project(&config.root_of(&path))).unwrap_or_default();
    let mut all: Vec<Diagnostic> = document
        .analysis
        .diagnostics
        .iter()
        .filter_map(|diagnostic| project.adjust(diagnostic))
        .map(|diagnostic| document.files(config.encoding()).diagnostic(&diagnostic))
        .collect();
    all.extend(runs.failures(document, map));
    all
}

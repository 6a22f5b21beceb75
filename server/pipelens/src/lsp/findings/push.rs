//! Sends findings as they change. The newest report of a file replaces older ones that are still queued, so a slow client gets fewer of them, never
//! outdated ones. A client that pulls the findings of its documents is only told to pull again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lsp_types::notification::PublishDiagnostics;
use lsp_types::{PublishDiagnosticsParams, Uri};
use tower_lsp::Client;

use super::store::{Change, Findings};
use crate::lsp::transport::writer::Notifications;

/// A client that does not answer for this long will not.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends reports until the process ends. `pulls`: the client pulls the findings of open documents itself.
pub(crate) async fn send(
    findings: Arc<Findings>,
    client: Client,
    notifications: Notifications,
    pulls: impl Fn() -> bool,
) {
    findings.client_is_ready().await;
    // Files whose findings were pushed: if the client pulls them now, it would show them twice.
    let mut pushed = BTreeSet::new();
    loop {
        let changed = findings.changed().await;
        let mut is_outdated = false;
        for (uri, change) in changed {
            let is_pulled = pulls() && findings.is_open(&uri);
            if !is_pulled {
                pushed.insert(uri.as_str().to_owned());
                publish(&findings, &notifications, uri).await;
                continue;
            }
            if pulls() && pushed.remove(uri.as_str()) {
                client.publish_diagnostics(uri, Vec::new(), None).await;
                is_outdated = true;
            } else if change == Change::ByServer {
                is_outdated = true;
            }
        }
        if is_outdated {
            match tokio::time::timeout(REFRESH_TIMEOUT, client.workspace_diagnostic_refresh()).await {
                Ok(Ok(()) | Err(_)) => {}
                Err(_) => tracing::warn!("the client did not answer a refresh of diagnostics"),
            }
        }
    }
}

async fn publish(findings: &Findings, notifications: &Notifications, uri: Uri) {
    let report = findings.of(&uri);
    let params = PublishDiagnosticsParams { uri, diagnostics: report.diagnostics, version: report.version };
    notifications.send::<PublishDiagnostics>(&params).await;
}

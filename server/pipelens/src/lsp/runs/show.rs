//! Shows the user a file or a folder.

use std::path::Path;
use std::time::Duration;

use lsp_types::{MessageType, ShowDocumentParams, Uri};
use tower_lsp::{Client, UriExt};

use super::logs::Log;
use crate::lsp::session::client::ClientFeatures;

/// A client that does not answer for this long shows no document.
const SHOW_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Viewer {
    Editor,
    /// The program that the user's system has for it.
    System,
    /// The file manager of the user's system, for a folder of artifacts.
    Files,
}

/// Opens the log of a step: as a document of ours, if the client can show those, else the file.
pub(crate) async fn show_log(client: &Client, features: ClientFeatures, log: Log) {
    if let Some(uri) = log.document.filter(|_| features.log_documents && features.show_document) {
        let params = ShowDocumentParams { uri, external: None, take_focus: Some(true), selection: None };
        if matches!(tokio::time::timeout(SHOW_TIMEOUT, client.show_document(params)).await, Ok(Ok(true))) {
            return;
        }
    }
    show(client, features, &log.path, Viewer::Editor).await;
}

/// Opens a file or a folder, or shows its path.
pub(crate) async fn show(client: &Client, features: ClientFeatures, path: &Path, viewer: Viewer) {
    let (external, instead) = match viewer {
        Viewer::Editor => (None, "Saved to"),
        Viewer::System => (Some(true), "Saved to"),
        Viewer::Files => (Some(true), "The artifacts are in"),
    };
    let shown = match Uri::from_file_path(path) {
        Some(uri) if features.show_document => {
            let params = ShowDocumentParams { uri, external, take_focus: Some(true), selection: None };
            matches!(tokio::time::timeout(SHOW_TIMEOUT, client.show_document(params)).await, Ok(Ok(true)))
        }
        Some(_) | None => false,
    };
    if !shown {
        client.show_message(MessageType::INFO, format!("{instead} {}", path.display())).await;
    }
}

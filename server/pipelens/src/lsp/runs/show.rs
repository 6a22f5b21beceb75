//! Shows the user a file or a folder.

use std::path::Path;
use std::time::Duration;

use lsp_types::{MessageType, ShowDocumentParams, Uri};
use tower_lsp::{Client, UriExt};

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

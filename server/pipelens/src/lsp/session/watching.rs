//! Files that change on disk: the client reports them where it can, and otherwise the settings of projects are looked at now and then.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lsp_types::notification::{DidChangeWatchedFiles, Notification as _};
use lsp_types::{
    DidChangeWatchedFilesRegistrationOptions, FileChangeType, FileEvent, FileSystemWatcher, GlobPattern, Registration,
    WatchKind,
};
use pipelens_core::diagnostic::Code;
use tower_lsp::Client;

use super::documents::{Document, OpenDocuments};
use crate::lsp::protocol::files::path_of;
use crate::project_context::is_settings;
use crate::settings::PROJECT_FILE;

/// How often the disk is looked at where the client does not report changes: one call of the system for each project.
const POLL: Duration = Duration::from_secs(2);

/// Asks the client to report changes of settings, and files that appear or vanish.
pub(crate) async fn register(client: &Client) {
    let watch = |glob: String, kind| FileSystemWatcher { glob_pattern: GlobPattern::String(glob), kind };
    let options = DidChangeWatchedFilesRegistrationOptions {
        watchers: vec![
            watch(format!("**/{PROJECT_FILE}"), None),
            watch("**/*".to_owned(), Some(WatchKind::Create | WatchKind::Delete)),
        ],
    };
    let registration = Registration {
        id: "pipelens/files".to_owned(),
        method: DidChangeWatchedFiles::METHOD.to_owned(),
        register_options: serde_json::to_value(options).ok(),
    };
    if let Err(error) = client.register_capability(vec![registration]).await {
        tracing::warn!("the client does not report changes of files: {error}");
    }
}

/// Follows changes that the client reports.
pub(crate) fn changed(documents: &OpenDocuments, events: &[FileEvent]) {
    let mut settings = BTreeSet::new();
    let mut files = BTreeSet::new();
    let roots = documents.roots();
    for event in events {
        let Some(path) = path_of(&event.uri) else { continue };
        if is_settings(&path) {
            settings.extend(path.parent().map(PathBuf::from));
        } else if event.typ != FileChangeType::CHANGED {
            files.extend(roots.iter().filter(|root| path.starts_with(root)).cloned());
        }
    }
    if !settings.is_empty() {
        documents.settings_changed(&settings);
    }
    if !files.is_empty() {
        documents.files_changed(&files);
    }
}

/// Looks at the disk for clients that do not report changes, until the process ends.
pub(crate) async fn poll(documents: Arc<OpenDocuments>) {
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if documents.settings.client().watches_files {
            continue;
        }
        let looked = documents.clone();
        let look = move || {
            let changed = looked.settings.changed();
            if !changed.is_empty() {
                looked.settings_changed(&changed);
            }
            looked.reanalyse_where(misses_files);
        };
        // A bug in the analysis is in the log.
        drop(tokio::task::spawn_blocking(look).await);
    }
}

/// Whether something is missing that may appear on disk.
fn misses_files(document: &Document) -> bool {
    let is_missing = |code| matches!(code, Code::UnmatchedPath | Code::MissingFolder);
    let mut found = document.analysis.diagnostics.iter();
    found.any(|found| is_missing(found.code) && document.project.severity_of(found).is_some())
}

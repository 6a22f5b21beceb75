//! Runs of other processes, and of this server before it was started again, as far as their records are kept: added to the runs of this process,
//! so that lenses, marks, logs and shells know them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use lsp_types::Uri;
use tower_lsp::UriExt;

use super::context::Runs;
use super::run::Run;
use super::{failures, problems};
use crate::lsp::session::documents::{Document, Documents, OpenDocuments};
use crate::record::{self, Recorded};

/// Performs the looks that are wanted until the process ends.
pub(crate) async fn follow(runs: Arc<Runs>, documents: Arc<OpenDocuments>) {
    loop {
        runs.remembered.wanted().await;
        let (looking, now) = (runs.clone(), documents.now());
        // A bug is in the log.
        drop(tokio::task::spawn_blocking(move || look(&looking, &now)).await);
    }
}

/// Adds the recorded runs of the open pipelines; if none is open, those of the editor's folders. Reads the disk. What their logs say about files is shown
/// later.
pub(crate) fn look(runs: &Arc<Runs>, documents: &Documents) {
    if runs.settings.is_untrusted() {
        return;
    }
    let mut looked = runs.remembered.begin();
    let open: Vec<&Arc<Document>> = documents.pipelines().collect();
    let is_meant = |file: &PathBuf| match open.is_empty() {
        true => runs.settings.is_in_folders(file),
        false => open.iter().any(|document| document.is_of(file)),
    };
    let mut added = BTreeSet::new();
    for (id, log_dir) in record::kept() {
        if runs.registry.knows(id) || looked.others.get(&id).is_some_and(|file| !is_meant(file)) {
            continue;
        }
        let Some(recorded) = record::read(id, &log_dir) else { continue };
        if !is_meant(&recorded.head.file) {
            looked.others.insert(id, recorded.head.file);
            continue;
        }
        let document = open.iter().find(|document| document.is_of(&recorded.head.file));
        let Some(run) = run_of(recorded, document.map(|document| &***document)) else { continue };
        let uri = run.uri.clone();
        if runs.registry.remember(run) {
            added.insert(id);
            failures::report(&runs.registry, &runs.findings, runs.settings.client(), &uri);
        }
    }
    if !added.is_empty() {
        runs.lenses.want();
        let recorded: Vec<Arc<Run>> =
            runs.registry.newest_first().into_iter().filter(|run| added.contains(&run.id)).collect();
        let reading = runs.clone();
        runs.reports.spawn_blocking(move || problems::recall(&reading, &recorded));
    }
}

/// Returns a recorded run as one of a pipeline of a document; `None` if the document has no such pipeline.
fn run_of(recorded: Recorded, document: Option<&Document>) -> Option<Run> {
    let Some(document) = document else {
        let (uri, pipeline) = (Uri::from_file_path(&recorded.head.file)?, recorded.head.pipeline);
        return Some(Run::remembered(recorded, uri, pipeline));
    };
    let is_named = |index: &usize| document.pipeline_name(*index).as_ref() == Some(&recorded.head.name);
    let pipelines = 0..document.analysis.pipelines.len();
    // Pipelines may have moved in the file; several may have the same name.
    let pipeline = Some(recorded.head.pipeline).filter(is_named).or_else(|| pipelines.clone().find(is_named))?;
    let uri = document.uri.clone();
    Some(Run::remembered(recorded, uri, pipeline))
}

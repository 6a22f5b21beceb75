//! A client asks for the findings of a document, or of all pipelines in its folders.

use std::collections::{BTreeMap, BTreeSet};

use lsp_types::{
    DocumentDiagnosticParams, DocumentDiagnosticReportResult, Uri, WorkspaceDiagnosticParams,
    WorkspaceDiagnosticReport, WorkspaceDiagnosticReportResult,
};
use tower_lsp::UriExt;

use crate::lsp::findings::pull;
use crate::lsp::findings::store::Analysed as _;
use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

/// Returns the findings as they are now: they may be those of a newer version than that of the request's arrival, never of an older one.
pub(crate) fn diagnostic(
    server: &Server,
    _: &Documents,
    params: DocumentDiagnosticParams,
) -> DocumentDiagnosticReportResult {
    pull::report(&server.findings, &params.text_document.uri, params.previous_result_id.as_deref())
}

/// Returns the findings of all pipelines that are open or in the editor's folders. Of those that are not open, only what the analysis finds: the rest is
/// pushed.
pub(crate) fn workspace(
    server: &Server,
    documents: &Documents,
    params: WorkspaceDiagnosticParams,
) -> WorkspaceDiagnosticReportResult {
    let ids = params.previous_result_ids.iter().map(|known| (known.uri.as_str(), known.value.as_str()));
    let ids: BTreeMap<&str, &str> = ids.collect();
    let known = |uri: &Uri| ids.get(uri.as_str()).copied();
    let open =
        documents.pipelines().map(|document| pull::of_open(&server.findings, &document.uri, known(&document.uri)));
    let mut items: Vec<_> = open.collect();
    for file in server.workspace.pipelines(server.settings.folders()) {
        let Some(uri) = Uri::from_file_path(&file).filter(|uri| documents.get(uri).is_none()) else { continue };
        // What cannot be read is said when it is opened or run.
        let Ok(document) = server.documents.on_disk(&uri) else { continue };
        if document.is_pipeline() {
            let known = known(&uri);
            items.push(pull::of_closed(uri.clone(), document.findings(), known));
        }
    }
    // A client keeps what it knows of files that are not in the answer.
    let reported: BTreeSet<&str> = items.iter().map(|item| pull::uri_of(item).as_str()).collect();
    let gone = params.previous_result_ids.iter().filter(|known| !reported.contains(known.uri.as_str()));
    let gone: Vec<_> = gone.map(|gone| pull::of_closed(gone.uri.clone(), Vec::new(), Some(&gone.value))).collect();
    items.extend(gone);
    WorkspaceDiagnosticReportResult::Report(WorkspaceDiagnosticReport { items })
}

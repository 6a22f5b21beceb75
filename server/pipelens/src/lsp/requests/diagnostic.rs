//! A client asks for the findings of a document.

use lsp_types::{DocumentDiagnosticParams, DocumentDiagnosticReportResult};

use crate::lsp::findings::pull;
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

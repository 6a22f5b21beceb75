//! Answers a client that pulls the findings of a document.

use lsp_types::{
    DocumentDiagnosticReport, DocumentDiagnosticReportResult, FullDocumentDiagnosticReport,
    RelatedFullDocumentDiagnosticReport, RelatedUnchangedDocumentDiagnosticReport, UnchangedDocumentDiagnosticReport,
    Uri,
};

use super::store::Findings;

/// Returns the report of a file, or the answer that the client already has it.
pub(crate) fn report(findings: &Findings, uri: &Uri, known: Option<&str>) -> DocumentDiagnosticReportResult {
    let report = findings.of(uri);
    let id = report.id.to_string();
    let report = if known == Some(id.as_str()) {
        DocumentDiagnosticReport::Unchanged(RelatedUnchangedDocumentDiagnosticReport {
            related_documents: None,
            unchanged_document_diagnostic_report: UnchangedDocumentDiagnosticReport { result_id: id },
        })
    } else {
        DocumentDiagnosticReport::Full(RelatedFullDocumentDiagnosticReport {
            related_documents: None,
            full_document_diagnostic_report: FullDocumentDiagnosticReport {
                result_id: Some(id),
                items: report.diagnostics,
            },
        })
    };
    DocumentDiagnosticReportResult::Report(report)
}

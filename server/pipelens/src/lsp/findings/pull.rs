//! Answers a client that pulls the findings of a document.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use lsp_types::{
    Diagnostic, DocumentDiagnosticReport, DocumentDiagnosticReportResult, FullDocumentDiagnosticReport,
    RelatedFullDocumentDiagnosticReport, RelatedUnchangedDocumentDiagnosticReport, UnchangedDocumentDiagnosticReport,
    Uri, WorkspaceDocumentDiagnosticReport, WorkspaceFullDocumentDiagnosticReport,
    WorkspaceUnchangedDocumentDiagnosticReport,
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

/// Returns the report of an open file, as a part of that of all files.
pub(crate) fn of_open(findings: &Findings, uri: &Uri, known: Option<&str>) -> WorkspaceDocumentDiagnosticReport {
    let report = findings.of(uri);
    item(uri.clone(), report.version.map(i64::from), report.id.to_string(), report.diagnostics, known)
}

/// Returns the report of a file that is not open. Its id is made from what it says.
pub(crate) fn of_closed(
    uri: Uri,
    diagnostics: Vec<Diagnostic>,
    known: Option<&str>,
) -> WorkspaceDocumentDiagnosticReport {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(&diagnostics).unwrap_or_default().hash(&mut hasher);
    item(uri, None, format!("disk-{:016x}", hasher.finish()), diagnostics, known)
}

pub(crate) fn uri_of(item: &WorkspaceDocumentDiagnosticReport) -> &Uri {
    match item {
        WorkspaceDocumentDiagnosticReport::Full(report) => &report.uri,
        WorkspaceDocumentDiagnosticReport::Unchanged(report) => &report.uri,
    }
}

fn item(
    uri: Uri,
    version: Option<i64>,
    id: String,
    items: Vec<Diagnostic>,
    known: Option<&str>,
) -> WorkspaceDocumentDiagnosticReport {
    if known == Some(id.as_str()) {
        return WorkspaceDocumentDiagnosticReport::Unchanged(WorkspaceUnchangedDocumentDiagnosticReport {
            uri,
            version,
            unchanged_document_diagnostic_report: UnchangedDocumentDiagnosticReport { result_id: id },
        });
    }
    WorkspaceDocumentDiagnosticReport::Full(WorkspaceFullDocumentDiagnosticReport {
        uri,
        version,
        full_document_diagnostic_report: FullDocumentDiagnosticReport { result_id: Some(id), items },
    })
}

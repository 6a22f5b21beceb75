//! Findings as JSON, for a program.

use pipelens_core::FileId;
use pipelens_core::diagnostic::Diagnostic;
use pipelens_core::text::TextRange;
use serde::Serialize;

use super::parts::{Place, json_document};
use crate::cli::checked::{Checked, Source};
use crate::present::severity_name;

pub(super) fn write(checked: &[Checked]) -> String {
    let files = checked.iter().map(|file| FileReport {
        path: file.path.display().to_string(),
        diagnostics: file.diagnostics.iter().map(|diagnostic| DiagnosticReport::new(file, diagnostic)).collect(),
    });
    let report = Report { version: 1, files: files.collect() };
    json_document(&report)
}

#[derive(Serialize)]
struct Report {
    version: u32,
    files: Vec<FileReport>,
}

#[derive(Serialize)]
struct FileReport {
    path: String,
    diagnostics: Vec<DiagnosticReport>,
}

#[derive(Serialize)]
struct DiagnosticReport {
    code: &'static str,
    severity: &'static str,
    message: String,
    range: RangeReport,
    related: Vec<RelatedReport>,
    fixes: Vec<String>,
}

#[derive(Serialize)]
struct RelatedReport {
    message: String,
    /// The path, for a place in another file.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    range: RangeReport,
}

#[derive(Serialize)]
struct RangeReport {
    start: Place,
    end: Place,
}

impl DiagnosticReport {
    fn new(file: &Checked, diagnostic: &Diagnostic) -> Self {
        let related = diagnostic.related.iter().map(|related| RelatedReport {
            message: related.message.clone(),
            path: (related.place.file != FileId::DOCUMENT)
                .then(|| file.source(related.place.file).path.display().to_string()),
            range: RangeReport::new(file.source(related.place.file), related.place.range),
        });
        Self {
            code: diagnostic.code.as_str(),
            severity: severity_name(diagnostic.severity),
            message: diagnostic.message.clone(),
            range: RangeReport::new(file.source(diagnostic.file), diagnostic.range),
            related: related.collect(),
            fixes: diagnostic.fixes.iter().map(|fix| fix.title.clone()).collect(),
        }
    }
}

impl RangeReport {
    fn new(source: Source<'_>, range: TextRange) -> Self {
        Self { start: Place::new(source, range.start), end: Place::new(source, range.end) }
    }
}

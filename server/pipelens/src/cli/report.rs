//! What `check` prints, for each kind of reader.

mod github;
mod human;
mod json;
mod sarif;

use clap::ValueEnum;
use pipelens_core::diagnostic::Severity;
use serde::Serialize;

use super::checked::{Checked, Source};
use crate::terminal;

/// Who reads the findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// A person
    Human,
    /// A program
    Json,
    /// A code scanning service: SARIF 2.1.0
    Sarif,
    /// A GitHub workflow: one annotation per finding
    Github,
}

/// Writes the findings of all files.
pub(crate) fn write(checked: &[Checked], format: ReportFormat) -> String {
    match format {
        ReportFormat::Human => human::write(checked),
        ReportFormat::Json => json::write(checked),
        ReportFormat::Sarif => sarif::write(checked),
        ReportFormat::Github => github::write(checked),
    }
}

/// Returns a report as a document of its own.
fn json_document(report: &impl Serialize) -> String {
    terminal::inert_json(&(serde_json::to_string_pretty(report).unwrap_or_default() + "\n")).into_owned()
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Information => "information",
        Severity::Hint => "hint",
    }
}

/// Lines and columns count from 1, columns in characters; offsets from 0, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
struct Place {
    line: usize,
    column: usize,
    offset: usize,
}

impl Place {
    fn new(source: Source<'_>, offset: usize) -> Self {
        let line = source.line_index.line(offset);
        let before = source.text.get(source.line_index.line_start(line)..offset).unwrap_or_default();
        Self { line: line + 1, column: before.chars().count() + 1, offset }
    }
}

//! What `check` prints, for each kind of reader.

mod github;
mod human;
mod json;
mod parts;
mod sarif;

use clap::ValueEnum;

use super::checked::Checked;

/// Who reads the findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people to read
    Human,
    /// For programs
    Json,
    /// For code scanning services: SARIF 2.1.0
    Sarif,
    /// For GitHub workflows: one annotation per finding
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

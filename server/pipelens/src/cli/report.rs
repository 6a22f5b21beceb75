//! What `check` prints, for each kind of reader.

mod github;
mod human;
mod json;
mod parts;
mod sarif;

use clap::ValueEnum;

use super::checked::Checked;
use crate::problems::Located;

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

/// Writes problems of a run as annotations.
pub(super) fn github_problems(problems: &[Located]) -> String {
    github::write_problems(problems)
}

/// Writes an annotation for a step that failed.
pub(super) fn github_failure(key: &str, text: &str) -> String {
    github::write_failure(key, text)
}

/// Writes problems of a run as a document.
pub(super) fn sarif_problems(problems: &[Located]) -> String {
    sarif::write_problems(problems)
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

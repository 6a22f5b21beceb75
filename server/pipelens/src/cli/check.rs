//! `pipelens check`: the findings of files, for a person or a program.

use std::path::{Path, PathBuf};

use pipelens_core::Analysis;
use pipelens_core::diagnostic::{Diagnostic, Severity};
use pipelens_core::text::TextRange;
use serde::Serialize;

use super::{EXIT_USAGE, Format, complain, print, render, source};
use crate::settings::ProjectSettings;
use crate::{present, project};

/// A text, and what is wrong with it by the project's severities.
pub(crate) struct Checked {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) analysis: Analysis,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) root: PathBuf,
    pub(crate) project: ProjectSettings,
}

impl Checked {
    /// Reads and analyses a file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = source::read(path)?;
        let analysis = pipelens_core::analyze(&text, crate::lsp::format_of(path));
        let absolute = std::path::absolute(path)?;
        let root = project::root_of(&absolute, &[]);
        let project = ProjectSettings::read(&root)?;
        let diagnostics = analysis.diagnostics.iter().filter_map(|diagnostic| project.adjust(diagnostic)).collect();
        Ok(Self { path: path.to_owned(), text, analysis, diagnostics, root, project })
    }

    fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Renders the findings of at least this weight.
    pub(crate) fn render(&self, least: Severity) -> String {
        let shown = self.diagnostics.iter().filter(|diagnostic| diagnostic.severity <= least);
        shown.fold(String::new(), |mut text, diagnostic| {
            text.push_str(&render::finding(&self.path, &self.text, diagnostic));
            text.push_str("\n\n");
            text
        })
    }
}

/// Checks files one by one; one that cannot be read does not hide the others.
pub(crate) fn check(files: &[PathBuf], format: Format) -> u8 {
    let mut checked = Vec::new();
    let mut is_unusable = false;
    for path in files {
        match Checked::read(path) {
            Ok(file) => checked.push(file),
            Err(error) => {
                complain(&format!("{error:#}"));
                is_unusable = true;
            }
        }
    }
    let output = match format {
        Format::Human => human(&checked),
        Format::Json => json(&checked),
    };
    if let Err(error) = print(&output) {
        complain(&format!("Cannot print the findings: {error:#}"));
        return EXIT_USAGE;
    }
    match (is_unusable, checked.iter().any(Checked::has_errors)) {
        (true, _) => EXIT_USAGE,
        (false, true) => 1,
        (false, false) => 0,
    }
}

fn human(checked: &[Checked]) -> String {
    let mut text: String = checked.iter().map(|file| file.render(Severity::Hint)).collect();
    if checked.is_empty() {
        return text;
    }
    let all = || checked.iter().flat_map(|file| &file.diagnostics);
    let count = |severity| all().filter(|diagnostic| diagnostic.severity == severity).count();
    let counted = [
        (count(Severity::Error), "error"),
        (count(Severity::Warning), "warning"),
        (count(Severity::Information) + count(Severity::Hint), "hint"),
    ];
    let parts = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| present::plural(*count, what))
        .collect::<Vec<_>>();
    let files = present::plural(checked.len(), "file");
    let found = if parts.is_empty() { "no findings".to_owned() } else { parts.join(", ") };
    text.push_str(&format!("{files} checked: {found}\n"));
    text
}

fn json(checked: &[Checked]) -> String {
    let files = checked.iter().map(|file| FileReport {
        path: file.path.display().to_string(),
        diagnostics: file.diagnostics.iter().map(|diagnostic| DiagnosticReport::new(file, diagnostic)).collect(),
    });
    let report = Report { version: 1, files: files.collect() };
    let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
    text.push('\n');
    text
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
    range: RangeReport,
}

#[derive(Serialize)]
struct RangeReport {
    start: PlaceReport,
    end: PlaceReport,
}

/// Lines and columns count from 1, columns in characters; offsets from 0, in bytes.
#[derive(Serialize)]
struct PlaceReport {
    line: usize,
    column: usize,
    offset: usize,
}

impl DiagnosticReport {
    fn new(file: &Checked, diagnostic: &Diagnostic) -> Self {
        let related = diagnostic.related.iter().map(|related| RelatedReport {
            message: related.message.clone(),
            range: RangeReport::new(file, related.range),
        });
        Self {
            code: diagnostic.code.as_str(),
            severity: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Information => "information",
                Severity::Hint => "hint",
            },
            message: diagnostic.message.clone(),
            range: RangeReport::new(file, diagnostic.range),
            related: related.collect(),
            fixes: diagnostic.fixes.iter().map(|fix| fix.title.clone()).collect(),
        }
    }
}

impl RangeReport {
    fn new(file: &Checked, range: TextRange) -> Self {
        Self { start: PlaceReport::new(file, range.start), end: PlaceReport::new(file, range.end) }
    }
}

impl PlaceReport {
    fn new(file: &Checked, offset: usize) -> Self {
        let line = file.analysis.line_index.line(offset);
        let before = file.text.get(file.analysis.line_index.line_start(line)..offset).unwrap_or_default();
        Self { line: line + 1, column: before.chars().count() + 1, offset }
    }
}

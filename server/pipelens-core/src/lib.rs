//! Reads CI pipelines: text in, values out. No IO, no clock, no async, no protocol types, and it never fails.

mod analysis;
mod analyze;
pub mod arguments;
pub mod convert;
pub mod diagnostic;
pub mod expand;
mod files;
mod findings;
pub mod fixes;
pub mod graph;
pub mod ide;
mod keys;
mod lower;
pub mod model;
mod mounts;
mod nearest;
pub mod plan;
pub mod printable;
pub mod problems;
pub mod programs;
mod project;
pub mod runners;
mod schema;
pub mod shell;
mod suppress;
mod syntax;
pub mod text;
mod validate;

pub use analysis::Analysis;
pub use files::{FileEdit, FileId, FileRange, Files, Format, SourceFile, is_pipeline_file};
pub use project::{Project, Remark};

/// Reads a document. Never fails and never panics: whatever is wrong is in `diagnostics`.
pub fn analyze(text: &str, format: Format) -> Analysis {
    analyze::analyze(text, format, None, None)
}

/// Reads a document as part of a project: like `analyze`, plus paths that do not exist and what a linter reports.
pub fn analyze_in(text: &str, format: Format, project: &dyn Project) -> Analysis {
    analyze::analyze(text, format, Some(project), None)
}

/// Reads a document after an edit, with the same result as `analyze` or `analyze_in`: what has not changed since the analysis `before` is
/// not parsed again.
pub fn analyze_again(text: &str, format: Format, project: Option<&dyn Project>, before: &Analysis) -> Analysis {
    analyze::analyze(text, format, project, Some(before))
}

/// Reads the settings of a project: `.pipelens.yaml`. What is wrong with them is in `diagnostics`.
pub fn analyze_settings(text: &str) -> Analysis {
    analyze::analyze_settings(text)
}

/// Returns the JSON schema of pipelines in every spelling, for editors and tools that use schemas.
pub fn schema() -> String {
    schema::schema()
}

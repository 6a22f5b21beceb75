//! Reads CI pipelines: text in, values out. No IO, no clock, no async, no protocol types, and it never fails.

mod analysis;
pub mod arguments;
pub mod convert;
pub mod diagnostic;
mod files;
mod findings;
pub mod fixes;
pub mod graph;
pub mod ide;
mod keys;
mod lower;
pub mod model;
mod nearest;
pub mod plan;
pub mod printable;
pub mod runners;
mod schema;
mod shell;
mod suppress;
mod syntax;
pub mod text;
mod validate;

use std::sync::Arc;

use diagnostic::{Diagnostic, Severity};
use model::Pipeline;
use syntax::tree::Tree;
use text::{LineIndex, TextEdit, TextRange};

/// Which grammar a file's name asks for. JSON is checked strictly; YAML includes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Yaml,
    Json,
}

/// All that is known about one text.
#[derive(Debug, Clone, Default)]
pub struct Analysis {
    pub line_index: LineIndex,
    /// One a YAML document, one a file, or one an envelope entry. Broken text still yields what could be read.
    pub pipelines: Vec<Pipeline>,
    /// In text order.
    pub diagnostics: Vec<Diagnostic>,
    /// The text needed a repair to be read: good for lenses and outline, never for a run.
    pub is_repaired: bool,
    /// Errors a comment silenced that make a run impossible all the same.
    pub(crate) silenced: Vec<Diagnostic>,
    pub(crate) text: String,
    pub(crate) tree: Tree,
}

/// Reads a text. Never fails and never panics: what is wrong is in `diagnostics`.
pub fn analyze(text: &str, format: Format) -> Analysis {
    analysis::analyze(text, format, None)
}

/// What is known of the project a pipeline belongs to. The core reads no disk, so somebody else has to look.
pub trait Project {
    /// Whether any source file is meant by a path of an `on_change` policy: a file, a folder, or a glob. `None`: not known.
    fn has_match(&self, path: &str) -> Option<bool>;
    /// Whether the sources have this folder, relative to their root. `None`: not known.
    fn has_folder(&self, path: &str) -> Option<bool>;
    /// Whether the user has given this project a secret. `None`: not known.
    fn has_secret(&self, _name: &str) -> Option<bool> {
        None
    }
    /// What a linter of shell scripts is known to say about a command.
    fn remarks(&self, _command: &str) -> Arc<[Remark]> {
        Arc::default()
    }
}

/// Something a linter said about a command. Its places are offsets in the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    pub range: TextRange,
    pub severity: Severity,
    /// With the linter's own name for it.
    pub message: String,
    /// Edits that mend it together.
    pub fix: Vec<TextEdit>,
}

/// Reads a text as part of a project: like `analyze`, and finds paths that lead nowhere and what a linter has to say.
pub fn analyze_in(text: &str, format: Format, project: &dyn Project) -> Analysis {
    analysis::analyze(text, format, Some(project))
}

/// Tells whether a file is a pipeline: by its path, or by a comment `# pipelens: pipeline` among its first lines.
pub fn is_pipeline_file(path: &str, first_lines: &str) -> bool {
    files::is_pipeline_file(path, first_lines)
}

/// Returns the JSON schema of pipelines in every spelling, for editors and tools that know schemas.
pub fn schema() -> String {
    schema::schema()
}

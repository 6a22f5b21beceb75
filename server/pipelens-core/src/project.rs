//! What the core is told about the project a pipeline belongs to. The core reads no files itself.

use std::sync::Arc;

use crate::diagnostic::Severity;
use crate::shell::Dialect;
use crate::text::{TextEdit, TextRange};

/// Answers the core's questions about a project.
pub trait Project {
    /// Whether any source file matches a path of an `on_change` policy: a file, a folder, or a glob. `None`: not known.
    fn has_match(&self, path: &str) -> Option<bool>;
    /// Whether the sources have this folder, relative to their root. `None`: not known.
    fn has_folder(&self, path: &str) -> Option<bool>;
    /// Whether the user has allowed this project to use a secret. `None`: not known.
    fn has_secret(&self, _name: &str) -> Option<bool> {
        None
    }
    /// The program that runs the commands of the project's pipelines, with its options, if they do not say so themselves.
    fn shell(&self) -> Option<Vec<String>> {
        None
    }
    /// What a linter for shell scripts reports about a command.
    fn remarks(&self, _command: &str, _dialect: Dialect) -> Arc<[Remark]> {
        Arc::default()
    }
}

/// Something a linter reports about a command. Its ranges are offsets in the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    pub range: TextRange,
    pub severity: Severity,
    /// Includes the linter's own code.
    pub message: String,
    /// Edits that fix it when applied together.
    pub fix: Vec<TextEdit>,
}

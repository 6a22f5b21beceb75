//! What the core is told about a pipeline's project: its files, and what ShellCheck said about its commands.

use std::path::PathBuf;
use std::sync::Arc;

use pipelens_core::{Project, Remark};
use pipelens_engine::project::ProjectFiles;

use crate::shellcheck::ShellCheck;

/// One project, as seen from outside of the pipeline's text.
#[derive(Debug)]
pub(crate) struct Surroundings {
    files: ProjectFiles,
    pub(crate) shellcheck: ShellCheck,
}

impl Surroundings {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { files: ProjectFiles::new(root.clone()), shellcheck: ShellCheck::new(root) }
    }
}

impl Project for Surroundings {
    fn has_match(&self, path: &str) -> Option<bool> {
        self.files.has_match(path)
    }

    fn has_folder(&self, path: &str) -> Option<bool> {
        self.files.has_folder(path)
    }

    fn remarks(&self, command: &str) -> Arc<[Remark]> {
        self.shellcheck.remarks(command)
    }
}

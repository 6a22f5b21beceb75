//! What the core is told about a pipeline's project: its files, and what ShellCheck said about its commands.

use std::path::PathBuf;
use std::sync::Arc;

use pipelens_core::{Project, Remark};
use pipelens_engine::project::{ProjectFiles, Ready};

use crate::shellcheck::ShellCheck;

/// One project, as seen from outside of the pipeline's text.
#[derive(Debug)]
pub(crate) struct Surroundings {
    files: ProjectFiles,
    pub(crate) shellcheck: ShellCheck,
}

impl Surroundings {
    /// What is asked waits for the answer.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { files: ProjectFiles::new(root.clone()), shellcheck: ShellCheck::new(root) }
    }

    /// What is asked is answered at once; `ready` is called when more is known.
    pub(crate) fn aside(root: PathBuf, ready: Ready) -> Self {
        Self { files: ProjectFiles::aside(root.clone(), ready), shellcheck: ShellCheck::new(root) }
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

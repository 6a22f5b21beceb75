//! What was found in a directory, and the steps that are written for it.

use std::path::PathBuf;

use crate::cli::init::project::Folder;

/// One kind of project that was found in one directory, with its steps.
pub(in crate::cli::init) struct Kind {
    pub(in crate::cli::init) name: &'static str,
    /// Distinguishes the steps of several kinds in one directory.
    pub(in crate::cli::init) language: &'static str,
    /// Relative to the project.
    pub(in crate::cli::init) place: PathBuf,
    pub(in crate::cli::init) parts: Vec<Part>,
}

/// Where a step starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli::init) enum Start {
    Image(String),
    /// With the filesystem another step of the same kind left.
    In(&'static str),
    /// On the user's machine.
    Host,
}

/// One step; its commands run in the directory of its kind.
#[derive(Debug)]
pub(in crate::cli::init) struct Part {
    pub(in crate::cli::init) comment: Option<&'static str>,
    pub(in crate::cli::init) key: &'static str,
    pub(in crate::cli::init) start: Start,
    pub(in crate::cli::init) commands: Vec<String>,
    /// If one of these files changes, the step runs again.
    pub(in crate::cli::init) cached_by: Vec<String>,
    pub(in crate::cli::init) env: Vec<(&'static str, &'static str)>,
    pub(in crate::cli::init) is_soft: bool,
    /// Folders that the next run finds again: relative to the directory of its kind, below `~`, or absolute.
    pub(in crate::cli::init) cache_mounts: Vec<&'static str>,
    /// What the tool makes is among the sources, so that the next run starts from all of it.
    pub(in crate::cli::init) reuses_last: bool,
}

impl Kind {
    pub(super) fn new(name: &'static str, folder: Folder<'_>, parts: Vec<Part>) -> Self {
        Self { name, language: "", place: folder.path.to_owned(), parts }
    }
}

impl Part {
    /// A step that starts from an image.
    pub(super) fn root(key: &'static str, image: impl Into<String>, commands: Vec<String>) -> Self {
        Self::new(key, Start::Image(image.into()), commands)
    }

    /// A step that continues another one.
    pub(super) fn then(key: &'static str, parent: &'static str, command: impl Into<String>) -> Self {
        Self::new(key, Start::In(parent), vec![command.into()])
    }

    pub(super) fn new(key: &'static str, start: Start, commands: Vec<String>) -> Self {
        Self {
            comment: None,
            key,
            start,
            commands,
            cached_by: Vec::new(),
            env: Vec::new(),
            is_soft: false,
            cache_mounts: Vec::new(),
            reuses_last: false,
        }
    }

    pub(super) fn comment(mut self, comment: &'static str) -> Self {
        self.comment = Some(comment);
        self
    }

    pub(super) fn cached_by(mut self, files: Vec<String>) -> Self {
        self.cached_by = files;
        self
    }

    pub(super) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    pub(super) fn mounts(mut self, folders: &[&'static str]) -> Self {
        self.cache_mounts.extend(folders);
        self
    }

    pub(super) fn reuses_last(mut self) -> Self {
        self.reuses_last = true;
        self
    }

    /// A failure is shown, but does not fail the run.
    pub(super) fn soft(mut self) -> Self {
        self.is_soft = true;
        self
    }
}

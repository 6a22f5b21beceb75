//! Walks a project by git's ignore rules without asking git, and never waits for, runs or leaves the project for what it finds on the way.

mod repository;
mod rules;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use ignore::DirEntry;
use ignore::WalkBuilder;
use thiserror::Error;

use crate::files::Unreadable;
pub(crate) use crate::walk::repository::{Repository, Tracked};
pub(crate) use crate::walk::rules::Rules;

/// Whose ignore rules count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleSet {
    /// Those of git.
    Git,
    /// Those of git, with those of `.pipelensignore` before them.
    Sources,
    /// Those of `.pipelensignore` alone.
    Own,
}

/// The entries of a project that no rule ignores, folders before what is in them. `.git` is none of them.
pub struct Walk {
    entries: ignore::Walk,
    rules: Arc<Mutex<Rules>>,
    root: PathBuf,
}

/// Why a walk ended early.
#[derive(Debug, Error)]
pub enum WalkError {
    /// Without its rules it is unknown what is ignored.
    #[error("the ignore rules in `{}` cannot be used: {reason}", path.display())]
    Rules { path: PathBuf, reason: Unreadable },
    #[error("`{}`: {source}", path.display())]
    Entry { path: PathBuf, source: io::Error },
}

impl Walk {
    /// Walks everything below a folder.
    pub fn new(root: &Path, rule_set: RuleSet) -> io::Result<Self> {
        Self::filtered(root, rule_set, |_| true)
    }

    /// Walks what is on the way from the root to one place, and all that is below it.
    pub fn towards(root: &Path, start: &Path, rule_set: RuleSet) -> io::Result<Self> {
        let start = start.to_owned();
        Self::filtered(root, rule_set, move |path| path.starts_with(&start) || start.starts_with(path))
    }

    fn filtered(
        root: &Path,
        rule_set: RuleSet,
        is_wanted: impl Fn(&Path) -> bool + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let rules = Arc::new(Mutex::new(Rules::new(root, rule_set)?));
        let asked = Arc::clone(&rules);
        let entries = WalkBuilder::new(root)
            .standard_filters(false)
            .follow_links(false)
            .filter_entry(move |entry| {
                let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
                entry.file_name() != ".git"
                    && is_wanted(entry.path())
                    && !asked.lock().unwrap_or_else(PoisonError::into_inner).is_ignored(entry.path(), is_folder)
            })
            .sort_by_file_name(Ord::cmp)
            .build();
        Ok(Self { entries, rules, root: root.to_owned() })
    }
}

impl From<WalkError> for io::Error {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Rules { .. } => Self::other(error.to_string()),
            WalkError::Entry { source, .. } => source,
        }
    }
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Iterator for Walk {
    type Item = Result<DirEntry, WalkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.entries.next();
        let failure = self.rules.lock().unwrap_or_else(PoisonError::into_inner).failure.take();
        if let Some((path, reason)) = failure {
            return Some(Err(WalkError::Rules { path, reason }));
        }
        next.map(|entry| {
            entry.map_err(|error| {
                let text = error.to_string();
                let source = error.into_io_error().unwrap_or_else(|| io::Error::other(text));
                WalkError::Entry { path: self.root.clone(), source }
            })
        })
    }
}

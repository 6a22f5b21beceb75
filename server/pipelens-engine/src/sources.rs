//! Which files of the project a step gets: tracked and unignored files, except those in `.pipelensignore`.

mod entries;
mod manifest;

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::error::EngineError;
use crate::files::ProjectFolder;
pub(crate) use crate::sources::entries::{EntryKind, Sources, Stamp, Watched, is_below};
pub(crate) use crate::sources::manifest::{Delta, Manifest};
use crate::walk::{Repository, RuleSet, Rules, Tracked, Walk, WalkError};

/// An index of ten thousand files is decoded in a few milliseconds.
const MAX_QUICK_INDEX_BYTES: u64 = 1024 * 1024;

impl Sources {
    /// Scans the project directory. Blocks on the disk. The result is incomplete once a stop is requested.
    pub(crate) fn scan(root: &Path, stop: &CancellationToken) -> Result<Self, EngineError> {
        let failed = |source| EngineError::Sources { path: root.to_owned(), source };
        let root = root.canonicalize().map_err(failed)?;
        let folder = ProjectFolder::open(&root).map_err(failed)?;
        let mut sources = Self { root: root.clone(), folder: Some(Arc::new(folder)), ..Self::default() };
        let mut seen = BTreeSet::new();
        // Repositories inside the project, such as submodules.
        let mut repositories = BTreeSet::new();
        for entry in Walk::new(&root, RuleSet::Sources).map_err(failed)? {
            if stop.is_cancelled() {
                break;
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(WalkError::Entry { path, source }) => {
                    sources.skip(&path, source)?;
                    continue;
                }
                Err(error @ WalkError::Rules { .. }) => return Err(error.into()),
            };
            let Ok(path) = entry.path().strip_prefix(&root) else { continue };
            if entry.file_type().is_some_and(|kind| kind.is_dir()) {
                let children = Children::of(entry.path());
                sources.ignored += children.count;
                if children.has_git && !path.as_os_str().is_empty() {
                    repositories.insert(path.to_owned());
                }
            }
            if path.as_os_str().is_empty() {
                continue;
            }
            sources.ignored = sources.ignored.saturating_sub(1);
            match entry.path().symlink_metadata() {
                Ok(metadata) => sources.add(path, &metadata),
                Err(source) => sources.skip(entry.path(), source)?,
            }
            seen.insert(path.to_owned());
        }
        if let Some(repository) = Repository::of(&root) {
            sources.add_tracked_but_ignored(&repository, seen, repositories)?;
        }
        sources.note_what_is_left_out();
        Ok(sources)
    }

    /// Lists files of a folder, with the folders they are in.
    pub(crate) fn of_files(root: &Path, files: &[PathBuf]) -> io::Result<Self> {
        let folder = Arc::new(ProjectFolder::open(root)?);
        let mut sources = Self { root: root.to_owned(), folder: Some(folder), ..Self::default() };
        let above = files.iter().flat_map(|file| file.ancestors().skip(1)).filter(|path| !path.as_os_str().is_empty());
        let paths: BTreeSet<&Path> = above.chain(files.iter().map(PathBuf::as_path)).collect();
        for path in paths {
            let found = root.join(path).symlink_metadata();
            sources.add(
                path,
                &found.map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))?,
            );
        }
        Ok(sources)
    }

    /// Leaves out an entry that could not be looked at, unless that is a reason not to run at all.
    fn skip(&mut self, path: &Path, source: io::Error) -> Result<(), EngineError> {
        let relative = path.strip_prefix(&self.root).unwrap_or(path).to_owned();
        match source.kind() {
            // Removed since the walk began: the project may change at any time.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if !relative.as_os_str().is_empty() => Ok(()),
            io::ErrorKind::PermissionDenied if !relative.as_os_str().is_empty() => {
                // A directory is found before it is read.
                self.entries.pop_if(|last| last.path == relative);
                self.leave_out(&relative, "permission denied");
                Ok(())
            }
            _ => Err(EngineError::Sources { path: path.to_owned(), source }),
        }
    }

    /// Adds tracked files that the ignore rules match, because git's rules do not apply to tracked files. The same holds for each of the
    /// repositories inside the project.
    fn add_tracked_but_ignored(
        &mut self,
        repository: &Repository,
        mut seen: BTreeSet<PathBuf>,
        mut repositories: BTreeSet<PathBuf>,
    ) -> Result<(), EngineError> {
        let mut own_rules = Rules::new(&self.root, RuleSet::Own)
            .map_err(|source| EngineError::Sources { path: self.root.clone(), source })?;
        let mut tracked = tracked_below(&self.root, repository);
        self.note_problem(Path::new(""), repository, tracked.problem.take());
        loop {
            for path in tracked.paths {
                if seen.contains(&path) {
                    continue;
                }
                let Ok(metadata) = self.root.join(&path).symlink_metadata() else { continue };
                let Some(parents) = self.folders_above(&path) else {
                    self.notes.push(format!(
                        "`{}` is not sent: git tracks it, but one of the folders in its path is now a symbolic link.",
                        path.display()
                    ));
                    continue;
                };
                if own_rules.is_path_ignored(&self.root.join(&path)) {
                    continue;
                }
                // A tracked directory is a submodule; this one is in an ignored directory.
                if metadata.is_dir() {
                    repositories.insert(path.clone());
                }
                for (parent, metadata) in parents {
                    if seen.insert(parent.clone()) {
                        self.add(&parent, &metadata);
                    }
                }
                self.add(&path, &metadata);
                seen.insert(path);
            }
            let Some(inner) = repositories.pop_first() else { break };
            let top = self.root.join(&inner);
            let repository = Repository::of(&top).filter(|repository| repository.top() == top);
            let Some(repository) = repository else {
                tracked = Tracked::default();
                continue;
            };
            tracked = repository.tracked();
            self.note_problem(&inner, &repository, tracked.problem.take());
            tracked.paths.iter_mut().for_each(|path| *path = inner.join(&path));
        }
        if let Some((path, reason)) = own_rules.failure {
            return Err(WalkError::Rules { path, reason }.into());
        }
        Ok(())
    }

    /// Adds a note if it is unknown which files a repository tracks.
    fn note_problem(&mut self, inner: &Path, repository: &Repository, problem: Option<String>) {
        let Some(problem) = problem else { return };
        let place = match inner.as_os_str().is_empty() {
            true => String::new(),
            false => format!(" of `{}`", inner.display()),
        };
        let (what, more) = match repository.is_read() {
            true => ("Git's index", ""),
            false => ("The git repository", "its `info/exclude` is ignored, and "),
        };
        self.notes.push(format!(
            "{what}{place} cannot be read ({problem}), so {more}files that match an ignore rule are not sent, even if they are tracked."
        ));
    }

    /// Returns the parent directories of a path, outermost first; `None` if one of them is a link, which may lead anywhere.
    fn folders_above(&self, path: &Path) -> Option<Vec<(PathBuf, Metadata)>> {
        let mut folders: Vec<_> = path
            .ancestors()
            .skip(1)
            .filter(|path| !path.as_os_str().is_empty())
            .map(|path| {
                let metadata = self.root.join(path).symlink_metadata().ok()?;
                metadata.is_dir().then(|| (path.to_owned(), metadata))
            })
            .collect::<Option<_>>()?;
        folders.reverse();
        Some(folders)
    }
}

/// Whether git's index is too large to be read while the user is typing.
pub(crate) fn has_large_index(root: &Path) -> bool {
    Repository::of(root).is_some_and(|repository| repository.index_bytes() > MAX_QUICK_INDEX_BYTES)
}

/// Returns the files in git's index, relative to the root.
pub(crate) fn tracked_files(root: &Path) -> Vec<PathBuf> {
    Repository::of(root).map(|repository| tracked_below(root, &repository).paths).unwrap_or_default()
}

fn tracked_below(root: &Path, repository: &Repository) -> Tracked {
    let mut tracked = repository.tracked();
    if let Ok(prefix) = root.strip_prefix(repository.top())
        && !prefix.as_os_str().is_empty()
    {
        tracked.paths =
            tracked.paths.iter().filter_map(|path| path.strip_prefix(prefix).ok()).map(Path::to_owned).collect();
    }
    tracked
}

/// What a directory contains, before any rule is applied.
#[derive(Debug, Default)]
struct Children {
    count: u64,
    has_git: bool,
}

impl Children {
    fn of(folder: &Path) -> Self {
        let Ok(children) = std::fs::read_dir(folder) else { return Self::default() };
        children.flatten().fold(Self::default(), |all, child| match child.file_name() == ".git" {
            true => Self { has_git: true, ..all },
            false => Self { count: all.count + 1, ..all },
        })
    }
}

#[cfg(test)]
mod tests;

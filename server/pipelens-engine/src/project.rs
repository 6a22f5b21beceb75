//! What the core is told about the disk: by the same rules by which a run chooses its sources and computes its cache keys.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pipelens_core::Project;

use crate::cache::globs;
use crate::files::ProjectFolder;
use crate::sources;

/// Entries looked at before a glob is given up: somebody is typing meanwhile.
const MAX_ENTRIES: usize = 10_000;
/// How long an answer about a glob is good for. A keystroke comes sooner.
const GOOD_FOR: Duration = Duration::from_secs(2);

/// The files of one project. Looks again when an answer has become old.
#[derive(Debug)]
pub struct ProjectFiles {
    root: PathBuf,
    answers: Mutex<HashMap<String, (Instant, Option<bool>)>>,
}

impl ProjectFiles {
    pub fn new(root: PathBuf) -> Self {
        Self { root, answers: Mutex::default() }
    }

    fn look(&self, path: &str) -> Option<bool> {
        let globs = globs(path).ok()?;
        // Only what can lead to a match is walked.
        let fixed: PathBuf = Path::new(path.trim_start_matches("./"))
            .components()
            .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']))
            .collect();
        let start = self.root.join(&fixed);
        if start.symlink_metadata().is_err() {
            return Some(false);
        }
        let mut entries = 0;
        for entry in sources::walk_towards(&self.root, &start).ok()? {
            entries += 1;
            if entries > MAX_ENTRIES {
                return None;
            }
            let entry = entry.ok()?;
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            if !is_folder && entry.path().strip_prefix(&self.root).is_ok_and(|path| globs.is_match(path)) {
                return Some(true);
            }
        }
        // What git has is sent although it is ignored.
        Some(sources::tracked_files(&self.root).iter().any(|path| globs.is_match(path)))
    }
}

impl Project for ProjectFiles {
    fn has_match(&self, path: &str) -> Option<bool> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, answer)) = answers.get(path)
            && when.elapsed() < GOOD_FOR
        {
            return *answer;
        }
        answers.retain(|_, (when, _)| when.elapsed() < GOOD_FOR);
        let answer = self.look(path);
        answers.insert(path.to_owned(), (Instant::now(), answer));
        answer
    }

    fn has_folder(&self, path: &str) -> Option<bool> {
        let project = ProjectFolder::open(&self.root).ok()?;
        Some(project.has_folder(Path::new(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_file_a_folder_or_a_glob_and_what_is_ignored_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["Cargo.lock", "src/deep/a.rs", "target/x.o", ".pipelensignore"] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "target\n").unwrap();
        }
        std::fs::create_dir(root.join("empty")).unwrap();
        let project = ProjectFiles::new(root.to_owned());
        for path in ["Cargo.lock", "./Cargo.lock", "src", "src/", "src/**/*.rs", "**/*.rs", "*.lock", "."] {
            assert_eq!(project.has_match(path), Some(true), "{path}");
        }
        for path in ["Cargo.lok", "src/*.rs", "target", "target/*.o", "empty", "*.toml", "nowhere/**"] {
            assert_eq!(project.has_match(path), Some(false), "{path}");
        }
        assert_eq!(project.has_match("["), None);
        assert_eq!(project.has_folder("src/deep"), Some(true));
        assert_eq!(project.has_folder("Cargo.lock"), Some(false));
    }
}

//! What the core is told about the files of a project, by the same rules by which a run chooses its sources and computes its cache keys.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pipelens_core::Project;

use crate::files::ProjectFolder;
use crate::globs::globs;
use crate::sources;
use crate::walk::{RuleSet, Walk};

/// Entries looked at while the user is typing: a few milliseconds. A larger project is looked at in the background.
const QUICK_ENTRIES: usize = 2_000;
/// With more entries than this, nothing is said about a project at all.
const MAX_ENTRIES: usize = 200_000;
/// How long an index is good for at least. A keystroke comes sooner.
const GOOD_FOR: Duration = Duration::from_secs(2);
/// A walk that took long is not taken again before so many times that time has passed.
const REST: u32 = 20;
/// Paths that may be compared with globs between two walks.
const MAX_COMPARED: usize = 200_000;
/// What compiling a glob costs, in paths compared.
const COMPILE: usize = 200;
/// Longer globs are only written to make compiling them expensive.
const MAX_GLOB_BYTES: usize = 1_024;

/// Called when more is known about a project than was answered.
pub type Ready = Arc<dyn Fn() + Send + Sync>;

/// The files of one project. One walk answers every question for a while.
pub struct ProjectFiles {
    root: PathBuf,
    known: Arc<Mutex<Known>>,
    /// `None`: callers wait for the walk.
    ready: Option<Ready>,
    /// Ends a walk in the background when the project is no longer asked about.
    is_closed: Arc<AtomicBool>,
}

impl Drop for ProjectFiles {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Known {
    index: Option<Arc<Index>>,
    /// A walk is under way in the background.
    is_walking: bool,
}

/// What a walk found.
#[derive(Debug)]
struct Index {
    made: Instant,
    took: Duration,
    /// Relative to the root.
    files: Vec<PathBuf>,
    /// The files and all folders they are in.
    places: HashSet<PathBuf>,
    /// There is more than is looked at, so what was not found may be there.
    is_cut: bool,
    /// What git has is sent although it is ignored. Asked for when a path is not among the files.
    tracked: OnceLock<(Vec<PathBuf>, HashSet<PathBuf>)>,
    answers: Mutex<Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    of_globs: HashMap<String, Option<bool>>,
    compared: usize,
}

impl std::fmt::Debug for ProjectFiles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ProjectFiles").field("root", &self.root).finish_non_exhaustive()
    }
}

impl ProjectFiles {
    /// Looks when it is asked, while the caller waits.
    pub fn new(root: PathBuf) -> Self {
        Self { root, known: Arc::default(), ready: None, is_closed: Arc::default() }
    }

    /// Never waits for a large project: answers "not known", looks in the background, and calls `ready` when more is known.
    pub fn in_background(root: PathBuf, ready: Ready) -> Self {
        Self { root, known: Arc::default(), ready: Some(ready), is_closed: Arc::default() }
    }

    /// Returns what is known; in a large project that may be older, or nothing yet.
    fn index(&self) -> Option<Arc<Index>> {
        let mut known = self.known.lock();
        if let Some(index) = known.index.as_ref().filter(|index| index.is_fresh()) {
            return Some(index.clone());
        }
        let Some(ready) = &self.ready else {
            let index = Arc::new(Index::walk(&self.root, MAX_ENTRIES, &self.is_closed));
            known.index = Some(index.clone());
            return Some(index);
        };
        let is_small = known.index.as_ref().is_none_or(|index| index.files.len() <= QUICK_ENTRIES);
        if is_small && !known.is_walking {
            let index = Arc::new(Index::walk(&self.root, QUICK_ENTRIES, &self.is_closed));
            if !index.is_cut {
                known.index = Some(index.clone());
                return Some(index);
            }
        }
        if !known.is_walking {
            known.is_walking = self.walk_in_background(ready.clone());
        }
        known.index.clone()
    }

    fn walk_in_background(&self, ready: Ready) -> bool {
        let (root, known, is_closed) = (self.root.clone(), self.known.clone(), self.is_closed.clone());
        let walk = move || {
            let index = Arc::new(Index::walk(&root, MAX_ENTRIES, &is_closed));
            if is_closed.load(Ordering::Relaxed) {
                return;
            }
            index.tracked(&root);
            let mut known = known.lock();
            let is_news = known.index.as_ref().is_none_or(|before| before.files != index.files);
            (known.index, known.is_walking) = (Some(index), false);
            drop(known);
            if is_news {
                ready();
            }
        };
        std::thread::Builder::new().name("project".to_owned()).spawn(walk).is_ok()
    }
}

impl Index {
    fn walk(root: &Path, most: usize, is_closed: &AtomicBool) -> Self {
        let made = Instant::now();
        let (mut files, mut places) = (Vec::new(), HashSet::new());
        // Its index takes longer to read than all of it to walk.
        let mut is_cut = most <= QUICK_ENTRIES && sources::has_large_index(root);
        let walk = if is_cut { None } else { Walk::new(root, RuleSet::Sources).ok() };
        is_cut |= walk.is_none();
        for (entries, entry) in walk.into_iter().flatten().enumerate() {
            if entries >= most || is_closed.load(Ordering::Relaxed) {
                is_cut = true;
                break;
            }
            // What cannot be read is not known.
            let Ok(entry) = entry else {
                is_cut = true;
                continue;
            };
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            if let (false, Ok(path)) = (is_folder, entry.path().strip_prefix(root)) {
                add_places(path, &mut places);
                files.push(path.to_owned());
            }
        }
        let (tracked, answers) = (OnceLock::new(), Mutex::default());
        Self { made, took: made.elapsed(), files, places, is_cut, tracked, answers }
    }

    fn is_fresh(&self) -> bool {
        self.made.elapsed() < GOOD_FOR.max(self.took * REST)
    }

    fn tracked(&self, root: &Path) -> &(Vec<PathBuf>, HashSet<PathBuf>) {
        self.tracked.get_or_init(|| {
            let tracked = sources::tracked_files(root);
            let mut places = HashSet::new();
            tracked.iter().for_each(|path| add_places(path, &mut places));
            (tracked, places)
        })
    }

    fn has_match(&self, root: &Path, path: &str) -> Option<bool> {
        let literal = path.trim_start_matches("./").trim_end_matches('/');
        let found = if literal.is_empty() || literal == "." {
            !self.files.is_empty()
        } else if literal.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            return self.has_glob(root, path);
        } else {
            let literal = Path::new(literal);
            self.places.contains(literal) || self.tracked(root).1.contains(literal)
        };
        (found || !self.is_cut).then_some(found)
    }

    fn has_glob(&self, root: &Path, path: &str) -> Option<bool> {
        let mut answers = self.answers.lock();
        if let Some(answer) = answers.of_globs.get(path) {
            return *answer;
        }
        if path.len() > MAX_GLOB_BYTES || answers.compared >= MAX_COMPARED {
            return None;
        }
        let globs = globs(path).ok()?;
        let tracked = &self.tracked(root).0;
        let found = self.files.iter().chain(tracked).position(|file| globs.is_match(file));
        answers.compared += COMPILE + found.unwrap_or(self.files.len() + tracked.len());
        let answer = (found.is_some() || !self.is_cut).then_some(found.is_some());
        answers.of_globs.insert(path.to_owned(), answer);
        answer
    }
}

fn add_places(path: &Path, places: &mut HashSet<PathBuf>) {
    for place in path.ancestors().filter(|place| !place.as_os_str().is_empty()) {
        // Whatever is above a known place is known too.
        if !places.insert(place.to_owned()) {
            break;
        }
    }
}

impl Project for ProjectFiles {
    fn has_match(&self, path: &str) -> Option<bool> {
        self.index()?.has_match(&self.root, path)
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

    /// A project of so many folders with one file each.
    fn project(folders: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in 0..folders {
            let path = folder.path().join(format!("f{name}"));
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("a.rs"), "").unwrap();
        }
        folder
    }

    #[test]
    fn one_walk_answers_every_path() {
        let folder = project(10);
        let files = ProjectFiles::new(folder.path().to_owned());
        assert_eq!(files.has_match("f1/a.rs"), Some(true));
        let first = files.index().unwrap();
        for path in 0..5_000 {
            assert_eq!(files.has_match(&format!("nothing{path}")), Some(false));
        }
        assert!(Arc::ptr_eq(&first, &files.index().unwrap()) || first.made.elapsed() > GOOD_FOR);
    }

    #[test]
    fn globs_are_compared_within_a_budget_and_the_rest_is_not_known() {
        let folder = project(50);
        let index = Index::walk(folder.path(), MAX_ENTRIES, &AtomicBool::new(false));
        let answers: Vec<_> = (0..5_000).map(|n| index.has_match(folder.path(), &format!("nothing{n}/*"))).collect();
        assert_eq!(answers.first(), Some(&Some(false)));
        assert_eq!(answers.last(), Some(&None));
        assert!(index.answers.lock().compared <= MAX_COMPARED + COMPILE + 50);
        assert_eq!(index.has_match(folder.path(), "nothing0/*"), Some(false));
        assert_eq!(index.has_match(folder.path(), &"{a,b}".repeat(1_000)), None);
    }

    #[test]
    fn a_large_project_is_looked_at_aside_and_said_when_known() {
        let folder = project(QUICK_ENTRIES);
        let (tx, rx) = std::sync::mpsc::channel();
        let ready: Ready = Arc::new(move || {
            tx.send(()).ok();
        });
        let files = ProjectFiles::in_background(folder.path().to_owned(), ready);
        assert_eq!(files.has_match("f7/a.rs"), None);
        rx.recv().unwrap();
        assert_eq!(files.has_match("f7/a.rs"), Some(true));
        assert_eq!(files.has_match("f7/b.rs"), Some(false));
    }
}

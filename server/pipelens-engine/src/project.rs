//! Answers the core's questions about the files of a project, by the rules by which a run chooses its sources and computes its cache keys.

use std::collections::{BTreeSet, HashMap, HashSet};
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

/// How many entries are visited while the user is typing, which takes a few milliseconds. A larger project is walked in the background.
const QUICK_ENTRIES: usize = 2_000;
/// With more entries than this, nothing is reported about a project.
const MAX_ENTRIES: usize = 200_000;
/// How long an index is valid, at least. Keystrokes come more often than that.
const GOOD_FOR: Duration = Duration::from_secs(2);
/// A long walk is repeated only after this many times its duration.
const REST: u32 = 20;
/// How many paths may be compared with globs between two walks.
const MAX_COMPARED: usize = 200_000;
/// The cost of compiling a glob, as a number of paths compared.
const COMPILE: usize = 200;
/// Longer globs are only written to make compilation expensive.
const MAX_GLOB_BYTES: usize = 1_024;

/// Called when more is known about a project than the last answers contained.
pub type Ready = Arc<dyn Fn() + Send + Sync>;

/// The files of one project. The result of one walk is used for a while.
pub struct ProjectFiles {
    root: PathBuf,
    known: Arc<Mutex<Known>>,
    /// `None`: callers wait for the walk.
    ready: Option<Ready>,
    /// Stops a background walk when this is dropped.
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
    /// Whether a background walk is in progress.
    is_walking: bool,
    /// Files have appeared or vanished since the last walk began.
    is_outdated: bool,
}

/// What a walk found.
#[derive(Debug)]
struct Index {
    made: Instant,
    took: Duration,
    /// Relative to the root.
    files: Vec<PathBuf>,
    /// The files, and all directories they are in.
    places: HashSet<PathBuf>,
    /// Whether the walk was cut short, so that a path that was not found may exist.
    is_cut: bool,
    /// Tracked files are sent even if they are ignored. Read when a path is not among the files.
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
    /// Walks the project when asked, while the caller waits.
    pub fn new(root: PathBuf) -> Self {
        Self { root, known: Arc::default(), ready: None, is_closed: Arc::default() }
    }

    /// Never waits for a large project: answers "not known", walks in the background, and calls `ready` when more is known.
    pub fn in_background(root: PathBuf, ready: Ready) -> Self {
        Self { root, known: Arc::default(), ready: Some(ready), is_closed: Arc::default() }
    }

    /// Walks the project again when it is needed next, however fresh its index is.
    pub fn look_again(&self) {
        self.known.lock().is_outdated = true;
    }

    /// Returns all files that a run would get, relative to the root, with `/`; none if there are too many.
    pub fn all(&self) -> Vec<String> {
        let Some(index) = self.index().filter(|index| !index.is_cut) else { return Vec::new() };
        let tracked = &index.tracked(&self.root).0;
        let files: BTreeSet<&PathBuf> = index.files.iter().chain(tracked).collect();
        files.into_iter().filter_map(|path| Some(path.to_str()?.replace('\\', "/"))).collect()
    }

    /// Returns what is known; in a large project that may be outdated, or nothing yet.
    fn index(&self) -> Option<Arc<Index>> {
        let mut known = self.known.lock();
        let is_outdated = std::mem::take(&mut known.is_outdated) && !known.is_walking;
        if let Some(index) = known.index.as_ref().filter(|index| index.is_fresh() && !is_outdated) {
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
        // Reading its index takes longer than walking the whole project.
        let mut is_cut = most <= QUICK_ENTRIES && sources::has_large_index(root);
        let walk = if is_cut { None } else { Walk::new(root, RuleSet::Sources).ok() };
        is_cut |= walk.is_none();
        for (entries, entry) in walk.into_iter().flatten().enumerate() {
            if entries >= most || is_closed.load(Ordering::Relaxed) {
                is_cut = true;
                break;
            }
            // If it cannot be read, nothing is known.
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
        // All directories above a known one are known too.
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
    fn a_path_can_be_a_file_a_folder_or_a_glob_and_ignored_files_do_not_match() {
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

    /// Makes a project of this many directories with one file each.
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
    fn globs_are_compared_within_a_budget_and_beyond_it_nothing_is_known() {
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
    fn a_large_project_is_walked_in_the_background_and_reported_when_known() {
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

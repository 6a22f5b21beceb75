//! Which files of the project a step gets to see: those git would show, less what `.pipelensignore` names.

mod manifest;

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::process::Command;

use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::EngineError;
pub(crate) use crate::sources::manifest::{Delta, Manifest, Stamp};

const IGNORE_FILE: &str = ".pipelensignore";

/// The project's files as they were when the run began. Contents are read when they are sent.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) root: PathBuf,
    /// Relative to the root; folders before what is in them.
    pub(crate) entries: Vec<Entry>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Left out; an ignored folder counts once.
    pub(crate) ignored: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) kind: EntryKind,
    pub(crate) stamp: Stamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum EntryKind {
    Folder,
    File,
    Symlink,
}

impl Sources {
    /// Looks at the project folder. Blocks on the disk.
    pub(crate) fn scan(root: &Path) -> Result<Self, EngineError> {
        let failed = |source| EngineError::Sources { path: root.to_owned(), source };
        let root = root.canonicalize().map_err(failed)?;
        let mut sources = Self { root: root.clone(), ..Self::default() };
        let is_in_git = is_in_git(&root);
        let mut seen = BTreeSet::new();
        for entry in walker(&root, is_in_git).build() {
            let entry = entry.map_err(|error| walk_error(&root, error))?;
            let Ok(path) = entry.path().strip_prefix(&root) else { continue };
            if entry.file_type().is_some_and(|kind| kind.is_dir()) {
                sources.ignored += count_children(entry.path());
            }
            if path.as_os_str().is_empty() {
                continue;
            }
            sources.ignored = sources.ignored.saturating_sub(1);
            let metadata = entry.metadata().map_err(|error| walk_error(entry.path(), error))?;
            sources.add(path, &metadata);
            seen.insert(path.to_owned());
        }
        if is_in_git {
            sources.add_tracked_but_ignored(&seen);
        }
        Ok(sources)
    }

    /// Returns the sentence that says what is sent.
    pub(crate) fn summary(&self) -> String {
        let files = if self.files == 1 { "1 file".to_owned() } else { format!("{} files", self.files) };
        let ignored = if self.ignored == 0 { String::new() } else { format!(", {} ignored", self.ignored) };
        format!("Sources: {files}, {}{ignored}.", readable_size(self.bytes))
    }

    fn add(&mut self, path: &Path, metadata: &Metadata) {
        let kind = if metadata.is_dir() {
            EntryKind::Folder
        } else if metadata.is_symlink() {
            EntryKind::Symlink
        } else if metadata.is_file() {
            EntryKind::File
        } else {
            // Sockets, pipes and devices mean nothing in another place.
            return;
        };
        if kind != EntryKind::Folder {
            self.files += 1;
        }
        if kind == EntryKind::File {
            self.bytes += metadata.len();
        }
        self.entries.push(Entry { path: path.to_owned(), kind, stamp: Stamp::of(kind, metadata) });
    }

    /// Git shows a tracked file whatever the ignore rules say.
    fn add_tracked_but_ignored(&mut self, seen: &BTreeSet<PathBuf>) {
        let own_rules = own_ignore_rules(&self.root);
        let mut folders = seen.clone();
        for path in tracked_files(&self.root) {
            if seen.contains(&path) || own_rules.matched_path_or_any_parents(&path, false).is_ignore() {
                continue;
            }
            let Ok(metadata) = self.root.join(&path).symlink_metadata() else { continue };
            // A tracked folder is a submodule, walked already.
            if metadata.is_dir() {
                continue;
            }
            let mut parents: Vec<&Path> =
                path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
            parents.reverse();
            for parent in parents {
                if folders.insert(parent.to_owned())
                    && let Ok(metadata) = self.root.join(parent).symlink_metadata()
                {
                    let stamp = Stamp::of(EntryKind::Folder, &metadata);
                    self.entries.push(Entry { path: parent.to_owned(), kind: EntryKind::Folder, stamp });
                }
            }
            self.add(&path, &metadata);
        }
    }
}

fn is_in_git(root: &Path) -> bool {
    root.ancestors().any(|folder| folder.join(".git").exists())
}

fn walker(root: &Path, is_in_git: bool) -> WalkBuilder {
    let mut walker = WalkBuilder::new(root);
    walker
        .hidden(false)
        .ignore(false)
        .follow_links(false)
        // Ignore files outside the project count in a repository alone: a home folder's `*` is about dot-files.
        .parents(is_in_git)
        .git_global(is_in_git)
        .require_git(false)
        .add_custom_ignore_filename(IGNORE_FILE)
        .filter_entry(|entry| entry.file_name() != ".git")
        .sort_by_file_name(Ord::cmp);
    walker
}

/// Walks what is on the way from the root to one place, and all that is below it.
pub(crate) fn walk_towards(root: &Path, start: &Path) -> ignore::Walk {
    let start = start.to_owned();
    let leads_there = move |entry: &ignore::DirEntry| {
        entry.file_name() != ".git" && (entry.path().starts_with(&start) || start.starts_with(entry.path()))
    };
    walker(root, is_in_git(root)).filter_entry(leads_there).build()
}

fn own_ignore_rules(root: &Path) -> Gitignore {
    let mut rules = GitignoreBuilder::new(root);
    // A missing file has no rules.
    drop(rules.add(root.join(IGNORE_FILE)));
    rules.build().unwrap_or_else(|_| Gitignore::empty())
}

/// Returns what git's index holds; nothing if git is not there to ask.
pub(crate) fn tracked_files(root: &Path) -> Vec<PathBuf> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        // A repository may name a program here; looking at it must not run one.
        .args(["-c", "core.fsmonitor=false", "ls-files", "-z", "--cached"])
        .stdin(std::process::Stdio::null())
        .output();
    let Ok(output) = output else { return Vec::new() };
    if !output.status.success() {
        return Vec::new();
    }
    output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(path_from_bytes).collect()
}

#[cfg(unix)]
fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(not(unix))]
fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

fn count_children(folder: &Path) -> u64 {
    let Ok(children) = std::fs::read_dir(folder) else { return 0 };
    children.flatten().filter(|child| child.file_name() != ".git").count() as u64
}

fn walk_error(path: &Path, error: ignore::Error) -> EngineError {
    let text = error.to_string();
    let source = error.into_io_error().unwrap_or_else(|| std::io::Error::other(text));
    EngineError::Sources { path: path.to_owned(), source }
}

/// Returns a size as a person says it: `3.1 MB`.
pub(crate) fn readable_size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if size < 1_000.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{size:.1} {unit}") };
        }
        size /= 1_000.0;
    }
    format!("{size:.1} TB")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn names(sources: &Sources) -> Vec<String> {
        sources.entries.iter().map(|entry| entry.path.to_string_lossy().into_owned()).collect()
    }

    fn git(folder: &Path, arguments: &[&str]) {
        let status = Command::new("git").arg("-C").arg(folder).args(arguments).output().unwrap().status;
        assert!(status.success(), "git {arguments:?}");
    }

    #[test]
    fn ignored_files_stay_and_hidden_files_come_along() {
        let folder = project(&[
            (".gitignore", "target/\n*.log\n"),
            (".env.example", "A=1"),
            ("src/main.rs", "fn main() {}"),
            ("src/.gitignore", "local.rs"),
            ("src/local.rs", ""),
            ("target/debug/a", ""),
            ("a.log", ""),
            (".pipelensignore", "docs/\n"),
            ("docs/a.md", ""),
            (".git/HEAD", ""),
        ]);
        let sources = Sources::scan(folder.path()).unwrap();
        assert_eq!(
            names(&sources),
            [".env.example", ".gitignore", ".pipelensignore", "src", "src/.gitignore", "src/main.rs"]
        );
        assert_eq!(sources.summary(), "Sources: 5 files, 43 bytes, 4 ignored.");
    }

    #[test]
    fn ignore_files_count_without_a_repository_too() {
        let folder = project(&[(".gitignore", "out"), ("out/a", ""), ("in/a", "")]);
        assert_eq!(names(&Sources::scan(folder.path()).unwrap()), [".gitignore", "in", "in/a"]);
    }

    #[test]
    fn an_empty_folder_is_kept() {
        let folder = project(&[]);
        fs::create_dir(folder.path().join("empty")).unwrap();
        assert_eq!(names(&Sources::scan(folder.path()).unwrap()), ["empty"]);
    }

    #[test]
    fn a_tracked_file_comes_along_even_if_it_is_ignored() {
        let folder = project(&[(".gitignore", "gen/"), ("gen/kept.rs", ""), ("gen/other.rs", "")]);
        git(folder.path(), &["init", "-q"]);
        git(folder.path(), &["add", "-f", "gen/kept.rs"]);
        assert_eq!(names(&Sources::scan(folder.path()).unwrap()), [".gitignore", "gen", "gen/kept.rs"]);
    }

    #[test]
    fn a_missing_project_says_its_path() {
        let error = Sources::scan(Path::new("/no/such/project")).unwrap_err();
        assert!(error.to_string().contains("/no/such/project"), "{error}");
    }
}

//! Walks a project by git's ignore rules, without running git. Never blocks on a file, never runs anything, and never leaves the project.

mod origin;
mod pattern;
mod repository;
mod rules;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use ignore::DirEntry;
use ignore::WalkBuilder;
use parking_lot::Mutex;
use thiserror::Error;

use crate::files::Unreadable;
pub use crate::walk::origin::origin;
pub(crate) use crate::walk::repository::{GitFolders, Repository, Tracked, path_from_bytes};
pub use crate::walk::rules::RuleSet;
pub(crate) use crate::walk::rules::Rules;

/// The entries of a project that no rule ignores; directories come before their entries. `.git` is left out.
pub struct Walk {
    entries: ignore::Walk,
    rules: Arc<Mutex<Rules>>,
    root: PathBuf,
}

/// Why a walk ended early.
#[derive(Debug, Error)]
pub enum WalkError {
    /// Without these rules, it is unknown what is ignored.
    #[error("the ignore rules in `{}` cannot be used: {reason}", path.display())]
    Rules { path: PathBuf, reason: Unreadable },
    #[error("`{}`: {source}", path.display())]
    Entry { path: PathBuf, source: io::Error },
}

impl Walk {
    /// Walks everything below a directory.
    pub fn new(root: &Path, rule_set: RuleSet) -> io::Result<Self> {
        Self::filtered(root, rule_set, |_| true)
    }

    /// Walks only the path from the root to one place, and everything below that place.
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
                    && !asked.lock().is_ignored(entry.path(), is_folder)
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
        let failure = self.rules.lock().failure.take();
        if let Some((path, reason)) = failure {
            return Some(Err(WalkError::Rules { path, reason }));
        }
        next.map(|entry| {
            entry.map_err(|error| {
                let path = path_of(&error).unwrap_or(&self.root).to_owned();
                let text = error.to_string();
                let source = error.into_io_error().unwrap_or_else(|| io::Error::other(text));
                WalkError::Entry { path, source }
            })
        })
    }
}

/// Returns the path that an error is about.
fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::{OsStr, OsString};
    use std::fs;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::process::Command;

    use super::*;

    /// Names that are difficult for patterns.
    const NAMES: &[&[u8]] = &[
        b"a",
        b"b",
        b"A",
        b"ab",
        b"abc",
        b"a.log",
        b"b.key",
        b"c.pem",
        b"1",
        b"22",
        b"#a",
        b"!a",
        b" a",
        b"a ",
        b"a\t",
        b"{a,b}",
        b"{",
        b"a}",
        b"[a]",
        b"]",
        b"-",
        b"^",
        b"a-b",
        b"a\\b",
        b"*",
        b"?",
        b"caf\xe9",
        b"caf\xc3\xa9",
        b".a",
        b"a,b",
        b"\xc2\xa0",
        b"a\r",
        b"foo",
        b"foobar",
    ];
    /// Pieces of patterns; special characters are more frequent.
    const PIECES: &[&[u8]] = &[
        b"*",
        b"*",
        b"**",
        b"***",
        b"/",
        b"/",
        b"/",
        b"?",
        b"[",
        b"]",
        b"[a-c]",
        b"[!a]",
        b"[^a]",
        b"[]a]",
        b"[!]a]",
        b"[[:alpha:]]",
        b"[[:digit:]]",
        b"[![:upper:]]",
        b"[[:nope:]]",
        b"[\\]]",
        b"[a-",
        b"[-a]",
        b"[a-]",
        b"[!-]",
        b"[z-a]",
        b"[{]",
        b"[^^!-]",
        b"{a,b}",
        b"{",
        b"}",
        b"{key,pem}",
        b"\\",
        b"\\*",
        b"\\#",
        b"\\!",
        b"\\a",
        b"\\ ",
        b" ",
        b"\t",
        b"#",
        b"!",
        b"-",
        b"a",
        b"a",
        b"b",
        b"c",
        b"foo",
        b"bar",
        b".",
        b"log",
        b"key",
        b"1",
        b"\xe9",
        b"\xc3\xa9",
        b"\xc2\xa0",
        b"\r",
        b",",
        b"**/",
        b"/**",
        b"/**/",
    ];

    fn pattern(random: &mut fastrand::Rng) -> Vec<u8> {
        let mut pattern = if random.u8(..5) == 0 { b"!".to_vec() } else { Vec::new() };
        if random.bool() {
            let name = NAMES[random.usize(..NAMES.len())];
            pattern.extend(name);
        }
        for _ in 0..random.usize(..4) {
            pattern.extend(PIECES[random.usize(..PIECES.len())]);
        }
        pattern
    }

    fn git(folder: &Path, arguments: &[&str]) -> Vec<u8> {
        let command = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["-c", "core.excludesFile=", "-c", "core.quotePath=false"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(command.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&command.stderr));
        command.stdout
    }

    /// Writes a project with unusual rules.
    fn random_project(folder: &Path, random: &mut fastrand::Rng) {
        git(folder, &["init", "-q"]);
        let mut folders = vec![folder.to_owned()];
        for _ in 0..4 {
            let inside =
                folders[random.usize(..folders.len())].join(OsStr::from_bytes(NAMES[random.usize(..NAMES.len())]));
            fs::create_dir_all(&inside).unwrap();
            folders.push(inside);
        }
        for folder in &folders {
            for _ in 0..12 {
                let file = folder.join(OsStr::from_bytes(NAMES[random.usize(..NAMES.len())]));
                if !file.exists() {
                    fs::write(file, "").unwrap();
                }
            }
            if random.u8(..3) > 0 {
                let lines: Vec<Vec<u8>> = (0..random.usize(1..6)).map(|_| pattern(random)).collect();
                let end: &[u8] = if random.bool() { b"\n" } else { b"\r\n" };
                fs::write(folder.join(".gitignore"), lines.join(end)).unwrap();
            }
        }
        if random.bool() {
            fs::write(folder.join(".git/info/exclude"), pattern(random)).unwrap();
        }
    }

    #[test]
    fn the_same_files_are_ignored_as_by_git() {
        for seed in 0..100 {
            let mut random = fastrand::Rng::with_seed(seed);
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            random_project(root, &mut random);
            let shown: BTreeSet<PathBuf> = git(root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
                .split(|byte| *byte == 0)
                .filter(|path| !path.is_empty())
                .map(|path| PathBuf::from(OsString::from_vec(path.to_owned())))
                .collect();
            let walked: BTreeSet<PathBuf> = Walk::new(root, RuleSet::Git)
                .unwrap()
                .map(Result::unwrap)
                .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
                .map(|entry| entry.path().strip_prefix(root).unwrap().to_owned())
                .collect();
            // An invalid UTF-8 byte makes a rule match too much, so some files may be missing, but nothing is sent that git would ignore.
            let too_many: Vec<_> = walked.difference(&shown).collect();
            let missing: Vec<_> = shown.difference(&walked).collect();
            let rules = rules_of(root);
            assert!(too_many.is_empty(), "{seed}: sent {too_many:?}, {rules:#?}");
            let is_text = rules.iter().all(|rules| !rules.contains("\\xe9") || rules.contains("\\xc3\\xe9"));
            assert!(missing.is_empty() || !is_text, "{seed}: missing {missing:?}, {rules:#?}");
        }
    }

    fn rules_of(root: &Path) -> Vec<String> {
        let files = WalkBuilder::new(root).standard_filters(false).build().flatten();
        let files = files.filter(|entry| entry.file_name() == ".gitignore" || entry.file_name() == "exclude");
        files
            .map(|entry| {
                let text = fs::read(entry.path()).unwrap();
                format!("{}: {}", entry.path().strip_prefix(root).unwrap().display(), text.escape_ascii())
            })
            .collect()
    }
}

//! Which paths are ignored. There is a limit for each rule file and for all of them together.

use std::io;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::files::{ProjectFolder, Unreadable};
use crate::walk::pattern::translated;
use crate::walk::repository::Repository;

const OWN_FILE: &str = ".pipelensignore";
const GIT_FILE: &str = ".gitignore";
/// Real files have a few hundred lines. A hostile one must not compile to something large, because it is applied to every path.
const MAX_FILE_BYTES: u64 = 256 * 1024;
const MAX_PATTERNS: usize = 4_000;
/// Patterns with several wildcards that apply in one directory. Each is matched, character by character, against every path below; real
/// projects have ten.
const MAX_COSTLY_PATTERNS: usize = 500;
/// For all rule files of one walk: enough for tens of thousands of real ones.
const MAX_WALK_BYTES: u64 = 8 * 1024 * 1024;

/// Whose ignore rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleSet {
    /// Git's.
    Git,
    /// Git's and those in `.pipelensignore`, which take precedence.
    Sources,
    /// Only those in `.pipelensignore`.
    Own,
}

/// The rules that apply at the current position of a walk. Must be used in the order of the walk.
#[derive(Debug)]
pub(crate) struct Rules {
    project: ProjectFolder,
    /// Where rules begin to apply: the repository's root, else the directory that is walked.
    top: PathBuf,
    rule_set: RuleSet,
    /// From the top down to the directory whose entries are being visited.
    folders: Vec<FolderRules>,
    /// `.git/info/exclude`.
    exclude: Gitignore,
    /// The user's own rules for all repositories.
    global: Gitignore,
    bytes_left: u64,
    /// The number of costly patterns in the files read since a directory was entered.
    costly_patterns: usize,
    /// The first rule file that cannot be used.
    pub(crate) failure: Option<(PathBuf, Unreadable)>,
}

#[derive(Debug)]
struct FolderRules {
    path: PathBuf,
    own: Gitignore,
    git: Gitignore,
    /// The `info/exclude` of a repository inside the project, such as a submodule.
    exclude: Gitignore,
    costly_patterns: usize,
}

impl Rules {
    pub(crate) fn new(root: &Path, rule_set: RuleSet) -> io::Result<Self> {
        let repository = Repository::of(root).filter(|_| rule_set != RuleSet::Own);
        let top = repository.as_ref().map_or(root, Repository::top).to_owned();
        let mut rules = Self {
            project: ProjectFolder::open(&top)?,
            top: top.clone(),
            rule_set,
            folders: Vec::new(),
            exclude: Gitignore::empty(),
            // The user's own rules apply only to repositories.
            global: if repository.is_some() {
                GitignoreBuilder::new(&top).build_global().0
            } else {
                Gitignore::empty()
            },
            bytes_left: MAX_WALK_BYTES,
            costly_patterns: 0,
            failure: None,
        };
        if let Some(repository) = repository {
            rules.exclude = rules.compiled(repository.exclude(MAX_FILE_BYTES), &top, &top.join(".git/info/exclude"));
        }
        Ok(rules)
    }

    /// Whether a rule ignores an entry. If a rule file cannot be used, everything is ignored, and `failure` says why.
    pub(super) fn is_ignored(&mut self, path: &Path, is_folder: bool) -> bool {
        let Some(parent) = path.parent().filter(|_| path != self.top) else { return false };
        if !parent.starts_with(&self.top) {
            return false;
        }
        self.enter(parent);
        if self.failure.is_some() {
            return true;
        }
        let rules = self.folders.iter().rev();
        let matches = rules.clone().map(|rules| &rules.own).chain(rules.flat_map(|rules| [&rules.git, &rules.exclude]));
        let mut matches = matches.chain([&self.exclude, &self.global]).map(|rules| rules.matched(path, is_folder));
        matches.find(|found| !found.is_none()).is_some_and(|found| found.is_ignore())
    }

    /// Whether a rule ignores a path or one of its parent directories.
    pub(crate) fn is_path_ignored(&mut self, path: &Path) -> bool {
        let mut parts: Vec<&Path> = path.ancestors().take_while(|part| *part != self.top).collect();
        parts.reverse();
        parts.into_iter().any(|part| self.is_ignored(part, part != path))
    }

    /// Loads the rules of a directory and its parents, and drops those of directories the walk has left.
    fn enter(&mut self, folder: &Path) {
        while self.folders.last().is_some_and(|rules| !folder.starts_with(&rules.path)) {
            self.folders.pop();
        }
        let mut missing: Vec<&Path> = folder
            .ancestors()
            .take_while(|path| path.starts_with(&self.top))
            .take_while(|path| self.folders.last().is_none_or(|rules| rules.path != **path))
            .collect();
        while let Some(path) = missing.pop() {
            let own = match self.rule_set {
                RuleSet::Git => Gitignore::empty(),
                RuleSet::Sources | RuleSet::Own => self.read(path, OWN_FILE),
            };
            let git = match self.rule_set {
                RuleSet::Git | RuleSet::Sources => self.read(path, GIT_FILE),
                RuleSet::Own => Gitignore::empty(),
            };
            let git_folder = path.join(".git");
            let exclude = match path != self.top && git_folder.symlink_metadata().is_ok() {
                true if self.rule_set != RuleSet::Own => match Repository::of(path) {
                    Some(inner) => self.compiled(inner.exclude(MAX_FILE_BYTES), path, &git_folder.join("info/exclude")),
                    None => Gitignore::empty(),
                },
                _ => Gitignore::empty(),
            };
            let costly_patterns = std::mem::take(&mut self.costly_patterns);
            self.folders.push(FolderRules { path: path.to_owned(), own, git, exclude, costly_patterns });
        }
    }

    fn read(&mut self, folder: &Path, name: &str) -> Gitignore {
        let path = folder.join(name);
        let Ok(relative) = path.strip_prefix(&self.top) else { return Gitignore::empty() };
        let read = self.project.read_unlinked(relative, MAX_FILE_BYTES);
        self.compiled(read, folder, &path)
    }

    fn compiled(&mut self, read: Result<Vec<u8>, Unreadable>, folder: &Path, path: &Path) -> Gitignore {
        let rules = match read {
            Ok(bytes) => self.charge(&bytes).and_then(|()| compile(&bytes, folder, path)),
            Err(Unreadable::Missing) => return Gitignore::empty(),
            Err(reason) => Err(reason),
        };
        rules.unwrap_or_else(|reason| {
            self.failure.get_or_insert_with(|| (path.to_owned(), reason));
            Gitignore::empty()
        })
    }

    /// Refuses rules that would take too long to compile, or to apply to every path.
    fn charge(&mut self, bytes: &[u8]) -> Result<(), Unreadable> {
        let too_much = |why: String| Err(Unreadable::Io(io::Error::other(why)));
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        let (patterns, costly) =
            lines.fold((0, 0), |(all, costly), line| (all + 1, costly + usize::from(is_costly(line))));
        if patterns > MAX_PATTERNS {
            return too_much(format!("it has {patterns} patterns; at most {MAX_PATTERNS} are allowed"));
        }
        self.costly_patterns += costly;
        let in_effect = self.costly_patterns + self.folders.iter().map(|rules| rules.costly_patterns).sum::<usize>();
        if in_effect > MAX_COSTLY_PATTERNS {
            return too_much(format!(
                "with it, {in_effect} patterns with several wildcards apply here; at most {MAX_COSTLY_PATTERNS} are allowed"
            ));
        }
        match self.bytes_left.checked_sub(bytes.len() as u64) {
            Some(left) => self.bytes_left = left,
            None => {
                let all = crate::files::readable_size(MAX_WALK_BYTES);
                return too_much(format!("with it, the project's ignore files are longer than {all} in total"));
            }
        }
        Ok(())
    }
}

/// Whether a pattern has more than two wildcards, `**` counted as one.
fn is_costly(pattern: &[u8]) -> bool {
    let pairs = std::iter::once(&0).chain(pattern).zip(pattern);
    pairs.filter(|(before, byte)| **byte == b'[' || (**byte == b'*' && **before != b'*')).count() > 2
}

fn compile(bytes: &[u8], folder: &Path, path: &Path) -> Result<Gitignore, Unreadable> {
    let mut rules = GitignoreBuilder::new(folder);
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    for line in bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
        // A line that is not a valid pattern matches nothing, as in git.
        for line in translated(line) {
            rules.add_line(Some(path.to_owned()), &line).ok();
        }
    }
    rules.build().map_err(|error| Unreadable::Io(io::Error::other(error.to_string())))
}

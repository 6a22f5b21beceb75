//! The files of the project as a step gets them, and one directory among them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pipelens_engine::files::{MAX_FILE_BYTES, ProjectFolder};
use pipelens_engine::walk::{RuleSet, Walk};

/// More files do not make it clearer what a project is made of.
const MAX_FILES: usize = 200_000;

/// Packages are rarely deeper, and what is deeper usually belongs to one of them.
const MAX_DEPTH: usize = 4;

/// Directories that contain packages which are not the project's own, or are not meant to be built.
const NOT_PACKAGES: [&str; 24] = [
    "node_modules",
    "vendor",
    "third_party",
    "third-party",
    "external",
    "deps",
    "target",
    "dist",
    "build",
    "out",
    "testdata",
    "fixtures",
    "fixture",
    "templates",
    "template",
    "docs",
    "doc",
    "example",
    "examples",
    "samples",
    "fuzz",
    "venv",
    "env",
    "site-packages",
];

/// The files of a project that no ignore rule matches: what is not sent to a step does not show what can be built in it.
pub(super) struct Project {
    root: ProjectFolder,
    /// Relative to the root.
    files: BTreeSet<PathBuf>,
}

/// One directory of a project.
#[derive(Clone, Copy)]
pub(super) struct Folder<'p> {
    project: &'p Project,
    /// Relative to the project's root, which is the empty path.
    pub(super) path: &'p Path,
}

impl Project {
    /// Finds the files of a project. A part that cannot be read is left out.
    pub(super) fn read(root: &Path) -> std::io::Result<Self> {
        let folder = ProjectFolder::open(root)?;
        let mut files = BTreeSet::new();
        for entry in Walk::new(root, RuleSet::Sources)?.flatten() {
            let Ok(path) = entry.path().strip_prefix(root) else { continue };
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file() || kind.is_symlink());
            if is_file && folder.has_file(path) {
                files.insert(path.to_owned());
            }
            if files.len() == MAX_FILES {
                break;
            }
        }
        Ok(Self { root: folder, files })
    }

    pub(super) fn folder<'p>(&'p self, path: &'p Path) -> Folder<'p> {
        Folder { project: self, path }
    }

    /// Returns the directories that may contain a package, the root first and each before what is below it.
    pub(super) fn places(&self) -> BTreeSet<&Path> {
        let parents = self.files.iter().filter_map(|file| file.parent());
        parents.filter(|place| may_be_package(place)).chain([Path::new("")]).collect()
    }
}

fn may_be_package(place: &Path) -> bool {
    let mut names = place.iter().map(|name| name.to_str().unwrap_or("."));
    place.iter().count() <= MAX_DEPTH
        && names.all(|name| {
            !name.starts_with(['.', '-']) && !name.contains(char::is_control) && !NOT_PACKAGES.contains(&name)
        })
}

impl<'p> Folder<'p> {
    /// Whether the directory has this file.
    pub(super) fn has(self, file: &str) -> bool {
        self.project.files.contains(&self.path.join(file))
    }

    /// Returns the first of these files that the directory has.
    pub(super) fn first<'n>(self, files: &[&'n str]) -> Option<&'n str> {
        files.iter().copied().find(|file| self.has(file))
    }

    /// Whether there are files in this directory of the directory.
    pub(super) fn has_folder(self, folder: &str) -> bool {
        let folder = self.path.join(folder);
        self.project
            .files
            .range(folder.clone()..)
            .take_while(|file| file.starts_with(&folder))
            .any(|file| *file != folder)
    }

    pub(super) fn text(self, file: impl AsRef<Path>) -> Option<String> {
        let path = self.path.join(file);
        self.project.files.contains(&path).then_some(())?;
        self.project.root.read_text(&path, MAX_FILE_BYTES).ok()
    }

    /// Reads a TOML file. One that cannot be parsed counts as empty, since it still shows the kind of project.
    pub(super) fn toml(self, file: &str) -> Option<toml::Value> {
        let table = self.text(file)?.parse::<toml::Table>().unwrap_or_default();
        Some(toml::Value::Table(table))
    }

    /// Returns the files of the directory and of those below it, relative to it.
    pub(super) fn files(self) -> impl Iterator<Item = &'p Path> {
        let all = self.project.files.range(self.path.to_owned()..);
        all.take_while(move |file| file.starts_with(self.path))
            .filter_map(move |file| file.strip_prefix(self.path).ok())
    }

    /// Returns the names of the files directly in the directory.
    pub(super) fn names(self) -> impl Iterator<Item = &'p str> {
        self.files().filter(|file| file.iter().count() == 1).filter_map(Path::to_str)
    }

    /// Returns the version that a tool's own file says, or the file that asdf and mise share.
    pub(super) fn version_in(self, file: &str, tool: &str) -> Option<String> {
        let own = self
            .text(file)
            .and_then(|text| text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned));
        own.or_else(|| {
            let shared = self.text(".tool-versions")?;
            let mut lines = shared.lines().map(str::split_whitespace);
            lines.find_map(|mut words| (words.next() == Some(tool)).then(|| words.next())?.map(str::to_owned))
        })
    }
}

/// Returns a word as the shell reads it.
pub(super) fn shell_word(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "._/-+@:=,".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Returns a path of the project with `/`, for a pipeline.
pub(super) fn slashes(path: &Path) -> String {
    path.iter().map(|name| name.to_string_lossy()).collect::<Vec<_>>().join("/")
}

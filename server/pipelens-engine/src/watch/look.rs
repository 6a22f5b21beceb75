//! One look at a project, and what has changed since another.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::error::EngineError;
use crate::files::ProjectFolder;
use crate::sources::{EntryKind, Sources, Stamp, is_below};
use crate::watch::hints::Hints;

/// So often folders that have appeared meanwhile are looked at again; after that, they are reported.
const MOST_LOOKS: usize = 5;
/// Longer files are not compared by content.
const LONGEST_COMPARED: u64 = 4 << 20;
/// How much is read when a project is looked at first. Of what is beyond, a file that was written again without a change counts once.
const MOST_READ_FIRST: u64 = 64 << 20;

type Content = [u8; 32];

/// What is looked at.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) root: PathBuf,
    /// Relative to the root.
    pub(super) also: Vec<PathBuf>,
}

/// What a look has found.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) sources: Arc<Sources>,
    /// The content of files that count although they may be ignored; `None`: there is no such file.
    also: BTreeMap<PathBuf, Option<Content>>,
    /// The contents of sources, as far as they are known.
    contents: BTreeMap<PathBuf, Content>,
}

impl Look {
    /// Looks at the project, and watches all of its folders: what happens after this is reported.
    pub(super) fn at_once(
        &self,
        hints: &mut Hints,
        except: &[PathBuf],
        stop: &CancellationToken,
    ) -> Result<Seen, EngineError> {
        let mut looks = 0;
        loop {
            let sources = Sources::scan(&self.root, stop)?;
            looks += 1;
            if hints.watch(self.folders(&sources, except)) && looks < MOST_LOOKS {
                continue;
            }
            let folder = ProjectFolder::open(&self.root)
                .map_err(|source| EngineError::Sources { path: self.root.clone(), source })?;
            let content = |path: &PathBuf| (path.clone(), folder.open_file(path).ok().and_then(content));
            let also = self.also.iter().map(content).collect();
            return Ok(Seen { sources: Arc::new(sources), also, contents: BTreeMap::new() });
        }
    }

    /// Returns the folders that files of the project are in, without any link in their paths.
    fn folders(&self, sources: &Sources, except: &[PathBuf]) -> BTreeSet<PathBuf> {
        let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        let found = sources.entries.iter().filter(|entry| entry.kind == EntryKind::Folder);
        let found = found.filter(|entry| !is_below(&entry.path, except)).map(|entry| self.root.join(&entry.path));
        let mut folders: BTreeSet<PathBuf> = found.collect();
        folders.insert(self.root.clone());
        for path in &self.also {
            let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
            above.reverse();
            folders.extend(above.into_iter().map(|path| self.root.join(path)).take_while(|path| is_folder(path)));
        }
        folders
    }
}

impl Seen {
    /// Returns all paths, relative to the root.
    pub(super) fn paths(&self) -> BTreeSet<&Path> {
        self.sources
            .entries
            .iter()
            .map(|entry| entry.path.as_path())
            .chain(self.also.keys().map(PathBuf::as_path))
            .collect()
    }

    /// Returns how many files there are, except some.
    pub(super) fn files(&self, except: &[PathBuf]) -> usize {
        let also = self.also.iter().filter(|(_, content)| content.is_some()).map(|(path, _)| path.as_path());
        let paths: BTreeSet<&Path> = self.files_of_sources(except).map(|(path, _)| path).chain(also).collect();
        paths.len()
    }

    fn files_of_sources<'a>(&'a self, except: &'a [PathBuf]) -> impl Iterator<Item = (&'a Path, &'a Stamp)> {
        let files = self.sources.entries.iter().filter(|entry| entry.kind != EntryKind::Folder);
        files.filter(|entry| !is_below(&entry.path, except)).map(|entry| (entry.path.as_path(), &entry.stamp))
    }

    /// Reads the files of a project that is looked at first, so that one which is written again without a change is known.
    pub(super) fn read_first(&mut self) {
        let mut left = MOST_READ_FIRST;
        for entry in &self.sources.entries {
            if entry.kind != EntryKind::File || entry.stamp.size > left.min(LONGEST_COMPARED) {
                continue;
            }
            left -= entry.stamp.size;
            self.contents.extend(self.content(&entry.path, &entry.stamp).map(|content| (entry.path.clone(), content)));
        }
    }

    /// Returns the content of a file, if it has not changed since it was found.
    fn content(&self, path: &Path, stamp: &Stamp) -> Option<Content> {
        let is_comparable = stamp.size <= LONGEST_COMPARED;
        let file = self.sources.open(path).ok().filter(|_| is_comparable)?;
        let metadata = file.metadata().ok()?;
        (Stamp::of(EntryKind::File, &metadata) == *stamp).then(|| content(file)).flatten()
    }

    /// Returns the files that were added, changed or removed. A file whose content was written again has not changed.
    pub(super) fn changes_since(&mut self, before: &Self, except: &[PathBuf]) -> BTreeSet<PathBuf> {
        let also = self.also.iter().filter(|(path, content)| before.also.get(*path) != Some(*content));
        let mut changed: BTreeSet<PathBuf> = also.map(|(path, _)| path.clone()).collect();
        let old: BTreeMap<&Path, &Stamp> = before.files_of_sources(except).collect();
        let (mut contents, mut missing) = (before.contents.clone(), old.clone());
        for (path, stamp) in self.files_of_sources(except) {
            let was = missing.remove(path);
            if was == Some(stamp) {
                continue;
            }
            let now = self.content(path, stamp);
            let then = now.and_then(|now| contents.insert(path.to_owned(), now));
            if now.is_none() {
                contents.remove(path);
            }
            let is_alike = was.is_some_and(|was| was.is_like(stamp));
            if !(is_alike && now.is_some() && now == then) {
                changed.insert(path.to_owned());
            }
        }
        for path in missing.into_keys() {
            contents.remove(path);
            changed.insert(path.to_owned());
        }
        self.contents = contents;
        changed
    }
}

fn content(file: std::fs::File) -> Option<Content> {
    let mut digest = Sha256::new();
    std::io::copy(&mut file.take(LONGEST_COMPARED + 1), &mut digest).ok()?;
    Some(digest.finalize().into())
}

//! A record of the sources at one time, small enough to be kept, and what has changed since. Reads no files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::sources::entries::{Entry, EntryKind, Sources, Stamp, is_below};
use crate::walk::path_from_bytes;

/// Each path of the sources with its stamp.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Stamp>", into = "BTreeMap<String, Stamp>")]
pub(crate) struct Manifest(BTreeMap<PathBuf, Stamp>);

/// Begins a path that is stored as hexadecimal digits, because it is not Unicode. No path contains this character.
const HEX: char = '\0';

impl From<Manifest> for BTreeMap<String, Stamp> {
    fn from(manifest: Manifest) -> Self {
        let stored = |path: PathBuf| match path.into_os_string().into_string() {
            Ok(path) => path,
            Err(path) => format!("{HEX}{}", hex::encode(path.as_encoded_bytes())),
        };
        manifest.0.into_iter().map(|(path, stamp)| (stored(path), stamp)).collect()
    }
}

impl From<BTreeMap<String, Stamp>> for Manifest {
    fn from(stored: BTreeMap<String, Stamp>) -> Self {
        let path = |stored: String| match stored.strip_prefix(HEX).map(hex::decode) {
            Some(Ok(bytes)) => path_from_bytes(&bytes),
            Some(Err(_)) | None => stored.into(),
        };
        Self(stored.into_iter().map(|(stored, stamp)| (path(stored), stamp)).collect())
    }
}

/// The difference between two states of the sources.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    /// New or changed; every directory comes before its entries.
    pub(crate) changed: Sources,
    pub(crate) removed_files: Vec<PathBuf>,
    /// Deepest first. A step may have created files of its own in them.
    pub(crate) removed_folders: Vec<PathBuf>,
    /// The unchanged directories above what is new or changed. A step may have removed or replaced them.
    pub(crate) folders_above: Vec<Entry>,
    /// The modification time of the newest file of the older state, in seconds since 1970.
    pub(crate) newest_before: i64,
}

impl Manifest {
    pub(crate) fn of(sources: &Sources) -> Self {
        Self(sources.entries.iter().map(|entry| (entry.path.clone(), entry.stamp)).collect())
    }

    /// Returns a digest that identifies this state of the sources.
    pub(crate) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (path, stamp) in &self.0 {
            digest.update(path.as_os_str().as_encoded_bytes());
            digest.update(format!("\0{stamp:?}\0"));
        }
        hex::encode(digest.finalize())
    }

    /// Returns the difference from this state to that of `sources`.
    pub(crate) fn delta(&self, sources: &Sources) -> Delta {
        let now = Self::of(sources);
        let newest_before = self.0.values().map(Stamp::modified_seconds).max().unwrap_or(0);
        let mut delta = Delta { changed: sources.without_entries(), newest_before, ..Delta::default() };
        for entry in &sources.entries {
            if self.0.get(&entry.path) != Some(&entry.stamp) {
                delta.add(entry.clone());
            }
        }
        let above: BTreeSet<&Path> =
            delta.changed.entries.iter().flat_map(|entry| entry.path.ancestors().skip(1)).collect();
        let is_above = |entry: &&Entry| entry.kind == EntryKind::Folder && above.contains(entry.path.as_path());
        let is_same = |entry: &&Entry| self.0.get(&entry.path) == Some(&entry.stamp);
        delta.folders_above = sources.entries.iter().filter(is_above).filter(is_same).cloned().collect();
        for (path, old) in self.0.iter().rev() {
            let is_gone = now.0.get(path).is_none_or(|new| new.kind != old.kind);
            match old.kind {
                EntryKind::Folder if is_gone => delta.removed_folders.push(path.clone()),
                EntryKind::File | EntryKind::Symlink if is_gone => delta.removed_files.push(path.clone()),
                EntryKind::Folder | EntryKind::File | EntryKind::Symlink => {}
            }
        }
        delta
    }
}

impl Delta {
    fn add(&mut self, entry: Entry) {
        if entry.kind != EntryKind::Folder {
            self.changed.files += 1;
            self.changed.bytes += entry.stamp.size;
        }
        self.changed.entries.push(entry);
    }

    /// Returns the directories in which something is added or removed, relative to the root.
    pub(crate) fn folders(&self) -> BTreeSet<PathBuf> {
        let changed = self.changed.entries.iter().map(|entry| &entry.path);
        let paths = changed.chain(&self.removed_files).chain(&self.removed_folders);
        let above = paths.flat_map(|path| path.ancestors().skip(1));
        above.filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned).collect()
    }

    /// Returns what is to be done if a step has removed some of these directories, or put something else in their place: nothing is
    /// removed from them, and what is added needs them again.
    pub(crate) fn without_folders(&self, missing: &BTreeSet<PathBuf>) -> Self {
        let is_missing = |path: &Path| path.ancestors().any(|path| missing.contains(path));
        let is_inside = |path: &&PathBuf| path.parent().is_some_and(is_missing);
        let mut delta =
            Self { changed: self.changed.without_entries(), newest_before: self.newest_before, ..Self::default() };
        let again = self.folders_above.iter().filter(|entry| is_missing(&entry.path));
        again.chain(&self.changed.entries).for_each(|entry| delta.add(entry.clone()));
        // A directory before its entries.
        delta.changed.entries.sort_by(|one, other| one.path.cmp(&other.path));
        delta.removed_files = self.removed_files.iter().filter(|path| !is_inside(path)).cloned().collect();
        delta.removed_folders = self.removed_folders.iter().filter(|path| !is_inside(path)).cloned().collect();
        delta
    }

    /// Removes nothing at these paths and below them.
    pub(crate) fn leave_alone(&mut self, hidden: &[PathBuf]) {
        let is_seen = |path: &PathBuf| !is_below(path, hidden);
        self.removed_files.retain(is_seen);
        self.removed_folders.retain(is_seen);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changed.entries.is_empty() && self.removed_files.is_empty() && self.removed_folders.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio_util::sync::CancellationToken;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_path_of_any_bytes_is_stored() {
        let names: [&[u8]; 4] = [b"plain", b"caf\xe9", b"caf\xc3\xa9", b"new\nline"];
        let stamp = Stamp::of(EntryKind::Folder, &fs::metadata("/").unwrap());
        let manifest = Manifest(names.iter().map(|name| (path_from_bytes(name), stamp)).collect());
        let stored = serde_json::to_vec(&manifest).unwrap();
        assert_eq!(serde_json::from_slice::<Manifest>(&stored).unwrap(), manifest);
    }

    #[test]
    fn the_delta_contains_only_changed_files_and_lists_removed_ones() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for (path, text) in [("a", "same"), ("b", "old"), ("old/in/c", "gone"), ("d", "a file")] {
            write(path, text);
        }
        let before = Manifest::of(&Sources::scan(folder.path(), &CancellationToken::new()).unwrap());
        assert!(before.delta(&Sources::scan(folder.path(), &CancellationToken::new()).unwrap()).is_empty());
        write("b", "newer");
        fs::remove_dir_all(folder.path().join("old")).unwrap();
        fs::remove_file(folder.path().join("d")).unwrap();
        write("d/now-in", "a folder");
        let now = Sources::scan(folder.path(), &CancellationToken::new()).unwrap();
        let delta = before.delta(&now);
        let changed: Vec<_> = delta.changed.entries.iter().map(|entry| entry.path.to_string_lossy()).collect();
        assert_eq!(changed, ["b", "d", "d/now-in"]);
        assert_eq!((delta.changed.files, delta.changed.bytes), (2, 13));
        assert_eq!(delta.removed_files, [PathBuf::from("old/in/c"), PathBuf::from("d")]);
        assert_eq!(delta.removed_folders, [PathBuf::from("old/in"), PathBuf::from("old")]);
        assert_ne!(before.digest(), Manifest::of(&now).digest());
    }
}

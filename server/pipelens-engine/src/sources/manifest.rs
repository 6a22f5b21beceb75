//! A record of the sources at one time, small enough to be kept, and what has changed since. Reads no files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::sources::entries::{Entry, EntryKind, Sources, Stamp};
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

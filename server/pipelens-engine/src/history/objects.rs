//! Where the commits, trees and files of a repository are stored.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::ProjectFolder;
use crate::history::parts::MAX_CONFIG_BYTES;
use crate::walk::{GitFolders, path_from_bytes};

/// As many levels as git follows.
const MAX_ALTERNATES: usize = 5;
/// What git needs of a pack; everything else only makes it faster.
const PACK_FILES: [&str; 4] = ["pack", "idx", "rev", "promisor"];

/// A folder with objects: the repository's own, or one from which it borrows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectFolder(pub(crate) PathBuf);

/// Returns the folder of a repository's objects, and those from which it borrows; then those from which it may not borrow: anyone could have written
/// down the folder of another repository, whose files would be given to the step. Folders of its own it may always name.
pub(super) fn find(folders: &GitFolders, may_borrow: bool) -> (Vec<ObjectFolder>, Vec<PathBuf>) {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    let repository = folders.path.join(&folders.common);
    let repository = repository.canonicalize().unwrap_or(repository);
    let mut open = vec![(repository.join("objects"), 0)];
    while let Some((folder, depth)) = open.pop() {
        let Ok(folder) = folder.canonicalize() else { continue };
        if depth > MAX_ALTERNATES || !seen.insert(folder.clone()) {
            continue;
        }
        if !may_borrow && !folder.starts_with(&repository) {
            refused.push(folder);
            continue;
        }
        let alternates = ProjectFolder::open(&folder).ok();
        let alternates = alternates.and_then(|it| it.read(Path::new("info/alternates"), MAX_CONFIG_BYTES).ok());
        for line in alternates.unwrap_or_default().split(|byte| *byte == b'\n') {
            if let Some(path) = alternate(line) {
                open.push((folder.join(path), depth + 1));
            }
        }
        found.push(ObjectFolder(folder));
    }
    (found, refused)
}

/// Reads a line of a list of folders.
fn alternate(line: &[u8]) -> Option<PathBuf> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() || line.starts_with(b"#") {
        return None;
    }
    let quoted = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\""));
    Some(path_from_bytes(quoted.filter(|inside| !inside.contains(&b'\\')).unwrap_or(line)))
}

impl ObjectFolder {
    /// Returns the line that names this folder in a list of folders.
    #[cfg(unix)]
    pub(crate) fn line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        let path = self.0.as_os_str().as_encoded_bytes();
        if path.iter().any(|byte| matches!(byte, b'\n' | b'"' | b'\\')) {
            line.push(b'"');
            for byte in path {
                match byte {
                    b'\n' => line.extend(b"\\n"),
                    b'"' | b'\\' => line.extend([b'\\', *byte]),
                    _ => line.push(*byte),
                }
            }
            line.push(b'"');
        } else {
            line.extend(path);
        }
        line.push(b'\n');
        line
    }

    /// Lists the files with the objects, relative to it. Blocks on the disk.
    pub(crate) fn list(&self) -> io::Result<Vec<PathBuf>> {
        let folder = ProjectFolder::open(&self.0)?;
        let mut files = Vec::new();
        for (name, is_folder) in folder.list(Path::new(""))? {
            let is_pack = name == *OsStr::new("pack");
            if !is_folder || !(is_pack || is_hex(&name, 2)) {
                continue;
            }
            for (file, is_folder) in folder.list(Path::new(&name))? {
                let file = Path::new(&file);
                let is_wanted = if is_pack {
                    let extension = file.extension().and_then(OsStr::to_str).unwrap_or_default();
                    PACK_FILES.contains(&extension)
                        && file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"pack-"))
                } else {
                    is_hex(file.as_os_str(), 38) || is_hex(file.as_os_str(), 62)
                };
                if is_wanted && !is_folder {
                    files.push(Path::new(&name).join(file));
                }
            }
        }
        // One that git has packed since is in a pack, which is listed later than single objects.
        files.retain(|file| self.0.join(file).symlink_metadata().is_ok());
        Ok(files)
    }
}

fn is_hex(name: &OsStr, length: usize) -> bool {
    let name = name.as_encoded_bytes();
    name.len() == length && name.iter().all(u8::is_ascii_hexdigit)
}

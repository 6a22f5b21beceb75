//! The branches and tags of a repository, all of them in one file, as `git pack-refs` writes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::Unreadable;
use crate::history::parts::{HistoryFile, MAX_LIST_BYTES, MAX_POINTER_BYTES, file, optional};
use crate::walk::{GitFolders, path_from_bytes};

/// More levels than any name has.
const MAX_DEPTH: usize = 64;
/// What belongs to one work tree, and what its owner has put aside.
const LEFT_OUT: [&str; 4] = ["refs/bisect", "refs/rewritten", "refs/worktree", "refs/stash"];
const SYMBOLIC: &[u8] = b"ref: ";

/// The hash of each ref, or for a symbolic one the name of the other after `ref: `, by name.
type Refs = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) fn add(files: &mut Vec<HistoryFile>, folders: &GitFolders) -> Result<(), Unreadable> {
    let GitFolders { base, own, common, .. } = folders;
    let tables = common.join("reftable");
    if base.has_folder(&tables) {
        if own != common {
            let why = "the refs of a linked work tree are in the format `reftable`, which is not supported there";
            return Err(Unreadable::Io(std::io::Error::other(why)));
        }
        files.push(HistoryFile { path: "reftable".into(), content: None });
        for (name, is_folder) in base.list(&tables)? {
            if !is_folder && let Some(content) = optional(base, &tables.join(&name), MAX_LIST_BYTES)? {
                files.push(file(Path::new("reftable").join(name), content));
            }
        }
        return Ok(());
    }
    let mut refs = Refs::new();
    let mut open = vec![(PathBuf::from("refs"), 0)];
    while let Some((folder, depth)) = open.pop() {
        for (name, is_folder) in base.list(&common.join(&folder))? {
            let path = folder.join(name);
            if is_folder && depth < MAX_DEPTH {
                open.push((path, depth + 1));
            } else if !is_folder && let Some(value) = optional(base, &common.join(&path), MAX_POINTER_BYTES)? {
                let value = value.trim_ascii();
                if is_hash(value) || value.starts_with(SYMBOLIC) {
                    refs.insert(path.as_os_str().as_encoded_bytes().to_vec(), value.to_vec());
                }
            }
        }
    }
    // Last, because git packs a ref before it removes the ref's own file, which takes precedence.
    for line in
        optional(base, &common.join("packed-refs"), MAX_LIST_BYTES)?.unwrap_or_default().split(|it| *it == b'\n')
    {
        // Other lines are comments, and what the tag in the line before leads to.
        if let Some((hash, name)) = split_at_space(line).filter(|(hash, _)| is_hash(hash)) {
            refs.entry(name.to_vec()).or_insert_with(|| hash.to_vec());
        }
    }
    refs.retain(|name, _| is_given(name));
    let mut packed = b"# pack-refs with: sorted \n".to_vec();
    for (name, value) in &refs {
        if value.starts_with(SYMBOLIC) {
            let path = path_from_bytes(name);
            for folder in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
                if !folder.as_os_str().is_empty() && !files.iter().any(|known| known.path == folder) {
                    files.push(HistoryFile { path: folder.to_owned(), content: None });
                }
            }
            files.push(file(path, [value, b"\n".as_slice()].concat()));
        } else {
            packed.extend([value, b" ".as_slice(), name, b"\n"].concat());
        }
    }
    files.push(file("packed-refs", packed));
    Ok(())
}

fn split_at_space(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = line.split_at(line.iter().position(|byte| *byte == b' ')?);
    Some((first, rest.get(1..)?))
}

/// Whether it is a hash of either kind.
fn is_hash(text: &[u8]) -> bool {
    matches!(text.len(), 40 | 64) && text.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a ref is one that steps get. A name that is no path below `refs` is not one of git's.
fn is_given(name: &[u8]) -> bool {
    let path = path_from_bytes(name);
    let is_plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    is_plain && path.starts_with("refs") && !LEFT_OUT.iter().any(|left_out| path.starts_with(left_out))
}

//! The small files of a history as an archive, in which everything belongs to a step's user.

use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::clock;
use crate::history::parts::HistoryFile;

const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o444;

/// Packs files below a folder, which is an entry itself unless it has no name.
pub(super) fn pack(files: &[HistoryFile], folder: &str, user_id: u64, group_id: u64) -> std::io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    let mut add = |path: &Path, content: Option<&[u8]>| {
        let (kind, mode) = match content {
            Some(_) => (EntryType::Regular, FILE_MODE),
            None => (EntryType::Directory, FOLDER_MODE),
        };
        let content = content.unwrap_or_default();
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(user_id);
        header.set_gid(group_id);
        header.set_mtime(u64::try_from(clock::seconds_now()).unwrap_or(0));
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content)
    };
    let folder = Path::new(folder);
    if !folder.as_os_str().is_empty() {
        add(folder, None)?;
    }
    for file in files {
        add(&folder.join(&file.path), file.content.as_deref())?;
    }
    archive.into_inner()
}

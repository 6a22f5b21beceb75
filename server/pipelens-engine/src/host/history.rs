//! The project's git history in steps on this machine: a `.git` in the step's own directory, which borrows the objects of the repository. It is
//! there only while the step runs, and is part of no result.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::history::History;
use crate::host::copy;

const FOLDER_MODE: u32 = 0o555;
const FILE_MODE: u32 = 0o444;
/// Git finds the objects of another repository by it.
const ALTERNATES: &str = "objects/info/alternates";

/// A `.git` that is removed after the step.
#[derive(Debug)]
pub(super) struct Given {
    folder: PathBuf,
    /// Where something of an earlier step that has the same name is kept meanwhile.
    aside: PathBuf,
}

impl Given {
    /// Makes a `.git` at a path. `home` is the step's own directory.
    pub(super) fn put(history: &History, folder: PathBuf, home: &Path) -> io::Result<Self> {
        let aside = home.join("aside");
        match fs::rename(&folder, &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::create_dir_all(&folder)?;
        for file in &history.files {
            let path = folder.join(&file.path);
            match &file.content {
                Some(content) => write(&path, content)?,
                None => fs::create_dir_all(&path)?,
            }
        }
        let alternates: Vec<u8> = history.objects.iter().flat_map(crate::history::ObjectFolder::line).collect();
        write(&folder.join(ALTERNATES), &alternates)?;
        let folders = history.files.iter().filter(|file| file.content.is_none()).map(|file| folder.join(&file.path));
        for path in folders.chain([folder.clone()]) {
            fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE))?;
        }
        Ok(Self { folder, aside })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes it.
    pub(super) fn remove(self) -> io::Result<()> {
        copy::remove_any(&self.folder)?;
        match fs::rename(&self.aside, &self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        }
    }
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::write(path, content)?;
    fs::set_permissions(path, Permissions::from_mode(FILE_MODE))
}

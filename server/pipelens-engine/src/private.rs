//! Directories and files that only their owner can open, from the moment they exist and regardless of the umask. Knows no runs.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Creates a directory and its parents. An existing directory is left unchanged.
pub fn create_folder(path: &Path) -> io::Result<()> {
    folder_builder().recursive(true).create(path)
}

/// Creates a directory that must not exist yet, so that no other user can have prepared it.
pub(crate) fn create_new_folder(path: &Path) -> io::Result<()> {
    folder_builder().create(path)
}

/// Whether a path is a directory, not a link, and belongs to this user.
#[cfg(unix)]
pub(crate) fn is_own_folder(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    path.symlink_metadata().is_ok_and(|it| it.is_dir() && it.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
pub(crate) fn is_own_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|it| it.is_dir())
}

/// Whether a path belongs to this user or to the owner of another path.
#[cfg(unix)]
pub fn is_of_same_owner(path: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let owner = |path: &Path| path.symlink_metadata().map(|metadata| metadata.uid()).ok();
    let other = other.metadata().map(|metadata| metadata.uid()).ok();
    owner(path).is_some_and(|owner| owner == rustix::process::geteuid().as_raw() || Some(owner) == other)
}

#[cfg(not(unix))]
pub fn is_of_same_owner(_path: &Path, _other: &Path) -> bool {
    true
}

/// Removes other users' access to a file that an earlier version created with it. Another user's file cannot be changed.
#[cfg(unix)]
pub(crate) fn close_file(path: &Path) {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    if path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o077 != 0) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).ok();
    }
}

#[cfg(not(unix))]
pub(crate) fn close_file(_path: &Path) {}

/// Opens a file for writing; creates or truncates it.
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    file_options().truncate(true).open(path)
}

/// Makes sure that a file exists, without changing its content.
pub(crate) fn touch(path: &Path) -> io::Result<()> {
    file_options().truncate(false).open(path).map(drop)
}

/// Writes a file, replacing any file with the same name.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create_file(path)?.write_all(bytes)
}

fn folder_builder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(false);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

fn file_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn new_files_are_private_and_older_public_ones_become_private() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        let (deep, file) = (folder.path().join("a/b"), folder.path().join("file"));
        create_folder(&deep).unwrap();
        assert_eq!((mode(&deep), mode(deep.parent().unwrap())), (0o700, 0o700));
        assert!(create_new_folder(&deep).is_err());
        write(&file, b"text").unwrap();
        assert_eq!(mode(&file), 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        touch(&file).unwrap();
        close_file(&file);
        assert_eq!((mode(&file), std::fs::read(&file).unwrap()), (0o600, b"text".to_vec()));
    }
}

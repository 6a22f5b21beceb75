//! Copies and removes directories, sharing blocks if the filesystem supports it (`std::fs::copy` does that). Knows no steps.

use std::fs;
use std::io;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::error::EngineError;
use crate::sources::{Delta, EntryKind, Sources};
use crate::stop::{self, Interruption};

/// Copies the sources into a new directory. A file that no longer exists is skipped.
pub(super) fn sources(sources: &Sources, target: &Path, stop: &CancellationToken) -> Result<(), Interruption> {
    create_folder(target)?;
    for entry in &sources.entries {
        stop::check(stop)?;
        let from = sources.root.join(&entry.path);
        let to = target.join(&entry.path);
        let copied = match entry.kind {
            EntryKind::File => copy_source(sources, &entry.path, &to),
            EntryKind::Symlink => copy_source_link(sources, &entry.path, &to),
            EntryKind::Folder => fs::create_dir_all(&to),
        };
        match copied {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => {}
            Err(source) => return Err(EngineError::Sources { path: from, source }.into()),
        }
    }
    Ok(())
}

/// Copies a directory with everything in it.
pub(super) fn tree(from: &Path, to: &Path, stop: &CancellationToken) -> Result<(), Interruption> {
    let doing = "Copying the parent's directory";
    copy_folder(from, to, stop).map_err(|source| EngineError::File { doing, path: from.to_owned(), source })?;
    Ok(stop::check(stop)?)
}

/// Moves a directory that nothing else needs.
pub(super) fn take_over(from: &Path, to: &Path) -> Result<(), EngineError> {
    let moved = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::rename(from, to));
    moved.map_err(|source| EngineError::File { doing: "Moving the parent's directory", path: from.to_owned(), source })
}

pub(super) fn create_folder(path: &Path) -> Result<(), EngineError> {
    fs::create_dir_all(path).map_err(|source| EngineError::File {
        doing: "Creating the working directory",
        path: path.to_owned(),
        source,
    })
}

/// Brings a copy of older sources up to date.
pub(super) fn update(delta: &Delta, target: &Path, stop: &CancellationToken) -> Result<(), Interruption> {
    for path in &delta.removed_files {
        // It is already removed, or a step has replaced it with a directory.
        fs::remove_file(target.join(path)).ok();
    }
    for path in &delta.removed_folders {
        // It stays if a step has created something in it.
        fs::remove_dir(target.join(path)).ok();
    }
    for entry in &delta.changed.entries {
        if entry.kind != EntryKind::Folder {
            // Writing to a link would change its target, and creating a link fails if something exists.
            fs::remove_file(target.join(&entry.path)).ok();
        }
    }
    sources(&delta.changed, target, stop)
}

/// Returns the size of everything in a directory, as far as it can be read.
pub(super) fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Ends early, with an incomplete copy, once a stop is requested.
pub(super) fn copy_folder(from: &Path, to: &Path, stop: &CancellationToken) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        if stop.is_cancelled() {
            return Ok(());
        }
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_folder(&from, &to, stop)?;
        } else if kind.is_symlink() {
            copy_entry(&from, &to, EntryKind::Symlink)?;
        } else if kind.is_file() {
            copy_entry(&from, &to, EntryKind::File)?;
        }
    }
    // Last, because a directory may be read-only.
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

/// Copies a file of the project: the one that was opened, even if another one takes its place.
fn copy_source(sources: &Sources, path: &Path, to: &Path) -> io::Result<()> {
    let mut file = sources.open(path)?;
    let metadata = file.metadata()?;
    if cfg!(target_os = "linux") {
        let mut copy = fs::File::create(to)?;
        io::copy(&mut file, &mut copy)?;
        copy.set_permissions(metadata.permissions())?;
    } else {
        // On other systems, blocks are shared only if the system itself copies the file, by name.
        fs::copy(sources.root.join(path), to)?;
    }
    // Opened for reading: the copy may be read-only, and its owner may set times all the same.
    fs::File::open(to)?.set_modified(metadata.modified()?)
}

#[cfg(unix)]
fn copy_source_link(sources: &Sources, path: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(sources.read_link(path)?, to)
}

#[cfg(not(unix))]
fn copy_source_link(sources: &Sources, path: &Path, to: &Path) -> io::Result<()> {
    copy_link(&sources.root.join(path), to)
}

fn copy_entry(from: &Path, to: &Path, kind: EntryKind) -> io::Result<()> {
    match kind {
        EntryKind::Folder => fs::create_dir_all(to),
        EntryKind::Symlink => copy_link(from, to),
        EntryKind::File => {
            fs::copy(from, to)?;
            let modified = fs::metadata(from)?.modified()?;
            // Opened for reading: the copy may be read-only, and its owner may set times all the same.
            fs::File::open(to)?.set_modified(modified)
        }
    }
}

#[cfg(unix)]
fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(fs::read_link(from)?, to)
}

#[cfg(not(unix))]
fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to).map(drop)
}

/// Removes a directory, even if it contains read-only directories.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    let ignore_missing = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    ignore_missing(fs::remove_dir_all(folder)).or_else(|_| {
        open_up(folder);
        ignore_missing(fs::remove_dir_all(folder))
    })
}

#[cfg(unix)]
fn open_up(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;

    // If something cannot be opened, its removal will report that.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).ok();
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

#[cfg(not(unix))]
fn open_up(_folder: &Path) {}

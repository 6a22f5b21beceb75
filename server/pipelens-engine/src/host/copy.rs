//! Copies and removes directories, sharing blocks if the filesystem supports it (`std::fs::copy` does that). Knows no steps.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use filetime::FileTime;
use tokio_util::sync::CancellationToken;

use crate::error::EngineError;
use crate::sources::{Delta, EntryKind, Sources};
use crate::stop::{self, Interruption};

/// Which modification times copied sources get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dating {
    /// Those they have in the project.
    AsInProject,
    /// The time of the copy, or one after this time if that is later.
    After(SystemTime),
}

/// Copies the sources into a new directory. A file that no longer exists is skipped.
pub(super) fn sources(sources: &Sources, target: &Path, stop: &CancellationToken) -> Result<(), Interruption> {
    copy_sources(sources, target, Dating::AsInProject, stop)
}

fn copy_sources(
    sources: &Sources,
    target: &Path,
    dating: Dating,
    stop: &CancellationToken,
) -> Result<(), Interruption> {
    create_folder(target)?;
    for entry in &sources.entries {
        stop::check(stop)?;
        let from = sources.root.join(&entry.path);
        let to = target.join(&entry.path);
        let copied = match entry.kind {
            EntryKind::File => copy_source(sources, &entry.path, &to),
            EntryKind::Symlink => copy_source_link(sources, &entry.path, &to).and_then(|()| from.symlink_metadata()),
            EntryKind::Folder => fs::create_dir_all(&to).and_then(|()| from.symlink_metadata()),
        };
        sources.sent(entry, copied.as_ref().ok());
        let dated = copied.and_then(|_| match entry.kind {
            EntryKind::Folder => Ok(()),
            EntryKind::File | EntryKind::Symlink => date(&from, &to, dating),
        });
        match dated {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && from.symlink_metadata().is_err() => {}
            Err(source) => return Err(EngineError::Sources { path: from, source }.into()),
        }
    }
    // Last and deepest first, because an entry changes the time of its directory, and a directory may be read-only.
    for entry in sources.entries.iter().rev().filter(|entry| entry.kind == EntryKind::Folder) {
        let from = sources.root.join(&entry.path);
        let Ok(metadata) = from.symlink_metadata() else { continue };
        let to = target.join(&entry.path);
        let finished = match dating {
            Dating::AsInProject => copy_times(&metadata, &to),
            Dating::After(_) => Ok(()),
        };
        let finished = finished.and_then(|()| fs::set_permissions(&to, metadata.permissions()));
        finished.map_err(|source| EngineError::Sources { path: from, source })?;
    }
    Ok(())
}

/// Sets the modification time of a copied source.
fn date(from: &Path, to: &Path, dating: Dating) -> io::Result<()> {
    match dating {
        Dating::AsInProject => copy_times(&from.symlink_metadata()?, to),
        Dating::After(newest) if to.symlink_metadata()?.modified()? <= newest => {
            let next = newest.checked_add(Duration::from_micros(1)).unwrap_or(newest);
            filetime::set_symlink_file_times(to, next.into(), next.into())
        }
        Dating::After(_) => Ok(()),
    }
}

fn copy_times(metadata: &Metadata, to: &Path) -> io::Result<()> {
    let modified = FileTime::from_last_modification_time(metadata);
    filetime::set_symlink_file_times(to, modified, modified)
}

/// Copies a directory with everything in it, and returns the time of its newest file.
pub(super) fn tree(from: &Path, to: &Path, stop: &CancellationToken) -> Result<SystemTime, Interruption> {
    let doing = "Copying the parent's directory";
    let newest =
        copy_folder(from, to, stop).map_err(|source| EngineError::File { doing, path: from.to_owned(), source })?;
    stop::check(stop)?;
    Ok(newest)
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

/// Updates a copy of older sources. What changed becomes newer than everything in the copy: `make` and its kind ignore a change
/// that is older than what they have built, and a file may have changed while its earlier content was being built, or been replaced by an
/// older one.
pub(super) fn update(
    delta: &Delta,
    target: &Path,
    newest: SystemTime,
    stop: &CancellationToken,
) -> Result<(), Interruption> {
    // Nothing is added or removed through a link that a step has left in the place of a directory.
    let missing = delta.folders().into_iter().filter(|path| !is_folder(&target.join(path))).collect();
    let delta = delta.without_folders(&missing);
    for path in &delta.removed_files {
        // It is already removed, or a step has replaced it with a directory.
        fs::remove_file(target.join(path)).ok();
    }
    for path in &delta.removed_folders {
        // It stays if a step has created something in it.
        fs::remove_dir(target.join(path)).ok();
    }
    create_folder(target)?;
    make_way(&delta.changed, target)?;
    copy_sources(&delta.changed, target, Dating::After(newest), stop)
}

/// Adds files to a directory, with the time of now, in place of whatever has their names.
pub(super) fn add(files: &Sources, target: &Path, stop: &CancellationToken) -> Result<(), Interruption> {
    make_way(files, target)?;
    copy_sources(files, target, Dating::After(SystemTime::UNIX_EPOCH), stop)
}

fn make_way(sources: &Sources, target: &Path) -> Result<(), EngineError> {
    for entry in &sources.entries {
        let to = target.join(&entry.path);
        let is_in_the_way = entry.kind != EntryKind::Folder || !is_folder(&to);
        if is_in_the_way {
            remove_any(&to).map_err(|source| EngineError::File {
                doing: "Making room for a changed file",
                path: to.clone(),
                source,
            })?;
        }
        if entry.kind == EntryKind::Folder {
            create_folder(&to)?;
        }
    }
    Ok(())
}

/// Whether it is a directory, and not a link to one.
pub(super) fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// Removes whatever is there.
pub(super) fn remove_any(path: &Path) -> io::Result<()> {
    match is_folder(path) {
        true => remove(path),
        // Writing to a link would change its target, and creating a link fails if something exists.
        false => match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        },
    }
}

/// Ends early, with an incomplete copy, once a stop is requested. Returns the time of the newest file.
pub(super) fn copy_folder(from: &Path, to: &Path, stop: &CancellationToken) -> io::Result<SystemTime> {
    fs::create_dir_all(to)?;
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(from)? {
        if stop.is_cancelled() {
            return Ok(newest);
        }
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            newest = newest.max(copy_folder(&from, &to, stop)?);
            continue;
        }
        if kind.is_symlink() {
            copy_link(&from, &to)?;
        } else if kind.is_file() {
            fs::copy(&from, &to)?;
        } else {
            continue;
        }
        let metadata = from.symlink_metadata()?;
        copy_times(&metadata, &to)?;
        newest = newest.max(metadata.modified()?);
    }
    // Last, because an entry changes the time of its directory, and a directory may be read-only.
    let metadata = fs::metadata(from)?;
    copy_times(&metadata, to)?;
    fs::set_permissions(to, metadata.permissions())?;
    Ok(newest)
}

/// Copies a file of the project: the one that was opened, even if another one takes its place. Returns its state.
fn copy_source(sources: &Sources, path: &Path, to: &Path) -> io::Result<Metadata> {
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
    // Again, because it may have been written to meanwhile.
    file.metadata()
}

#[cfg(unix)]
fn copy_source_link(sources: &Sources, path: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(sources.read_link(path)?, to)
}

#[cfg(not(unix))]
fn copy_source_link(sources: &Sources, path: &Path, to: &Path) -> io::Result<()> {
    copy_link(&sources.root.join(path), to)
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

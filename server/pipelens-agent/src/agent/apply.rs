//! Removes paths below a directory and unpacks an archive there.

use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use super::jobs::{Cancelled, Job};
use super::requests::failure;
use super::unpacked::{Folder, Placed, Times};
use crate::protocol::message::{Applied, ApplyRequest, Failure};

/// How a compressed archive begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

pub(super) fn apply(job: &Job, request: &ApplyRequest) -> Result<Applied, Failure> {
    let folder = Path::new(&request.folder);
    let about = |error: io::Error| failure(format!("`{}` cannot be written: {error}", folder.display()));
    let mut unpacking = Unpacking {
        folder: Folder::open(folder, request.owner, request.missing_folders).map_err(about)?,
        applied: Applied { unpacked: 0, removed: 0, skipped: 0 },
        folders: Vec::new(),
    };
    unpacking.remove(request).map_err(failure)?;
    match unpacking.unpack(job.reader()) {
        Ok(()) => Ok(unpacking.applied),
        Err(_) if job.is_cancelled() => Err(Cancelled.into()),
        Err(sentence) => Err(failure(sentence)),
    }
}

struct Unpacking {
    folder: Folder,
    applied: Applied,
    /// Their times change with what is unpacked in them.
    folders: Vec<(PathBuf, u32, Times)>,
}

impl Unpacking {
    fn remove(&mut self, request: &ApplyRequest) -> Result<(), String> {
        let lists = [(&request.removed_files, false), (&request.removed_folders, true)];
        for (path, is_folder) in
            lists.iter().flat_map(|(paths, is_folder)| paths.iter().map(move |path| (path, *is_folder)))
        {
            let path = plain(Path::new(std::ffi::OsStr::from_bytes(path)))?;
            let removed = self.folder.remove(&path, is_folder);
            match removed.map_err(|error| format!("`{}` cannot be removed: {error}", path.display()))? {
                true => self.applied.removed += 1,
                false => self.applied.skipped += 1,
            }
        }
        Ok(())
    }

    fn unpack(&mut self, reader: impl Read) -> Result<(), String> {
        let text = |error: io::Error| format!("the archive cannot be read: {error}");
        let mut reader = BufReader::with_capacity(128 * 1024, reader);
        let mut begin = [0; 2];
        let mut filled = 0;
        while let Some(rest) = begin.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match reader.read(rest).map_err(text)? {
                0 => break,
                count => filled += count,
            }
        }
        let Some(begin) = begin.get(..filled).filter(|begin| !begin.is_empty()) else { return Ok(()) };
        let is_compressed = begin == GZIP;
        let whole = begin.chain(reader);
        if is_compressed { self.unpack_all(MultiGzDecoder::new(whole)) } else { self.unpack_all(whole) }
    }

    fn unpack_all(&mut self, reader: impl Read) -> Result<(), String> {
        let text = |error: io::Error| format!("the archive cannot be read: {error}");
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries().map_err(text)? {
            let mut entry = entry.map_err(text)?;
            let path = plain(&entry.path().map_err(text)?)?;
            if path.as_os_str().is_empty() {
                continue;
            }
            let placed = self.place(&path, &mut entry);
            match placed.map_err(|error| format!("`{}` cannot be unpacked: {error}", path.display()))? {
                Placed::Done => self.applied.unpacked += 1,
                Placed::Skipped => self.applied.skipped += 1,
            }
        }
        // What is after its end, so that the sender is not kept waiting.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(text)?;
        for (path, mode, times) in self.folders.iter().rev() {
            self.folder.finish_folder(path, *mode, *times).map_err(|error| format!("`{}`: {error}", path.display()))?;
        }
        Ok(())
    }

    fn place(&mut self, path: &Path, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Placed> {
        let header = entry.header();
        let mode = header.mode()? & 0o7777;
        // An archive need not say it.
        let id = |id: io::Result<u64>| id.ok().and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
        let owner = (id(header.uid()), id(header.gid()));
        let kind = header.entry_type();
        let times = times_of(entry)?;
        let link = entry.link_name()?.map(|link| link.into_owned());
        match (kind, link) {
            (EntryType::Directory, _) => {
                let placed = self.folder.place_folder(path, owner)?;
                if placed == Placed::Done {
                    self.folders.push((path.to_owned(), mode, times));
                }
                Ok(placed)
            }
            (EntryType::Symlink, Some(target)) => self.folder.place_symlink(path, &target, owner, times),
            (EntryType::Link, Some(target)) => {
                let target = plain(&target).map_err(io::Error::other)?;
                self.folder.place_hard_link(path, &target)
            }
            (EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse, _) => {
                self.folder.place_file(path, entry, mode, owner, times)
            }
            // Sources and artifacts have none.
            _ => Ok(Placed::Skipped),
        }
    }
}

fn times_of(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Times> {
    let seconds = i64::try_from(entry.header().mtime()?).unwrap_or(0);
    let exact = entry.pax_extensions()?.and_then(|mut records| {
        records.find_map(|record| record.ok().filter(|record| record.key() == Ok("mtime"))?.value().ok()?.parse().ok())
    });
    Ok(exact.unwrap_or(Times { seconds, nanoseconds: 0 }))
}

/// Returns a relative path without `.`; one that leads elsewhere is an error.
fn plain(path: &Path) -> Result<PathBuf, String> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(format!("`{}` leads out of its directory", path.display()));
            }
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_its_directory() {
        assert_eq!(plain(Path::new("./a//b")).unwrap(), Path::new("a/b"));
        assert_eq!(plain(Path::new("/a")).unwrap(), Path::new("a"));
        assert!(plain(Path::new("a/../b")).is_err());
    }
}

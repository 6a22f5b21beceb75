//! Goes through the root filesystem, and finds what differs from an earlier listing of it.
//!
//! Directories are opened one below the other, so that nothing is reached through a link. Mounts are left out.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;

use super::listing::{Entry, FolderId, Listing};
use super::mounts::Mounts;

/// The agent's own folder in the root.
const OWN_FOLDER: &[u8] = b".pipelens";

/// Each level keeps a directory open, and a process may have 1024 files open.
const DEEPEST: usize = 500;

/// Receives what differs. Paths have no first slash.
pub(super) trait Sink {
    /// A directory that was there before is entered; `is_changed`: its own properties differ, or it is new.
    fn enter(&mut self, folder: &Found<'_>, is_changed: bool) -> io::Result<()>;
    fn leave(&mut self);
    /// Something else than a directory is new or differs. Returns whether it is still there.
    fn changed(&mut self, found: &Found<'_>) -> io::Result<bool>;
    fn gone(&mut self, path: &[u8]) -> io::Result<()>;
}

/// Something in the filesystem.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a CStr,
    pub(super) path: &'a [u8],
    pub(super) stat: &'a Stat,
}

impl Found<'_> {
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// For a listing alone.
#[derive(Debug)]
pub(super) struct NoSink;

impl Sink for NoSink {
    fn enter(&mut self, _: &Found<'_>, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn leave(&mut self) {}

    fn changed(&mut self, _: &Found<'_>) -> io::Result<bool> {
        Ok(true)
    }

    fn gone(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Lists everything below `root` and reports what differs from `old`.
pub(super) fn walk(
    root: &OwnedFd,
    mounts: &Mounts,
    old: Option<&Listing>,
    sink: &mut impl Sink,
) -> io::Result<Listing> {
    let mut walk = Walk { mounts, old, new: Listing::default(), sink, path: Vec::new(), depth: 0 };
    let root_folder = old.map(|_| FolderId::ROOT);
    walk.folder(root.as_fd(), root_folder)?;
    Ok(walk.new)
}

struct Walk<'a, S> {
    mounts: &'a Mounts,
    old: Option<&'a Listing>,
    new: Listing,
    sink: &'a mut S,
    path: Vec<u8>,
    depth: usize,
}

/// A directory in the current one, which is entered when everything else has been looked at.
struct Subfolder {
    name: CString,
    stat: Stat,
    place: usize,
    is_changed: bool,
    old: Option<FolderId>,
}

impl<S: Sink> Walk<'_, S> {
    fn folder(&mut self, folder: BorrowedFd<'_>, old: Option<FolderId>) -> io::Result<FolderId> {
        let mut names = names_in(folder).map_err(|error| self.about(error))?;
        names.sort_unstable();
        let id = self.new.begin_folder();
        let mut old_entries = self.old.zip(old).map(|(listing, old)| listing.folder(old)).unwrap_or_default();
        let mut subfolders = Vec::new();
        let above = self.path.len();
        for name in &names {
            // What is listed before it is no longer there.
            while let Some((entry, rest)) = old_entries.split_first()
                && self.old_name(entry) < name.to_bytes()
            {
                self.gone(entry, above)?;
                old_entries = rest;
            }
            let mut entry = None;
            if let Some((first, rest)) = old_entries.split_first()
                && self.old_name(first) == name.to_bytes()
            {
                (entry, old_entries) = (Some(first), rest);
            }
            self.descend(name.to_bytes());
            self.look_at(folder, name, entry, &mut subfolders)?;
            self.path.truncate(above);
        }
        for entry in old_entries {
            self.gone(entry, above)?;
        }
        self.new.end_folder(id);
        for subfolder in subfolders {
            self.descend(subfolder.name.to_bytes());
            self.enter(folder, &subfolder)?;
            self.path.truncate(above);
        }
        Ok(id)
    }

    fn look_at(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &CStr,
        old: Option<&Entry>,
        subfolders: &mut Vec<Subfolder>,
    ) -> io::Result<()> {
        if self.mounts.contains(&self.path) || self.path == OWN_FOLDER {
            return Ok(());
        }
        let stat = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => {
                return old.map_or(Ok(()), |_| self.sink.gone(&self.path));
            }
            Err(error) => return Err(self.about(error.into())),
        };
        let is_folder = FileType::from_raw_mode(stat.st_mode).is_dir();
        let entry = Entry::of(&stat);
        let is_changed = old.is_none_or(|old| !old.is_same(&entry));
        if is_folder {
            let place = self.new.add(name.to_bytes(), entry);
            let old = old.and_then(Entry::folder);
            subfolders.push(Subfolder { name: name.to_owned(), stat, place, is_changed, old });
            return Ok(());
        }
        let found = Found { folder, name, path: &self.path, stat: &stat };
        if !is_changed || self.sink.changed(&found)? {
            self.new.add(name.to_bytes(), entry);
        } else if old.is_some() {
            self.sink.gone(&self.path)?;
        }
        Ok(())
    }

    fn enter(&mut self, folder: BorrowedFd<'_>, subfolder: &Subfolder) -> io::Result<()> {
        if self.depth == DEEPEST {
            return Err(io::Error::other(format!("`/{}` is too deep", String::from_utf8_lossy(&self.path))));
        }
        let found = Found { folder, name: &subfolder.name, path: &self.path, stat: &subfolder.stat };
        self.sink.enter(&found, subfolder.is_changed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inside = match openat(folder, subfolder.name.as_c_str(), flags, Mode::empty()) {
            Ok(opened) => {
                self.depth += 1;
                let id = self.folder(opened.as_fd(), subfolder.old)?;
                self.depth -= 1;
                Some(id)
            }
            // A step has the same rights as the agent, so it cannot have changed what is in there.
            Err(Errno::ACCESS) if self.old.is_none() || self.was_empty(subfolder.old) => None,
            Err(Errno::NOENT) => None,
            Err(error) => return Err(self.about(error.into())),
        };
        self.new.set_folder(subfolder.place, inside);
        self.sink.leave();
        Ok(())
    }

    fn was_empty(&self, folder: Option<FolderId>) -> bool {
        self.old.zip(folder).is_none_or(|(listing, folder)| listing.folder(folder).is_empty())
    }

    fn old_name(&self, entry: &Entry) -> &[u8] {
        self.old.map(|listing| listing.name(entry)).unwrap_or_default()
    }

    fn gone(&mut self, entry: &Entry, above: usize) -> io::Result<()> {
        let name = self.old.map(|listing| listing.name(entry).to_vec()).unwrap_or_default();
        self.descend(&name);
        let done = if self.mounts.contains(&self.path) { Ok(()) } else { self.sink.gone(&self.path) };
        self.path.truncate(above);
        done
    }

    fn descend(&mut self, name: &[u8]) {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
    }

    fn about(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("`/{}` cannot be read: {error}", String::from_utf8_lossy(&self.path)))
    }
}

fn names_in(folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

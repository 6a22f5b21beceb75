//! A directory in which an archive is unpacked. It may be reached through links; below it, none is followed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chmodat, chownat, fchmod, fchown, futimens, linkat, mkdirat,
    openat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::protocol::message::MissingFolders;

/// Not even another user of the container reads a file while it is written.
const NEW_FILE: u32 = 0o600;
const NEW_FOLDER: u32 = 0o755;

pub(super) struct Folder {
    path: PathBuf,
    root: OwnedFd,
    /// Who owns what is unpacked, if the agent may decide it: the request's owner, or the archive's.
    owner: Owner,
    missing: MissingFolders,
    /// The directory of the last entry, which is often that of the next.
    last: Option<(PathBuf, OwnedFd)>,
}

#[derive(Debug, Clone, Copy)]
enum Owner {
    /// Only root may give files away.
    Own,
    Given(u32, u32),
    Archived,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    Done,
    Skipped,
}

/// A modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) seconds: i64,
    pub(super) nanoseconds: i64,
}

impl Times {
    fn both(self) -> Timestamps {
        let time = Timespec { tv_sec: self.seconds, tv_nsec: self.nanoseconds };
        Timestamps { last_access: time, last_modification: time }
    }
}

impl FromStr for Times {
    type Err = std::num::ParseIntError;

    /// As in archives: seconds with a fraction.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let seconds: i64 = whole.parse()?;
        let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        let nanoseconds: i64 = digits.parse()?;
        Ok(match (whole.starts_with('-'), nanoseconds) {
            (true, fraction) if fraction > 0 => Self { seconds: seconds - 1, nanoseconds: 1_000_000_000 - fraction },
            _ => Self { seconds, nanoseconds },
        })
    }
}

fn open_folder(at: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

impl Folder {
    pub(super) fn open(path: &Path, owner: Option<(u32, u32)>, missing: MissingFolders) -> io::Result<Self> {
        let owner = match owner {
            _ if !rustix::process::geteuid().is_root() => Owner::Own,
            Some((uid, gid)) => Owner::Given(uid, gid),
            None => Owner::Archived,
        };
        let is_new = !path.exists();
        fs::DirBuilder::new().recursive(true).mode(NEW_FOLDER).create(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        if let Owner::Given(uid, gid) = owner
            && is_new
        {
            fchown(&root, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        Ok(Self { path: path.to_owned(), root, owner, missing, last: None })
    }

    /// Removes a file, or an empty directory. Returns whether it was there: another kind of thing in its place stays.
    pub(super) fn remove(&mut self, path: &Path, is_folder: bool) -> io::Result<bool> {
        self.last = None;
        let Some((folder, name)) = self.existing_place(path)? else { return Ok(false) };
        let flags = if is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match unlinkat(&folder, name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn place_folder(&mut self, path: &Path, archived: (u32, u32)) -> io::Result<Placed> {
        let (missing, owner) = (self.missing, self.owner);
        let Some((folder, name)) = self.place(path)? else { return Ok(Placed::Skipped) };
        let made = match mkdirat(folder, name, Mode::from_raw_mode(NEW_FOLDER)) {
            Err(Errno::EXIST) if open_folder(folder, name).is_ok() => Ok(()),
            Err(Errno::EXIST) if missing == MissingFolders::Skip => return Ok(Placed::Skipped),
            Err(Errno::EXIST) => {
                unlinkat(folder, name, AtFlags::empty())?;
                mkdirat(folder, name, Mode::from_raw_mode(NEW_FOLDER))
            }
            made => made,
        };
        made?;
        give(owner, folder, name, archived)?;
        Ok(Placed::Done)
    }

    /// Gives a directory its mode and time, when everything in it has been unpacked.
    pub(super) fn finish_folder(&mut self, path: &Path, mode: u32, times: Times) -> io::Result<()> {
        self.last = None;
        let Some((folder, name)) = self.existing_place(path)? else { return Ok(()) };
        chmodat(&folder, name, Mode::from_raw_mode(mode), AtFlags::empty())?;
        utimensat(&folder, name, &times.both(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    pub(super) fn place_file(
        &mut self,
        path: &Path,
        content: &mut impl Read,
        mode: u32,
        archived: (u32, u32),
        times: Times,
    ) -> io::Result<Placed> {
        if !self.make_way(path)? {
            return Ok(Placed::Skipped);
        }
        let owner = self.owner;
        let Some((folder, name)) = self.place(path)? else { return Ok(Placed::Skipped) };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(folder, name, flags, Mode::from_raw_mode(NEW_FILE))?);
        io::copy(content, &mut file)?;
        if let Some((uid, gid)) = ids(owner, archived) {
            fchown(&file, Some(uid), Some(gid))?;
        }
        fchmod(&file, Mode::from_raw_mode(mode))?;
        futimens(&file, &times.both())?;
        Ok(Placed::Done)
    }

    pub(super) fn place_symlink(
        &mut self,
        path: &Path,
        target: &Path,
        archived: (u32, u32),
        times: Times,
    ) -> io::Result<Placed> {
        if !self.make_way(path)? {
            return Ok(Placed::Skipped);
        }
        let owner = self.owner;
        let Some((folder, name)) = self.place(path)? else { return Ok(Placed::Skipped) };
        symlinkat(target, folder, name)?;
        give(owner, folder, name, archived)?;
        utimensat(folder, name, &times.both(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Placed::Done)
    }

    pub(super) fn place_hard_link(&mut self, path: &Path, target: &Path) -> io::Result<Placed> {
        let Some((from, original)) = self.existing_place(target)? else { return Ok(Placed::Skipped) };
        if !self.make_way(path)? {
            return Ok(Placed::Skipped);
        }
        let Some((folder, name)) = self.place(path)? else { return Ok(Placed::Skipped) };
        match linkat(&from, original, folder, name, AtFlags::empty()) {
            Ok(()) => Ok(Placed::Done),
            Err(Errno::NOENT) => Ok(Placed::Skipped),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what is in the place of something new. Returns whether the place is free.
    fn make_way(&mut self, path: &Path) -> io::Result<bool> {
        let missing = self.missing;
        let Some((folder, name)) = self.place(path)? else { return Ok(false) };
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::ISDIR) if missing == MissingFolders::Skip => Ok(false),
            // The directory's own path has no links below the root, as `place` has just found.
            Err(Errno::ISDIR) => {
                fs::remove_dir_all(self.path.join(path))?;
                self.last = None;
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the directory of a path, which is made if it is missing and may be; `None`: the entry is left out.
    fn place<'p>(&mut self, path: &'p Path) -> io::Result<Option<(&OwnedFd, &'p OsStr)>> {
        let Some(name) = path.file_name() else { return Ok(None) };
        let parent = path.parent().unwrap_or(Path::new(""));
        if self.last.as_ref().is_none_or(|(last, _)| last != parent) {
            let mut folder = self.root.try_clone()?;
            for part in parent.iter() {
                folder = match self.enter(&folder, part)? {
                    Some(inside) => inside,
                    None => return Ok(None),
                };
            }
            self.last = Some((parent.to_owned(), folder));
        }
        Ok(self.last.as_ref().map(|(_, folder)| (folder, name)))
    }

    fn enter(&self, folder: &OwnedFd, name: &OsStr) -> io::Result<Option<OwnedFd>> {
        match (open_folder(folder, name), self.missing) {
            (Ok(inside), _) => Ok(Some(inside)),
            (Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP), MissingFolders::Skip) => Ok(None),
            (Err(error @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP)), MissingFolders::Create) => {
                if error != Errno::NOENT {
                    unlinkat(folder, name, AtFlags::empty())?;
                }
                mkdirat(folder, name, Mode::from_raw_mode(NEW_FOLDER))?;
                if let Owner::Given(..) = self.owner {
                    give(self.owner, folder, name, (0, 0))?;
                }
                Ok(Some(open_folder(folder, name)?))
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Returns the directory of a path if it exists without links on the way.
    fn existing_place<'p>(&self, path: &'p Path) -> io::Result<Option<(OwnedFd, &'p OsStr)>> {
        let Some(name) = path.file_name() else { return Ok(None) };
        let mut folder = self.root.try_clone()?;
        for part in path.parent().unwrap_or(Path::new("")).iter() {
            folder = match open_folder(&folder, part) {
                Ok(inside) => inside,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
        }
        Ok(Some((folder, name)))
    }
}

fn ids(owner: Owner, archived: (u32, u32)) -> Option<(Uid, Gid)> {
    let (uid, gid) = match owner {
        Owner::Own => return None,
        Owner::Given(uid, gid) => (uid, gid),
        Owner::Archived => archived,
    };
    Some((Uid::from_raw(uid), Gid::from_raw(gid)))
}

fn give(owner: Owner, folder: &OwnedFd, name: &OsStr, archived: (u32, u32)) -> io::Result<()> {
    if let Some((uid, gid)) = ids(owner, archived) {
        chownat(folder.as_fd(), name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact() {
        let time = |text: &str| text.parse::<Times>().map(|time| (time.seconds, time.nanoseconds)).unwrap();
        assert_eq!(time("12"), (12, 0));
        assert_eq!(time("12.5"), (12, 500_000_000));
        assert_eq!(time("-0.5"), (-1, 500_000_000));
        assert_eq!(time("-1.75"), (-2, 250_000_000));
    }

    fn folder(path: &Path, missing: MissingFolders) -> Folder {
        Folder::open(path, None, missing).unwrap()
    }

    const NO_TIME: Times = Times { seconds: 0, nanoseconds: 0 };

    fn own() -> (u32, u32) {
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    }

    #[test]
    fn a_link_below_the_directory_is_never_followed() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.path().join("link")).unwrap();
        let mut skipping = folder(inside.path(), MissingFolders::Skip);
        let placed = skipping.place_file(Path::new("link/file"), &mut &b"x"[..], 0o644, own(), NO_TIME).unwrap();
        assert_eq!(placed, Placed::Skipped);
        assert!(!skipping.remove(Path::new("link/file"), false).unwrap());
        let mut creating = folder(inside.path(), MissingFolders::Create);
        let placed = creating.place_file(Path::new("link/file"), &mut &b"x"[..], 0o644, own(), NO_TIME).unwrap();
        assert_eq!(placed, Placed::Done);
        assert_eq!(fs::read(inside.path().join("link/file")).unwrap(), b"x");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_in_the_place_of_a_file_stays_if_a_step_made_it() {
        let inside = tempfile::tempdir().unwrap();
        fs::create_dir_all(inside.path().join("a/b")).unwrap();
        let mut skipping = folder(inside.path(), MissingFolders::Skip);
        let placed = skipping.place_file(Path::new("a"), &mut &b"x"[..], 0o644, own(), NO_TIME).unwrap();
        assert_eq!(placed, Placed::Skipped);
        assert!(!skipping.remove(Path::new("a"), false).unwrap());
        assert!(!skipping.remove(Path::new("a"), true).unwrap());
        let mut creating = folder(inside.path(), MissingFolders::Create);
        let placed = creating.place_file(Path::new("a"), &mut &b"x"[..], 0o644, own(), NO_TIME).unwrap();
        assert_eq!((placed, fs::read(inside.path().join("a")).unwrap()), (Placed::Done, b"x".to_vec()));
    }
}

//! Packs a file or a directory for the client.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, open, openat, readlinkat, statat};
use rustix::io::Errno;
use tar::Builder;

use super::files::{about, absolute, is_absent};
use super::jobs::{Cancelled, DataWriter, Job};
use super::tar_entry::{Content, append};
use crate::protocol::message::{Answer, Failure};

/// Each level keeps a directory open.
const DEEPEST: usize = 500;

pub(super) fn archive(job: &Job, path: &[u8]) -> Result<Answer, Failure> {
    let path = absolute(path);
    let (folder, name) = match place_of(&path) {
        Ok(place) => place,
        Err(error) if is_absent(&error) => return Ok(Answer::Absent),
        Err(error) => return Err(about(&path, &error)),
    };
    let mut packing = Packing { archive: Builder::new(job.writer()), hard_links: HashMap::new(), depth: 0 };
    let mut first = path.file_name().map_or_else(|| b".".to_vec(), |name| name.as_bytes().to_vec());
    match packing.add(folder.as_fd(), &name, &mut first) {
        Ok(true) => {}
        Ok(false) => return Ok(Answer::Absent),
        Err(_) if job.is_cancelled() => return Err(Cancelled.into()),
        Err(error) => return Err(about(&path, &error)),
    }
    packing.archive.into_inner().and_then(|mut writer| writer.flush()).map_err(|error| about(&path, &error))?;
    Ok(Answer::Done)
}

/// Returns the directory in which something is, and its name there. A link at the end of the path is not followed, unless a slash is after it.
fn place_of(path: &Path) -> io::Result<(OwnedFd, CString)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let bytes = path.as_os_str().as_bytes();
    let (folder, name) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !bytes.ends_with(b"/") && !bytes.ends_with(b"/.") => (parent, name.as_bytes()),
        _ => (path, b".".as_slice()),
    };
    Ok((open(folder, flags, Mode::empty())?, CString::new(name)?))
}

struct Packing {
    archive: Builder<DataWriter>,
    hard_links: HashMap<(u64, u64), Vec<u8>>,
    depth: usize,
}

impl Packing {
    /// Adds something and what is below it; returns whether it exists.
    fn add(&mut self, folder: BorrowedFd<'_>, name: &CString, path: &mut Vec<u8>) -> io::Result<bool> {
        let stat = match statat(folder, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let inode = (stat.st_dev, stat.st_ino);
        if kind != FileType::Directory
            && let Some(first) = self.hard_links.get(&inode)
        {
            append(&mut self.archive, path, &stat, &Content::HardLink(first), io::empty())?;
            return Ok(true);
        }
        match kind {
            FileType::Directory => {
                append(&mut self.archive, path, &stat, &Content::Folder, io::empty())?;
                return self.add_children(folder, name, path).map(|()| true);
            }
            FileType::Symlink => {
                let target = readlinkat(folder, name.as_c_str(), Vec::new())?;
                append(&mut self.archive, path, &stat, &Content::Symlink(target.to_bytes()), io::empty())?;
            }
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = match openat(folder, name.as_c_str(), flags, Mode::empty()) {
                    Ok(file) => file,
                    Err(Errno::NOENT) => return Ok(false),
                    Err(error) => return Err(error.into()),
                };
                let stat = fstat(&file)?;
                let content = Content::File { size: u64::try_from(stat.st_size).unwrap_or(0), capability: None };
                append(&mut self.archive, path, &stat, &content, File::from(file))?;
            }
            // No artifact.
            FileType::Fifo
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Socket
            | FileType::Unknown => {
                return Ok(true);
            }
        }
        if stat.st_nlink > 1 {
            self.hard_links.insert(inode, path.clone());
        }
        Ok(true)
    }

    fn add_children(&mut self, folder: BorrowedFd<'_>, name: &CString, path: &mut Vec<u8>) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inside = match openat(folder, name.as_c_str(), flags, Mode::empty()) {
            Ok(inside) => inside,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if self.depth == DEEPEST {
            return Err(io::Error::other("it is too deep"));
        }
        let mut names = Vec::new();
        for entry in Dir::read_from(&inside)? {
            let name = entry?.file_name().to_owned();
            if name.as_c_str() != c"." && name.as_c_str() != c".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        self.depth += 1;
        let above = path.len();
        for name in names {
            path.push(b'/');
            path.extend_from_slice(name.to_bytes());
            self.add(inside.as_fd(), &name, path)?;
            path.truncate(above);
        }
        self.depth -= 1;
        Ok(())
    }
}

//! Writes what differs as the layer of an image: what is new or changed, with the directories above it, and a whiteout for what is gone.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{FileType, Mode, OFlags, Stat, fgetxattr, fstat, openat, readlinkat};
use rustix::io::Errno;
use tar::Builder;

use super::tar_entry::{Content, append};
use super::walk::{Found, Sink};

/// What makes an entry of a layer remove what lower layers have at its path.
const WHITEOUT: &[u8] = b".wh.";

/// Larger than any file capability.
const CAPABILITY_BYTES: usize = 64;

pub(super) struct LayerWriter<W: Write> {
    archive: Builder<W>,
    /// The directories around the current place, outermost first.
    folders: Vec<Folder>,
    /// The first path of each file with several.
    hard_links: HashMap<(u64, u64), Vec<u8>>,
    entries: u64,
    is_cancelled: Box<dyn Fn() -> bool + Send>,
}

struct Folder {
    path: Vec<u8>,
    stat: Stat,
    is_written: bool,
}

impl<W: Write> LayerWriter<W> {
    pub(super) fn new(writer: W, is_cancelled: impl Fn() -> bool + Send + 'static) -> Self {
        let is_cancelled = Box::new(is_cancelled);
        Self {
            archive: Builder::new(writer),
            folders: Vec::new(),
            hard_links: HashMap::new(),
            entries: 0,
            is_cancelled,
        }
    }

    /// Ends the archive; returns the number of entries.
    pub(super) fn finish(self) -> io::Result<(W, u64)> {
        Ok((self.archive.into_inner()?, self.entries))
    }

    /// Without its directories, an entry would get some with other properties.
    fn write_folders(&mut self) -> io::Result<()> {
        if (self.is_cancelled)() {
            return Err(super::jobs::Cancelled.into());
        }
        for folder in self.folders.iter_mut().filter(|folder| !folder.is_written) {
            append(&mut self.archive, &folder.path, &folder.stat, &Content::Folder, io::empty())?;
            folder.is_written = true;
            self.entries += 1;
        }
        Ok(())
    }

    fn write(&mut self, path: &[u8], stat: &Stat, content: &Content<'_>) -> io::Result<bool> {
        self.write_folders()?;
        append(&mut self.archive, path, stat, content, io::empty())?;
        self.entries += 1;
        Ok(true)
    }

    fn write_file(&mut self, found: &Found<'_>) -> io::Result<bool> {
        let about = |error: Errno| {
            let error = io::Error::from(error);
            let path = String::from_utf8_lossy(found.path);
            io::Error::new(error.kind(), format!("`/{path}` cannot be read: {error}"))
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(found.folder, found.name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(false),
            Err(error) => return Err(about(error)),
        };
        // Of the open file: another one may have taken its place.
        let stat = fstat(&file).map_err(about)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(false);
        }
        let mut capability = vec![0; CAPABILITY_BYTES];
        let capability = fgetxattr(&file, "security.capability", capability.as_mut_slice()).ok().map(|size| {
            capability.truncate(size);
            capability
        });
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.write_folders()?;
        append(&mut self.archive, found.path, &stat, &Content::File { size, capability }, File::from(file))?;
        self.entries += 1;
        Ok(true)
    }
}

impl<W: Write> Sink for LayerWriter<W> {
    fn enter(&mut self, folder: &Found<'_>, is_changed: bool) -> io::Result<()> {
        self.folders.push(Folder { path: folder.path.to_vec(), stat: *folder.stat, is_written: false });
        if is_changed { self.write_folders() } else { Ok(()) }
    }

    fn leave(&mut self) {
        self.folders.pop();
    }

    fn changed(&mut self, found: &Found<'_>) -> io::Result<bool> {
        // A layer cannot contain it: it would remove something instead.
        if found.name.to_bytes().starts_with(WHITEOUT) {
            return Ok(true);
        }
        let inode = (found.stat.st_dev, found.stat.st_ino);
        let has_several = found.stat.st_nlink > 1;
        if has_several && let Some(first) = self.hard_links.get(&inode) {
            let first = first.clone();
            return self.write(found.path, found.stat, &Content::HardLink(&first));
        }
        let is_there = match found.kind() {
            FileType::RegularFile => self.write_file(found)?,
            FileType::Symlink => match readlinkat(found.folder, found.name, Vec::new()) {
                Ok(target) => self.write(found.path, found.stat, &Content::Symlink(target.to_bytes()))?,
                Err(Errno::NOENT | Errno::INVAL) => false,
                Err(error) => return Err(error.into()),
            },
            kind @ (FileType::BlockDevice | FileType::CharacterDevice | FileType::Fifo) => {
                self.write(found.path, found.stat, &Content::Special(kind))?
            }
            // A socket without its process is nothing.
            FileType::Socket | FileType::Directory | FileType::Unknown => return Ok(true),
        };
        if is_there && has_several {
            self.hard_links.insert(inode, found.path.to_vec());
        }
        Ok(is_there)
    }

    fn gone(&mut self, path: &[u8]) -> io::Result<()> {
        let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => path.split_at(slash + 1),
            None => (&[][..], path),
        };
        if name.starts_with(WHITEOUT) {
            return Ok(());
        }
        self.write_folders()?;
        let path = [folder, WHITEOUT, name].concat();
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o600);
        super::tar_entry::append_empty(&mut self.archive, &path, header)?;
        self.entries += 1;
        Ok(())
    }
}

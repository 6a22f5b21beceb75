//! One entry of an archive, with everything that the plain format cannot hold in PAX records.

use std::io::{self, Read, Write};

use rustix::fs::{FileType, Stat};
use tar::{Builder, EntryType, Header};

/// Where the plain format ends.
const LONGEST_PATH_BYTES: usize = 100;
const LARGEST_ID: u32 = 0o7_777_777;
const LARGEST_SIZE: u64 = 0o77_777_777_777;

/// What an entry is besides its properties.
#[derive(Debug)]
pub(super) enum Content<'a> {
    File {
        size: u64,
        capability: Option<Vec<u8>>,
    },
    Folder,
    Symlink(&'a [u8]),
    /// Another name of a file that is in the archive already.
    HardLink(&'a [u8]),
    /// A device or a pipe.
    Special(FileType),
}

/// Appends an entry; exactly its size is read from `data`, and what is missing there is filled with zeros.
pub(super) fn append(
    archive: &mut Builder<impl Write>,
    path: &[u8],
    stat: &Stat,
    content: &Content<'_>,
    data: impl Read,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    let mut records: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut path = path.to_vec();
    let (kind, size, link) = match content {
        Content::File { size, .. } => (EntryType::Regular, *size, None),
        Content::Folder => {
            path.push(b'/');
            (EntryType::Directory, 0, None)
        }
        Content::Symlink(target) => (EntryType::Symlink, 0, Some(*target)),
        Content::HardLink(target) => (EntryType::Link, 0, Some(*target)),
        Content::Special(FileType::BlockDevice) => (EntryType::Block, 0, None),
        Content::Special(FileType::CharacterDevice) => (EntryType::Char, 0, None),
        Content::Special(_) => (EntryType::Fifo, 0, None),
    };
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_size(size.min(LARGEST_SIZE));
    if size > LARGEST_SIZE {
        records.push(("size", size.to_string().into_bytes()));
    }
    for (name, id) in [("uid", stat.st_uid), ("gid", stat.st_gid)] {
        let plain = u64::from(id.min(LARGEST_ID));
        if name == "uid" {
            header.set_uid(plain)
        } else {
            header.set_gid(plain)
        }
        if id > LARGEST_ID {
            records.push((name, id.to_string().into_bytes()));
        }
    }
    let modified = stat.st_mtime;
    header.set_mtime(u64::try_from(modified).unwrap_or(0).min(LARGEST_SIZE));
    let nanoseconds = stat.st_mtime_nsec;
    if nanoseconds != 0 || modified < 0 {
        records.push(("mtime", decimal(modified, nanoseconds).into_bytes()));
    }
    if let Content::Special(FileType::BlockDevice | FileType::CharacterDevice) = content {
        header.set_device_major(rustix::fs::major(stat.st_rdev))?;
        header.set_device_minor(rustix::fs::minor(stat.st_rdev))?;
    }
    if let Content::File { capability: Some(capability), .. } = content {
        records.push(("SCHILY.xattr.security.capability", capability.clone()));
    }
    if let Some(ustar) = header.as_ustar_mut() {
        put(&mut ustar.name, "path", &path, &mut records);
        if let Some(link) = link {
            put(&mut ustar.linkname, "linkpath", link, &mut records);
        }
    }
    header.set_cksum();
    if !records.is_empty() {
        archive.append_pax_extensions(records.iter().map(|(name, value)| (*name, value.as_slice())))?;
    }
    archive.append(&header, data.take(size).chain(io::repeat(0)).take(size))
}

/// Appends an entry without properties of its own.
pub(super) fn append_empty(archive: &mut Builder<impl Write>, path: &[u8], mut header: Header) -> io::Result<()> {
    let mut records = Vec::new();
    if let Some(ustar) = header.as_ustar_mut() {
        put(&mut ustar.name, "path", path, &mut records);
    }
    header.set_size(0);
    header.set_cksum();
    if !records.is_empty() {
        archive.append_pax_extensions(records.iter().map(|(name, value)| (*name, value.as_slice())))?;
    }
    archive.append(&header, io::empty())
}

/// Puts a path into its field, and into a record if it does not fit.
fn put(field: &mut [u8; LONGEST_PATH_BYTES], record: &'static str, path: &[u8], records: &mut Vec<(&str, Vec<u8>)>) {
    field.iter_mut().zip(path).for_each(|(place, byte)| *place = *byte);
    if path.len() > LONGEST_PATH_BYTES {
        records.push((record, path.to_vec()));
    }
}

/// Seconds since 1970, with a fraction. The kernel counts the fraction upwards, also before 1970.
fn decimal(seconds: i64, nanoseconds: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let (sign, seconds, nanoseconds) = match (seconds < 0, nanoseconds) {
        (true, 0) => ("-", seconds.unsigned_abs(), 0),
        (true, fraction) => ("-", seconds.unsigned_abs() - 1, SECOND.saturating_sub(fraction)),
        (false, fraction) => ("", seconds.unsigned_abs(), fraction),
    };
    format!("{sign}{seconds}.{nanoseconds:09}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_exact() {
        assert_eq!(decimal(1, 5), "1.000000005");
        assert_eq!(decimal(-1, 0), "-1.000000000");
        assert_eq!(decimal(-1, 500_000_000), "-0.500000000");
        assert_eq!(decimal(-2, 250_000_000), "-1.750000000");
    }
}

//! Copies files so that holes stay holes. Knows no archives and no steps.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};

/// The block size of file systems: smaller holes save nothing.
const BLOCK_BYTES: usize = 4096;
const CHUNK_BYTES: usize = 64 * BLOCK_BYTES;

/// Why a copy ended early.
#[derive(Debug)]
pub(crate) enum Stopped<F> {
    Failed(io::Error),
    /// There was no space left; with the reason from `room`.
    NoRoom(F),
}

impl<F> From<io::Error> for Stopped<F> {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Copies a reader's data to a new file; blocks of zeros become holes. `room` is called to reserve space before bytes are written.
/// Returns the number of bytes that are not holes.
pub(crate) fn copy<F>(
    content: &mut impl Read,
    target: &mut File,
    mut room: impl FnMut(u64) -> Result<(), F>,
) -> Result<u64, Stopped<F>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut written = 0;
    loop {
        let length = fill(content, &mut chunk)?;
        let Some(filled) = chunk.get(..length).filter(|filled| !filled.is_empty()) else { break };
        for block in filled.chunks(BLOCK_BYTES) {
            if block.iter().all(|byte| *byte == 0) {
                let bytes = i64::try_from(block.len()).unwrap_or(i64::MAX);
                target.seek(SeekFrom::Current(bytes))?;
            } else {
                room(block.len() as u64).map_err(Stopped::NoRoom)?;
                target.write_all(block)?;
                written += block.len() as u64;
            }
        }
    }
    // A hole at the end is part of the file.
    let end = target.stream_position()?;
    target.set_len(end.max(target.metadata()?.len()))?;
    Ok(written)
}

/// Copies a file; known holes are not even read.
pub(crate) fn copy_file<F>(
    from: &mut File,
    target: &mut File,
    mut room: impl FnMut(u64) -> Result<(), F>,
) -> Result<u64, Stopped<F>> {
    let length = from.metadata()?.len();
    let mut written = 0;
    let mut at = 0;
    while at < length {
        let Some(data) = next_data(from, at, length)? else { break };
        from.seek(SeekFrom::Start(data.start))?;
        target.seek(SeekFrom::Start(data.start))?;
        written += copy(&mut from.take(data.end - data.start), target, &mut room)?;
        at = data.end;
    }
    target.set_len(length)?;
    Ok(written)
}

#[cfg(target_os = "linux")]
fn next_data(file: &File, at: u64, length: u64) -> io::Result<Option<std::ops::Range<u64>>> {
    use rustix::io::Errno;

    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
        Ok(start) => {
            let end = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(start)).unwrap_or(length);
            Ok((start < length).then(|| start..end.min(length)))
        }
        // The file is one hole.
        Err(Errno::NXIO) => Ok(None),
        // The file system does not report holes.
        Err(Errno::INVAL) => Ok(Some(at..length)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn next_data(_file: &File, at: u64, length: u64) -> io::Result<Option<std::ops::Range<u64>>> {
    Ok(Some(at..length))
}

/// Reads until the buffer is full or the data ends.
fn fill(content: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match content.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMIT: fn(u64) -> Result<(), ()> = |_| Ok(());

    #[test]
    fn content_survives_with_holes_anywhere() {
        let mut content = vec![0; 3 * CHUNK_BYTES + 100];
        content[BLOCK_BYTES + 1] = 1;
        content[2 * CHUNK_BYTES - 1] = 2;
        for end in [0, 1, BLOCK_BYTES, BLOCK_BYTES + 2, CHUNK_BYTES, content.len()] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            let written = copy(&mut &content[..end], &mut File::create(&path).unwrap(), NO_LIMIT).unwrap();
            assert!(std::fs::read(&path).unwrap() == content[..end], "{end}");
            assert!(written <= 2 * BLOCK_BYTES as u64, "{written}");
            let again = folder.path().join("again");
            copy_file(&mut File::open(&path).unwrap(), &mut File::create(&again).unwrap(), NO_LIMIT).unwrap();
            assert!(std::fs::read(&again).unwrap() == content[..end], "{end}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_hole_of_any_size_costs_nothing() {
        use std::os::unix::fs::MetadataExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = File::create(&path).unwrap();
        // Larger than any disk, and more than a test could read.
        file.set_len(1 << 42).unwrap();
        file.seek(SeekFrom::Start(1 << 41)).unwrap();
        file.write_all(b"in the middle").unwrap();
        let target = folder.path().join("target");
        let mut asked = 0;
        let room = |bytes: u64| {
            asked += bytes;
            Ok::<_, ()>(())
        };
        copy_file(&mut File::open(&path).unwrap(), &mut File::create(&target).unwrap(), room).unwrap();
        let metadata = target.metadata().unwrap();
        assert_eq!(metadata.len(), 1 << 42);
        assert!(metadata.blocks() * 512 <= 1 << 20 && asked <= 1 << 16, "{} blocks, {asked}", metadata.blocks());
    }

    #[test]
    fn a_copy_ends_when_there_is_no_space_left() {
        let folder = tempfile::tempdir().unwrap();
        let content = vec![1; 2 * BLOCK_BYTES];
        let mut left = BLOCK_BYTES as u64;
        let room = |bytes: u64| match left.checked_sub(bytes) {
            Some(rest) => {
                left = rest;
                Ok(())
            }
            None => Err("full"),
        };
        let copied = copy(&mut content.as_slice(), &mut File::create(folder.path().join("file")).unwrap(), room);
        assert!(matches!(copied, Err(Stopped::NoRoom("full"))));
    }
}

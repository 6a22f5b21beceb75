//! The sources as a tar stream that is never held in memory as a whole. Knows nothing about engines.

use std::fs::Metadata;
use std::io::{self, BufWriter, Read as _, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::Stream;
use parking_lot::Mutex;
use tar::{Builder, EntryType, Header, HeaderMode};
use tokio::sync::mpsc;

use crate::sources::{EntryKind, Sources};

/// The size of one chunk of the stream; a few chunks may be queued.
const CHUNK_BYTES: usize = 256 * 1024;
const CHUNKS_IN_FLIGHT: usize = 4;

/// How the entries of an archive look when it is unpacked.
#[derive(Debug, Clone)]
pub(crate) struct Packing {
    /// The name of the root directory; if empty, the entries are unpacked directly into the target.
    pub(crate) folder: String,
    pub(crate) user_id: u64,
    pub(crate) group_id: u64,
    pub(crate) is_compressed: bool,
    /// The modification time of every entry, in seconds since 1970; `None`: the one it has in the project.
    pub(crate) modified: Option<u64>,
}

/// Why a stream ended early. The engine's answer to a truncated archive does not say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<io::Error>>>);

impl Failure {
    pub(crate) fn take(&self) -> Option<io::Error> {
        self.0.lock().take()
    }
}

/// Packs the sources while the stream is read. An unreadable file ends it with an error that names the file.
pub(crate) fn stream(
    sources: Arc<Sources>,
    packing: Packing,
) -> (impl Stream<Item = io::Result<Bytes>> + Send, Failure) {
    let (tx, rx) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let failure = Failure::default();
    let slot = failure.clone();
    // Ends when the stream is dropped, because it can no longer send; a stream that is read to its end waits for it.
    let packing = tokio::task::spawn_blocking(move || {
        let writer = BufWriter::with_capacity(CHUNK_BYTES, ChunkWriter(tx.clone()));
        match pack(&sources, &packing, writer) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => {
                *slot.0.lock() = Some(error);
                tx.blocking_send(Err(io::Error::other("the sources could not be read"))).ok();
            }
        }
    });
    let stream = futures_util::stream::unfold((rx, packing), |(mut rx, packing)| async move {
        match rx.recv().await {
            Some(chunk) => Some((chunk, (rx, packing))),
            None => {
                packing.await.ok();
                None
            }
        }
    });
    (stream, failure)
}

pub(crate) fn pack(sources: &Sources, packing: &Packing, writer: impl Write) -> io::Result<()> {
    if packing.is_compressed {
        let mut encoder = GzEncoder::new(writer, Compression::fast());
        write_entries(sources, packing, &mut encoder)?;
        encoder.finish()?.flush()
    } else {
        let mut writer = writer;
        write_entries(sources, packing, &mut writer)?;
        writer.flush()
    }
}

fn write_entries(sources: &Sources, packing: &Packing, writer: impl Write) -> io::Result<()> {
    let mut archive = Builder::new(writer);
    if !packing.folder.is_empty() {
        write_entry(&mut archive, packing, sources, Path::new(""), Path::new(&packing.folder), EntryKind::Folder)?;
    }
    for entry in &sources.entries {
        let name = Path::new(&packing.folder).join(&entry.path);
        let sent = write_entry(&mut archive, packing, sources, &entry.path, &name, entry.kind)?;
        sources.sent(entry, sent.as_ref());
    }
    archive.finish()
}

/// Returns the state in which the entry was sent; `None`: it no longer exists.
fn write_entry(
    archive: &mut Builder<impl Write>,
    packing: &Packing,
    sources: &Sources,
    path: &Path,
    name: &Path,
    kind: EntryKind,
) -> io::Result<Option<Metadata>> {
    let (in_project, path) = (path, sources.root.join(path));
    let about = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()));
    let header_of = |metadata: &Metadata, kind: EntryType, size: u64| {
        let mut header = Header::new_gnu();
        header.set_metadata_in_mode(metadata, HeaderMode::Complete);
        header.set_uid(packing.user_id);
        header.set_gid(packing.group_id);
        // No engine keeps a date before 1970.
        header.set_mtime(packing.modified.unwrap_or_else(|| modified_seconds(metadata)));
        header.set_entry_type(kind);
        header.set_size(size);
        header
    };
    // Removed since the run began: the project may change at any time.
    let unless_removed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(None),
        _ => Err(about(error)),
    };
    match kind {
        EntryKind::Folder | EntryKind::Symlink => {
            let metadata = match path.symlink_metadata() {
                Ok(metadata) => metadata,
                Err(error) => return unless_removed(error),
            };
            if kind == EntryKind::Folder {
                archive.append_data(&mut header_of(&metadata, EntryType::Directory, 0), name, io::empty())?;
            } else {
                let target = match sources.read_link(in_project) {
                    Ok(target) => target,
                    Err(error) => return unless_removed(error),
                };
                archive.append_link(&mut header_of(&metadata, EntryType::Symlink, 0), name, target)?;
            }
            Ok(Some(metadata))
        }
        EntryKind::File => {
            let file = match sources.open(in_project) {
                Ok(file) => file,
                Err(error) => return unless_removed(error),
            };
            // Of the open file, because another one may take its place at any time.
            let metadata = file.metadata().map_err(about)?;
            let size = metadata.len();
            // The header contains the size, so a file that is written to meanwhile is truncated or padded to it.
            let content = (&file).take(size).chain(io::repeat(0)).take(size);
            archive.append_data(&mut header_of(&metadata, EntryType::Regular, size), name, content).map_err(about)?;
            // Again, because it may have been written to meanwhile.
            file.metadata().map(Some).map_err(about)
        }
    }
}

fn modified_seconds(metadata: &Metadata) -> u64 {
    let since = metadata.modified().ok().and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

/// Hands chunks to the stream, and waits while the queue is full.
struct ChunkWriter(mpsc::Sender<io::Result<Bytes>>);

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(chunk)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio_util::sync::CancellationToken;

    use super::*;

    #[test]
    fn a_file_that_is_replaced_while_it_is_packed_is_one_of_the_two() {
        let folder = tempfile::tempdir().unwrap();
        let (file, draft) = (folder.path().join("project/file"), folder.path().join("draft"));
        fs::create_dir(folder.path().join("project")).unwrap();
        fs::write(&file, "short").unwrap();
        let sources = Sources::scan(&folder.path().join("project"), &CancellationToken::new()).unwrap();
        let packing = Packing { folder: String::new(), user_id: 0, group_id: 0, is_compressed: false, modified: None };
        let replaced = || {
            for text in ["rather long", "short"].iter().cycle().take(1_000) {
                fs::write(&draft, text).unwrap();
                fs::rename(&draft, &file).unwrap();
            }
        };
        std::thread::scope(|threads| {
            let replacing = threads.spawn(replaced);
            while !replacing.is_finished() {
                let mut packed = Vec::new();
                pack(&sources, &packing, &mut packed).unwrap();
                let mut text = String::new();
                let mut archive = tar::Archive::new(packed.as_slice());
                archive.entries().unwrap().next().unwrap().unwrap().read_to_string(&mut text).unwrap();
                assert!(["rather long", "short"].contains(&text.as_str()), "{text:?}");
            }
        });
    }
}

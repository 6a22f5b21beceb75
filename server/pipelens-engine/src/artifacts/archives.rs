//! Copies a step's artifacts out of archives of its files, as engines and agents make them.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;

use crate::artifacts::taking::Taking;
use crate::artifacts::{Artifacts, StreamedBytes, Taken};
use crate::blocking;
use crate::error::EngineError;

/// How many chunks of an archive may be queued for the disk.
const CHUNKS: usize = 16;

/// Where the archives come from.
pub(crate) trait ArchiveSource {
    /// Returns an archive of something in a container; nothing if it does not exist.
    fn archive(&self, path: String) -> BoxStream<'_, Result<Bytes, EngineError>>;
}

/// Copies the artifacts of a step. Needs no program in the image.
pub(crate) async fn take(
    source: &(impl ArchiveSource + Sync),
    artifacts: &Artifacts,
    workdir: &str,
) -> Result<Taken, EngineError> {
    let mut taking = Taking::new(artifacts.clone(), vec![workdir.into()]);
    for place in artifacts.places() {
        let own_place = place.clone();
        let take = move |taking: &mut Taking, archive: StreamedBytes| taking.take_from_archive(&own_place, archive);
        taking = read(source, workdir, place, taking, take).await?;
    }
    taking.follow_links();
    while let Some(original) = taking.next_original() {
        let place = original.path.to_string_lossy().into_owned();
        let take =
            move |taking: &mut Taking, archive: StreamedBytes| taking.take_original_from_archive(original, archive);
        taking = read(source, workdir, place, taking, take).await?;
    }
    blocking::run(move |_| taking.finish()).await.flatten().map_err(|error| not_written(workdir, error))
}

/// Reads an archive of something in the working directory.
async fn read(
    source: &(impl ArchiveSource + Sync),
    workdir: &str,
    place: String,
    mut taking: Taking,
    take: impl FnOnce(&mut Taking, StreamedBytes) -> io::Result<()> + Send + 'static,
) -> Result<Taking, EngineError> {
    let path = if place.is_empty() { workdir.to_owned() } else { format!("{workdir}/{place}") };
    let mut stream = source.archive(path);
    let (tx, chunks) = mpsc::channel(CHUNKS);
    let unpacking = tokio::task::spawn_blocking(move || {
        take(&mut taking, StreamedBytes { chunks, rest: Bytes::new() }).map(|()| taking)
    });
    let mut broken = None;
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => {
                if tx.send(Ok(chunk)).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                tx.send(Err(io::Error::other("the connection was interrupted"))).await.ok();
                broken = Some(error);
                break;
            }
        }
    }
    // The task ends when its input ends.
    drop(tx);
    let unpacked = unpacking.await.unwrap_or_else(|panic| Err(io::Error::other(panic.to_string())));
    match broken {
        Some(error) => Err(error),
        None => unpacked.map_err(|error| not_written(place, error)),
    }
}

fn not_written(path: impl Into<PathBuf>, source: io::Error) -> EngineError {
    EngineError::File { doing: "Writing the artifacts", path: path.into(), source }
}

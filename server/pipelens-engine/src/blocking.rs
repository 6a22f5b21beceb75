//! Work that blocks a thread: files, SQLite.

use std::io;

use tokio_util::sync::CancellationToken;

/// Runs work on a thread that may block, and waits for it. If the caller stops waiting, the token passed to the work is cancelled, and the work
/// should end soon. Fails only if the work panics.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
) -> io::Result<T> {
    let stop = CancellationToken::new();
    let _cancel_if_dropped = stop.clone().drop_guard();
    tokio::task::spawn_blocking(move || work(&stop)).await.map_err(io::Error::other)
}

//! A requested stop, as opposed to work that failed by itself.

use tokio_util::sync::CancellationToken;

use crate::error::EngineError;

/// The work was interrupted, or never begun, because a stop was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

/// Why work that can be stopped has no result.
#[derive(Debug)]
pub(crate) enum Interruption {
    Stopped,
    Failed(EngineError),
}

impl From<Stopped> for Interruption {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<EngineError> for Interruption {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

/// Fails once a stop is requested. For work on a thread that may block, which checks for a stop from time to time.
pub(crate) fn check(stop: &CancellationToken) -> Result<(), Stopped> {
    if stop.is_cancelled() { Err(Stopped) } else { Ok(()) }
}

/// Waits for `work`, but no longer than until a stop is requested.
pub(crate) async fn unless_stopped<T, E: Into<Interruption>>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Interruption> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Interruption::Stopped),
        result = work => result.map_err(Into::into),
    }
}

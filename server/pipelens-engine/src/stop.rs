//! A stop that was asked for, as opposed to work that failed by itself.

use tokio_util::sync::CancellationToken;

use crate::error::EngineError;

/// The work was cut short, or never begun, because a stop was asked for.
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

/// Fails once a stop is asked for. For work that looks up now and then, on a thread that may block.
pub(crate) fn check(stop: &CancellationToken) -> Result<(), Stopped> {
    if stop.is_cancelled() { Err(Stopped) } else { Ok(()) }
}

/// Waits for `work`, but no longer than until a stop is asked for.
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

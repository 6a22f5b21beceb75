//! Repeats calls while what they need is away for a moment: an API server that is updated, a registry behind a proxy that reloads.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::error::EngineError;

/// How long something may be away until that is an error.
const AWAY_WITHIN: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// An error that another attempt may not meet again.
pub(super) trait Passing {
    fn may_pass(&self) -> bool;
}

impl Passing for EngineError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Registry { is_away, .. } => *is_away,
            Self::PullFailed { .. } => true,
            _ => false,
        }
    }
}

impl Passing for kube::Error {
    fn may_pass(&self) -> bool {
        match self {
            // A server that starts or is overloaded.
            Self::Api(status) => matches!(status.code, 429 | 500 | 502..=504),
            Self::HyperError(_) | Self::Service(_) => true,
            _ => false,
        }
    }
}

/// Calls until there is an answer, an error that will not pass, or no more time.
pub(super) async fn persistently<'f, T, E: Passing>(call: impl FnMut() -> BoxFuture<'f, Result<T, E>>) -> Result<T, E> {
    within(AWAY_WITHIN, FIRST_PAUSE, call).await
}

async fn within<'f, T, E: Passing>(
    limit: Duration,
    mut pause: Duration,
    mut call: impl FnMut() -> BoxFuture<'f, Result<T, E>>,
) -> Result<T, E> {
    let give_up = Instant::now() + limit;
    loop {
        match call().await {
            Err(error) if error.may_pass() && Instant::now() + pause < give_up => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn away(is_away: bool) -> EngineError {
        EngineError::Registry { doing: "answer".to_owned(), reason: "it is away".to_owned(), is_away }
    }

    /// Returns the result of a call that fails `failures` times, and how often it was made.
    async fn called(limit: Duration, failures: usize, is_away: bool) -> (Result<usize, EngineError>, usize) {
        let mut calls = 0;
        let result = within(limit, Duration::from_millis(1), || {
            calls += 1;
            let result = if calls > failures { Ok(calls) } else { Err(away(is_away)) };
            async move { result }.boxed()
        });
        let result = result.await;
        (result, calls)
    }

    #[tokio::test]
    async fn what_is_away_for_a_moment_is_waited_for() {
        assert!(matches!(called(Duration::from_secs(3600), 5, true).await, (Ok(6), 6)));
    }

    #[tokio::test]
    async fn what_stays_away_is_an_error_and_so_is_a_refusal_at_once() {
        assert!(matches!(called(Duration::from_millis(50), usize::MAX, true).await, (Err(_), 2..)));
        assert!(matches!(called(Duration::from_secs(3600), usize::MAX, false).await, (Err(_), 1)));
    }
}

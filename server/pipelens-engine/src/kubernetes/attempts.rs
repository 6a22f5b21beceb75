//! Repeats calls while what they need is away for a moment: an API server that is updated, a registry behind a proxy that reloads.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::error::EngineError;

/// How long something may be away until that is an error.
pub(super) const AWAY_WITHIN: Duration = Duration::from_secs(30);
/// How long an API server that starts may refuse what it allows as soon as it has read its roles.
pub(super) const STARTS_WITHIN: Duration = Duration::from_secs(6);
/// A login that was refused may be renewed for the next attempt.
const RENEWED_WITHIN: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// An error that another attempt may not meet again.
pub(super) trait Passing {
    /// Returns how long it is worth to try again; `None`: another attempt would meet it again.
    fn passes_within(&self) -> Option<Duration>;
}

impl Passing for EngineError {
    fn passes_within(&self) -> Option<Duration> {
        match self {
            Self::Registry { is_away: true, .. } | Self::PullFailed { .. } => Some(AWAY_WITHIN),
            _ => None,
        }
    }
}

impl Passing for kube::Error {
    fn passes_within(&self) -> Option<Duration> {
        match self {
            Self::Api(status) => match status.code {
                // A server that starts or is overloaded.
                429 | 500 | 502..=504 => Some(AWAY_WITHIN),
                401 => Some(RENEWED_WITHIN),
                403 => Some(STARTS_WITHIN),
                _ => None,
            },
            Self::HyperError(_) | Self::Service(_) => Some(AWAY_WITHIN),
            _ => None,
        }
    }
}

/// Calls until there is an answer, an error that will not pass, or no more time.
pub(super) async fn persistently<'f, T, E: Passing>(
    mut call: impl FnMut() -> BoxFuture<'f, Result<T, E>>,
) -> Result<T, E> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match call().await {
            Err(error) if error.passes_within().is_some_and(|limit| began.elapsed() + pause < limit) => {
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

    /// An error that passes within so long.
    #[derive(Debug)]
    struct Away(Option<Duration>);

    impl Passing for Away {
        fn passes_within(&self) -> Option<Duration> {
            self.0
        }
    }

    /// Returns the result of a call that fails `failures` times, and how often it was made.
    async fn called(failures: usize, limit: Option<Duration>) -> (Result<usize, Away>, usize) {
        let mut calls = 0;
        let result = persistently(|| {
            calls += 1;
            let result = if calls > failures { Ok(calls) } else { Err(Away(limit)) };
            async move { result }.boxed()
        });
        let result = result.await;
        (result, calls)
    }

    #[tokio::test]
    async fn what_is_away_for_a_moment_is_waited_for() {
        assert!(matches!(called(1, Some(Duration::from_secs(3600))).await, (Ok(2), 2)));
    }

    #[tokio::test]
    async fn what_stays_away_is_an_error_and_so_is_a_refusal_at_once() {
        assert!(matches!(called(usize::MAX, Some(FIRST_PAUSE * 2)).await, (Err(_), 2..)));
        assert!(matches!(called(usize::MAX, None).await, (Err(_), 1)));
    }
}

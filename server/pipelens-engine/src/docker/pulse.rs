//! Whether the engine still lives. Knows no containers and no images.

use std::time::Duration;

use bollard::Docker;

use crate::docker::{reason, refused};
use crate::error::EngineError;

/// How long the engine may take to answer before it counts as lost.
pub(super) const PULSE_ANSWER_WITHIN: Duration = Duration::from_secs(60);
pub(super) const PULSE: Pulse = Pulse { every: Duration::from_secs(5), answer_within: PULSE_ANSWER_WITHIN };

/// How often the engine is asked whether it still lives, and how long it is waited for.
#[derive(Clone, Copy)]
pub(super) struct Pulse {
    every: Duration,
    answer_within: Duration,
}

/// Ends when the engine no longer answers. A connection to another machine may break without a sign.
pub(super) async fn lost(docker: &Docker, pulse: Pulse) -> EngineError {
    loop {
        tokio::time::sleep(pulse.every).await;
        match tokio::time::timeout(pulse.answer_within, docker.ping()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return EngineError::Lost { reason: reason(&error) },
            Err(_) => return no_answer_within(pulse.answer_within),
        }
    }
}

/// Waits for a call that is quick by nature. It is not interrupted by a stop, so an engine that hangs must not hold it.
pub(super) async fn answered<T>(
    doing: &'static str,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(PULSE_ANSWER_WITHIN, call).await {
        Ok(result) => result.map_err(|error| refused(doing, &error)),
        Err(_) => Err(no_answer()),
    }
}

pub(super) fn no_answer() -> EngineError {
    no_answer_within(PULSE_ANSWER_WITHIN)
}

fn no_answer_within(time: Duration) -> EngineError {
    EngineError::Lost { reason: format!("it has not answered for {} s", time.as_secs_f32()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_engine_whose_connection_breaks_without_a_sign_is_lost() {
        // Takes connections and never answers, as a machine does that is no longer there behind a router that is.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("tcp://{}", listener.local_addr().unwrap());
        let docker = Docker::connect_with_http(&host, 1_000, bollard::API_DEFAULT_VERSION).unwrap();
        let pulse = Pulse { every: Duration::from_millis(1), answer_within: Duration::from_millis(500) };
        let lost = lost(&docker, pulse).await;
        assert_eq!(lost.to_string(), "The container engine went away: it has not answered for 0.5 s.");
    }
}

//! The messages of errors from the engine's client and its configuration.

use bollard::errors::Error;

use crate::error::{EngineError, with_causes};

/// Why something the user has configured (an address, a credential helper) cannot be used. Used as the end of a sentence.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unusable(pub(super) String);

impl From<&str> for Unusable {
    fn from(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

/// Returns the engine's message, without what the client adds to it. Never empty.
pub(super) fn reason(error: &Error) -> String {
    let text = match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } | Error::DockerContainerWaitError { error, .. } => error.clone(),
        Error::RequestTimeoutError => "it did not answer in time".into(),
        // The layers of the HTTP client name themselves; only the innermost says what happened.
        Error::HyperLegacyError { .. } | Error::HyperResponseError { .. } | Error::HttpClientError { .. } => {
            innermost(error)
        }
        other => with_causes(other),
    };
    let text = text.trim().trim_end_matches('.');
    match status_of(error) {
        _ if !text.is_empty() => text.to_owned(),
        Some(status) => format!("it answered with status {status} and gave no reason"),
        None => "it gave no reason".into(),
    }
}

/// Returns the first cause of an error that says anything.
fn innermost(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).filter(|text| !text.is_empty()).last().unwrap_or_default()
}

pub(super) fn status_of(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Distinguishes an engine that refuses a request from one that is no longer there.
pub(super) fn refused(doing: &'static str, error: &Error) -> EngineError {
    if status_of(error).is_some() {
        EngineError::Refused { doing, reason: reason(error) }
    } else {
        EngineError::Lost { reason: reason(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    #[test]
    fn a_reason_is_never_empty() {
        let empty = "it answered with status 500 and gave no reason";
        for (error, expected) in [
            (answer(409, "Conflict."), "Conflict"),
            (answer(500, ""), empty),
            (answer(500, " \n"), empty),
            (answer(500, "."), empty),
            (Error::DockerStreamError { error: String::new() }, "it gave no reason"),
            (Error::RequestTimeoutError, "it did not answer in time"),
        ] {
            assert_eq!(reason(&error), expected);
        }
    }

    #[tokio::test]
    async fn a_reason_does_not_name_the_client() {
        use hyper_util::client::legacy::Client;
        use hyper_util::rt::TokioExecutor;

        let client = Client::builder(TokioExecutor::new()).build_http::<String>();
        // No one listens on this port.
        let failed = client.get(http::Uri::from_static("http://127.0.0.1:1/")).await.unwrap_err();
        let said = reason(&Error::from(failed));
        assert!(said.starts_with("Connection refused"), "{said}");
    }
}

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

/// Returns the engine's message, without what the client adds to it.
pub(super) fn reason(error: &Error) -> String {
    let text = match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        other => with_causes(other),
    };
    text.trim().trim_end_matches('.').to_owned()
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

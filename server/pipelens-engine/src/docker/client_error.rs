//! What errors of the engine's client and of its configuration say.

use bollard::errors::Error;

use crate::error::{EngineError, with_causes};

/// Why something that the user has configured (an address, a credential helper) cannot be used. Reads as the end of a sentence about it.
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

/// Returns the engine's own words, without what the client adds to them.
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

/// Tells an engine that refuses from one that has gone away.
pub(super) fn refused(doing: &'static str, error: &Error) -> EngineError {
    if status_of(error).is_some() {
        EngineError::Refused { doing, reason: reason(error) }
    } else {
        EngineError::Lost { reason: reason(error) }
    }
}

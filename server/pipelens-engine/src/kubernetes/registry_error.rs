//! What a registry's refusal means: that something is not there, or an error for people. Asks nothing.

use oci_client::Reference;
use oci_client::errors::OciDistributionError;

use crate::error::{EngineError, with_causes};

pub(super) fn parsed(reference: &str) -> Result<Reference, EngineError> {
    let not_found = |reason: String| EngineError::ImageNotFound { image: reference.to_owned(), reason };
    reference.parse::<Reference>().map_err(|error| not_found(error.to_string()))
}

/// Whether a registry answered that it does not have something.
pub(super) fn is_missing(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) => true,
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => {
            let said = envelope.to_string().to_lowercase();
            said.contains("unknown") || said.contains("not found")
        }
        _ => false,
    }
}

pub(super) fn pull_error(image: &str, error: &OciDistributionError) -> EngineError {
    let (image, reason) = (image.to_owned(), with_causes(error));
    match error {
        _ if is_missing(error) => EngineError::ImageNotFound { image, reason },
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            EngineError::RegistryRefused { image, reason }
        }
        _ => EngineError::PullFailed { image, reason },
    }
}

pub(super) fn push_error(doing: &str, error: &OciDistributionError) -> EngineError {
    let is_away = match error {
        OciDistributionError::RequestError(_) | OciDistributionError::IoError(_) => true,
        // Another process is pushing the same blob.
        OciDistributionError::ServerError { code, message, .. } => *code >= 500 || message.contains("BLOB_UNKNOWN"),
        _ => false,
    };
    EngineError::Registry { doing: doing.to_owned(), reason: with_causes(error), is_away }
}

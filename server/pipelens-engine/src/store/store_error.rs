//! Why the store could not be used.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use thiserror::Error;

/// Why the store could not be used. Used as the end of a sentence.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("`{}`: {source}", path.display())]
    Inaccessible { path: PathBuf, source: io::Error },
    #[error("it was made by a later version of pipelens")]
    LaterVersion,
    /// The file is not what it should be.
    #[error("{reason}")]
    Corrupt { reason: String },
    #[error("{reason}")]
    Database { reason: String },
}

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

impl StoreError {
    pub(crate) fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }
}

/// The task that used the store panicked.
impl From<io::Error> for StoreError {
    fn from(panic: io::Error) -> Self {
        Self::Database { reason: panic.to_string() }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let is_corrupt =
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase));
        // SQLite's message, without its name for the kind of error.
        let reason = match error {
            rusqlite::Error::SqliteFailure(_, Some(reason)) => reason,
            other => other.to_string(),
        };
        if is_corrupt { Self::Corrupt { reason } } else { Self::Database { reason } }
    }
}

/// If our SQL does not fit the existing tables, they are not ours.
pub(super) fn corrupt_if_misshapen(error: rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => StoreError::Corrupt { reason: msg },
        rusqlite::Error::SqliteFailure(failure, reason) if failure.code == ErrorCode::Unknown => {
            StoreError::Corrupt { reason: reason.unwrap_or_else(|| failure.to_string()) }
        }
        other => other.into(),
    }
}

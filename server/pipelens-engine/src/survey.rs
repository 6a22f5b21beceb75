//! What this machine offers to runs: for a person who looks for the reason why something does not work. Starts nothing.

use std::path::Path;

pub use crate::docker::endpoint_survey::{EngineSurvey, FoundEngine, engine};
pub use crate::error::TriedPlace;

/// Returns how much of the disk with a folder is free, in bytes.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    crate::limits::free(folder)
}

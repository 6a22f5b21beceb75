//! What this machine offers to runs: for a person who looks for the reason why something does not work. Starts nothing.

pub use crate::docker::cache_registry::answers as cache_registry_answers;
pub use crate::docker::endpoint_survey::{EngineSurvey, FoundEngine, engine};
pub use crate::error::TriedPlace;

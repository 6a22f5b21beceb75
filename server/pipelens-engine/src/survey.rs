//! What this machine offers to runs, and the user's cluster: for a person who looks for the reason why something does not work. Starts no engine.

pub use crate::docker::cache_registry::answers as cache_registry_answers;
pub use crate::docker::endpoint_survey::{EngineSurvey, FoundEngine, engine};
pub use crate::error::TriedPlace;
#[cfg(feature = "kubernetes")]
pub use crate::kubernetes::survey::examine as cluster;

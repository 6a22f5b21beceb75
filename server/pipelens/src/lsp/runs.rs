//! Runs: from a click to the outcome, as the editor sees them.

pub(super) mod artifacts;
pub(super) mod context;
mod failures;
mod feed;
pub(super) mod follow;
pub(super) mod history;
pub(super) mod log_documents;
pub(super) mod logs;
mod messages;
pub(super) mod predictions;
mod problems;
mod progress;
pub(super) mod recall;
pub(super) mod registry;
pub(super) mod remembered;
pub(super) mod run;
pub(super) mod show;
pub(super) mod shown_problems;
pub(super) mod standing;
pub(super) mod watches;

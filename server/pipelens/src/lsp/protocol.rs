//! The protocol's types and ours, both ways. Knows no state.

pub(super) mod commands;
pub(super) mod edits;
pub(super) mod files;
pub(super) mod log_content;
pub(super) mod positions;
#[cfg(test)]
mod tests;
pub(super) mod tree;

//! Everything the editor is told about a file: kept by who says it, and sent in the way the client understands.

pub(super) mod pull;
pub(super) mod push;
pub(super) mod store;

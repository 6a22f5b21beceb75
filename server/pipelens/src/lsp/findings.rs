//! All findings, by file and by source, and the two ways in which a client gets them.

pub(super) mod pull;
pub(super) mod push;
pub(super) mod store;

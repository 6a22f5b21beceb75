//! JSON-RPC over standard input and output: framing, order, bounds and answers. It knows no method; a [`message_loop::Service`] does.

pub(super) mod in_flight;
pub(super) mod message;
pub(super) mod message_loop;
pub(super) mod parent;
pub(super) mod reader;
mod surrogates;
pub(crate) mod trace;
pub(crate) mod uris;
pub(super) mod writer;

//! JSON-RPC over standard input and output. It frames, orders, bounds and answers messages, and knows no method: what a message means is
//! the business of the [`message_loop::Service`] it is given.

pub(super) mod in_flight;
pub(super) mod message;
pub(super) mod message_loop;
pub(super) mod parent;
pub(super) mod reader;
mod surrogates;
pub(super) mod writer;

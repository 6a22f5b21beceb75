//! What the client and the agent say to each other. Does no input or output itself.
//!
//! Three layers, each in a module of its own:
//!
//! - [`frame`]: length-prefixed frames on a connection: the greeting, heartbeats, acknowledgements and numbered messages.
//! - [`link`]: numbered messages that survive the connection: what was not acknowledged is sent again on the next one, and what arrives
//!   a second time is dropped.
//! - [`message`]: what is said in the messages: requests, their data, and their answers.

mod apply;
pub mod frame;
pub mod link;
pub mod message;
mod question;

/// Both sides must have the same version: the client brings the agent into the container, so there is nothing to be compatible with.
pub const VERSION: u32 = 2;

/// The largest frame. Data travels in much smaller ones; a request may hold a long script or a long list of paths.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// How much data is sent in one message.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// How much data of one request may be under way or wait to be taken, in either direction: the sender waits for room.
pub const WINDOW_BYTES: u64 = 1024 * 1024;

/// How much output the agent keeps until the client has acknowledged it; then it stops reading, and commands wait.
pub const UNACKNOWLEDGED_BYTES: usize = 1024 * 1024;

/// How often each side says something, so that the other knows that the connection works.
pub const BEAT: std::time::Duration = std::time::Duration::from_secs(1);

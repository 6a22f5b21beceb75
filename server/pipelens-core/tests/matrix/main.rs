//! Steps with a matrix: what they become, what is found in them, and what an editor shows.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to stop")]

mod editor;
mod findings;
mod limits;
mod model;
mod plans;

//! Runs a plan and says in events what happens. Knows no editor, no terminal and no standard output.

mod archive;
mod artifacts;
pub mod cache;
pub mod clock;
mod docker;
mod error;
pub mod event;
mod host;
pub mod images;
mod logs;
mod outbox;
mod owner;
pub mod project;
pub mod run;
mod runner;
mod scheduler;
mod secrets;
mod sources;
pub mod store;

//! Runs a plan and says in events what happens. Knows no editor, no terminal and no standard output.

mod archive;
mod artifacts;
pub mod cache;
pub mod clock;
pub mod deadlines;
mod docker;
mod error;
pub mod event;
pub mod files;
mod host;
pub mod images;
pub mod limits;
mod logs;
mod outbox;
mod owner;
pub mod private;
pub mod programs;
pub mod project;
pub mod run;
mod runner;
mod scheduler;
mod secrets;
mod sources;
mod sparse;
pub mod store;
pub mod walk;

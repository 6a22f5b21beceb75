//! The real binary, as an editor, a terminal and a signal meet it. One binary for all, so that it links once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value answers null for what it has not, and a list too short is a failed test"
)]
#![expect(clippy::print_stdout, reason = "a test that skips says so")]

mod clients;
mod clock;
#[path = "../skipped.rs"]
mod skipped;
mod support;
mod surroundings;

mod again;
#[cfg(unix)]
mod artifacts;
mod authoring;
#[cfg(unix)]
mod clean;
mod cli;
mod consent;
mod doctor;
mod documents;
mod editing;
mod editors;
mod findings;
mod folders;
mod init;
mod interleavings;
mod language;
mod layers;
mod lifecycle;
#[cfg(unix)]
mod lint;
mod logs;
mod map;
mod matrix;
mod nvim;
mod problems;
#[cfg(unix)]
mod programs;
mod remembered;
mod reports;
mod runs;
mod second;
#[cfg(unix)]
mod shell;
mod shown;
mod signals;
mod standing;
mod terminal;
mod tools;
mod traces;
mod transport;
mod trust;
#[cfg(unix)]
mod watch;
#[cfg(target_os = "linux")]
mod zoo;

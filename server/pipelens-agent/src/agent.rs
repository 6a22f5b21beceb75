//! The container's side: the first process, and the bridge to it. Uses threads, because an async runtime would be half of the program.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

mod apply;
mod archive;
mod ask;
mod bridge;
mod command;
mod connections;
mod files;
mod jobs;
mod layer;
mod listing;
mod members;
mod mounts;
mod network;
mod peer;
mod processes;
mod push;
mod reaper;
mod requests;
mod serve;
mod session;
mod shell;
mod tar_entry;
mod traces;
mod unpacked;
mod walk;

/// How long the agent stays without a client, unless it is told otherwise.
const PATIENCE: Duration = Duration::from_secs(15);

const USAGE: &str = "usage: pipelens-agent serve [--patience SECONDS] | connect";

/// Carries out the program's arguments.
pub fn main(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode, String> {
    let arguments: Vec<OsString> = arguments.collect();
    let words: Vec<&str> = arguments.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    match words.as_slice() {
        ["serve"] => serve::serve(PATIENCE),
        ["serve", "--patience", seconds] => {
            let seconds = seconds.parse().map_err(|_| USAGE.to_owned())?;
            serve::serve(Duration::from_secs(seconds))
        }
        ["connect"] => bridge::connect(),
        [shell::IN_TERMINAL, ..] => shell::become_shell(arguments.get(1..).unwrap_or_default()),
        _ => Err(USAGE.to_owned()),
    }
}

/// Makes what this process holds in memory unreadable for other processes of the same user, which includes the steps.
fn hide_memory() -> Result<(), String> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| format!("the memory cannot be protected from other processes: {error}"))
}

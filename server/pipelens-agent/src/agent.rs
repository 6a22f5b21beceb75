//! The container's side: the first process, and the bridge to it.

use std::ffi::OsString;
use std::process::ExitCode;

/// Carries out the program's arguments.
pub fn main(_arguments: impl Iterator<Item = OsString>) -> Result<ExitCode, String> {
    Err("not yet".into())
}

//! Only Linux has what a sandbox is made of; elsewhere every chore that needs one says so.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitStatus;

use anyhow::{Result, bail};

use crate::packages::Program;

pub(crate) fn check() -> Result<()> {
    bail!("a private container engine needs Linux")
}

pub(crate) fn prepare(_programs: &[Program]) -> Result<()> {
    check()
}

pub(crate) fn run(_arguments: &[OsString]) -> Result<ExitStatus> {
    bail!("a private container engine needs Linux")
}

pub(crate) fn init(_scratch: &Path, _arguments: &[OsString]) -> Result<u8> {
    bail!("a private container engine needs Linux")
}

pub(crate) fn program(_command: &[OsString]) -> Result<()> {
    check()
}

pub(crate) fn run_program(_command: &[OsString]) -> Result<()> {
    check()
}

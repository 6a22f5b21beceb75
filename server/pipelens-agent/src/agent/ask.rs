//! A question to the container: a short program that runs beside the command, and what it says.

use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};

use super::command::own_variables;
use super::jobs::{Cancelled, Job};
use super::reaper::Started;
use super::requests::{Requests, failure};
use crate::protocol::CHUNK_BYTES;
use crate::protocol::message::{Answer, AskRequest, Asked, Failure, Reason};

/// What is kept of what the program says: its end.
const MOST_BYTES: usize = 16 * 1024;
/// How often it is looked whether the answer is still wanted.
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

pub(super) fn ask(requests: &Requests, job: &Job, request: &AskRequest) -> Result<Answer, Failure> {
    let Some((program, arguments)) = request.command.split_first() else {
        return Err(failure("there is no program to run"));
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure { reason: Reason::NotFound, sentence: format!("the image has no `{program}`") }
        }
        _ => failure(format!("`{program}` could not be run: {error}")),
    };
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    fcntl_getfl(&reader)
        .and_then(|flags| fcntl_setfl(&reader, flags | OFlags::NONBLOCK))
        .map_err(|error| failed(error.into()))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(own_variables());
    command.envs(request.variables.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(writer.try_clone().map_err(failed)?).stderr(writer).process_group(0);
    let started = requests.reaper.start(&mut command).map_err(failed)?;
    // It holds the pipe open.
    drop(command);
    let mut output = std::fs::File::from(reader);
    let mut said = Vec::new();
    let exit_code = loop {
        if job.is_cancelled() {
            kill(&started);
            return Err(Cancelled.into());
        }
        // What it says just before it ends is read as well.
        let exit_code = started.exit_code();
        let has_more = read(&mut output, &mut said);
        if let Some(exit_code) = exit_code {
            break exit_code;
        }
        let mut places = vec![PollFd::from_borrowed_fd(started.ended.as_fd(), PollFlags::IN)];
        if has_more {
            places.push(PollFd::new(&output, PollFlags::IN));
        }
        match poll(&mut places, Some(&LOOK_AGAIN)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
    };
    Ok(Answer::Asked(Asked { exit_code, said: String::from_utf8_lossy(&said).into_owned() }))
}

/// Reads what is there, and keeps the end. Returns whether there can be more.
fn read(output: &mut std::fs::File, said: &mut Vec<u8>) -> bool {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match output.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => {
                said.extend_from_slice(buffer.get(..count).unwrap_or_default());
                said.drain(..said.len().saturating_sub(MOST_BYTES));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

fn kill(started: &Started) {
    // Its number may be another process's once it has ended.
    if started.exit_code().is_none()
        && let Ok(process) = i32::try_from(started.child.id())
    {
        killpg(Pid::from_raw(process), Signal::SIGKILL).ok();
    }
}

//! One command after another: what a step's command sees, what it writes, how it ends, and what it leaves.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::jobs::Job;
use super::processes;
use super::reaper::Started;
use super::requests::{Requests, failure};
use super::traces::{Traces, killed_for_memory};
use crate::protocol::CHUNK_BYTES;
use crate::protocol::message::{Answer, Failure, Notice, Reason, RunReport, RunRequest, State, Stream, Then};

/// The kernel's limit for an argument (`MAX_ARG_STRLEN`, including the final zero).
const LONGEST_ARGUMENT_BYTES: usize = 128 * 1024 - 1;

/// Memory, which belongs to no layer.
const LONG_SCRIPT: &str = "/dev/shm/cmd";

/// More than the largest pipe holds: something that cannot be killed may write for ever.
const MOST_PIECES_LEFT: usize = 4096;

/// They would reveal that the command is not the container's first process.
const NOT_INHERITED: [&str; 3] = ["SHLVL", "PWD", "OLDPWD"];

/// The cluster adds these to every container; no image has them.
const OF_THE_CLUSTER: [&str; 2] = ["KUBERNETES_SERVICE_", "KUBERNETES_PORT"];

/// Runs commands, one at a time.
#[derive(Debug, Default)]
pub(super) struct Commands {
    /// What there was outside the filesystem before the first command.
    began: Mutex<Option<Traces>>,
}

/// Returns the container's own environment.
pub(super) fn own_variables() -> impl Iterator<Item = (OsString, OsString)> {
    let is_own = |name: &OsString| {
        let name = name.to_string_lossy();
        !NOT_INHERITED.contains(&&*name) && !OF_THE_CLUSTER.iter().any(|prefix| name.starts_with(prefix))
    };
    std::env::vars_os().filter(move |(name, _)| is_own(name))
}

impl Commands {
    /// Waits until nothing of an earlier command runs any more, and keeps others waiting.
    pub(super) fn alone(&self) -> MutexGuard<'_, Option<Traces>> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn run(&self, requests: &Requests, job: &Job, request: &RunRequest) -> Result<Answer, Failure> {
        let mut began = self.alone();
        if job.is_cancelled() {
            return Err(super::jobs::Cancelled.into());
        }
        if request.then == Then::Next && began.is_none() {
            *began = Some(Traces::now());
        }
        let killed_before = killed_for_memory();
        requests.set_running(Some(job.request));
        let ended = run_to_end(requests, job, request);
        let is_quiet = processes::kill_all();
        requests.set_running(None);
        let (exit_code, mut output) = ended?;
        output.drain(job);
        fs::remove_file(LONG_SCRIPT).ok();
        let state = match request.then {
            _ if !is_quiet => State::Busy,
            Then::Next if began.as_ref() == Some(&Traces::now()) => State::Clean,
            Then::Next | Then::Wait | Then::End => State::Quiet,
        };
        let was_short_of_memory = killed_for_memory() != killed_before;
        Ok(Answer::Ran(RunReport { exit_code, state, was_short_of_memory }))
    }
}

fn run_to_end(requests: &Requests, job: &Job, request: &RunRequest) -> Result<(i32, Output), Failure> {
    let mut command = command_of(request)?;
    let mut started = requests.reaper.start(&mut command).map_err(|error| not_started(request, &error))?;
    // What the command holds of the pipes and variables.
    drop(command);
    // The cancellation may have found nothing to kill.
    if job.is_cancelled() {
        processes::signal_all(nix::sys::signal::Signal::SIGKILL);
    }
    job.notice(Notice::Started);
    let pipes = started.child.stdout.take().zip(started.child.stderr.take());
    let (stdout, stderr) = pipes.ok_or_else(|| failure("the command has no output"))?;
    let mut output = Output { stdout: Pipe::new(stdout)?, stderr: Pipe::new(stderr)?, buffer: vec![0; CHUNK_BYTES] };
    let exit_code = output.follow(job, &started)?;
    Ok((exit_code, output))
}

fn command_of(request: &RunRequest) -> Result<Command, Failure> {
    let Some((program, arguments)) = request.shell.split_first() else {
        return Err(failure("there is no program to run the command"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    match &request.script {
        None => {}
        Some(script) if script.len() < LONGEST_ARGUMENT_BYTES => {
            command.arg("-c").arg(script);
        }
        Some(script) => {
            // It is a new file: an earlier command may have left a link there.
            fs::remove_file(LONG_SCRIPT).ok();
            fs::write(LONG_SCRIPT, script).map_err(|error| {
                failure(format!(
                    "the command is too long for an argument, and `{LONG_SCRIPT}` cannot be written: {error}"
                ))
            })?;
            command.arg(LONG_SCRIPT);
        }
    }
    command.env_clear().envs(own_variables()).envs(request.variables.iter().map(|(name, value)| (name, value)));
    command.current_dir(&request.workdir).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// Explains why a program was not started: the system's error does not tell whether the program or the directory is missing.
fn not_started(request: &RunRequest, error: &io::Error) -> Failure {
    let not_found = |sentence: String| Failure { reason: Reason::NotFound, sentence };
    if let Err(problem) = fs::read_dir(Path::new(&request.workdir))
        && problem.kind() != io::ErrorKind::PermissionDenied
    {
        return not_found(match problem.kind() {
            io::ErrorKind::NotFound => format!("the working directory `{}` does not exist", request.workdir),
            _ => format!("the working directory `{}` cannot be entered: {problem}", request.workdir),
        });
    }
    let program = request.shell.first().map_or("", String::as_str);
    match error.kind() {
        io::ErrorKind::NotFound => not_found(format!("the image has no `{program}`")),
        io::ErrorKind::ArgumentListTooLong => {
            failure("the command's variables are larger than the kernel allows (128 KiB each, about 2 MiB in all)")
        }
        _ => failure(format!("`{program}` could not be started: {error}")),
    }
}

/// Both ends of a command's output.
struct Output {
    stdout: Pipe,
    stderr: Pipe,
    buffer: Vec<u8>,
}

struct Pipe {
    /// `None`: every writer has closed it.
    reader: Option<Box<dyn ReadPipe>>,
}

trait ReadPipe: Read + AsFd + Send {}
impl<T: Read + AsFd + Send> ReadPipe for T {}

impl Pipe {
    fn new(reader: impl ReadPipe + 'static) -> Result<Self, Failure> {
        // A process of another container may hold the other end for ever.
        fcntl_getfl(&reader)
            .and_then(|flags| fcntl_setfl(&reader, flags | OFlags::NONBLOCK))
            .map_err(|error| failure(format!("the command's output cannot be read: {error}")))?;
        Ok(Self { reader: Some(Box::new(reader)) })
    }

    /// Reads what is there, at most one piece; `None`: nothing. Programs write in smaller pieces, each of which would be a message.
    fn read(&mut self, buffer: &mut [u8]) -> Option<Bytes> {
        let mut filled = 0;
        while let Some(reader) = &mut self.reader
            && let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty())
        {
            match reader.read(rest) {
                Ok(count) if count > 0 => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => self.reader = None,
            }
        }
        buffer.get(..filled).filter(|bytes| !bytes.is_empty()).map(Bytes::copy_from_slice)
    }
}

impl Output {
    /// Hands on the output until the command has exited.
    fn follow(&mut self, job: &Job, started: &Started) -> Result<i32, Failure> {
        loop {
            let (stdout_is_ready, stderr_is_ready) = self.wait(started.ended.as_fd())?;
            if stdout_is_ready {
                pass_on(job, Stream::Stdout, &mut self.stdout, &mut self.buffer);
            }
            if stderr_is_ready {
                pass_on(job, Stream::Stderr, &mut self.stderr, &mut self.buffer);
            }
            if let Some(exit_code) = started.exit_code() {
                return Ok(exit_code);
            }
        }
    }

    /// Waits for output or the end of the command; returns which streams have output.
    fn wait(&self, ended: BorrowedFd<'_>) -> Result<(bool, bool), Failure> {
        let streams = [&self.stdout, &self.stderr];
        let mut places = vec![PollFd::from_borrowed_fd(ended, PollFlags::IN)];
        places.extend(
            streams
                .iter()
                .filter_map(|pipe| pipe.reader.as_ref())
                .map(|reader| PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN)),
        );
        match poll(&mut places, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failure(format!("the command's output cannot be read: {error}"))),
        }
        let mut ready = places.iter().skip(1).map(|place| !place.revents().is_empty());
        let mut is_ready = |pipe: &Pipe| pipe.reader.is_some() && ready.next().unwrap_or_default();
        Ok((is_ready(&self.stdout), is_ready(&self.stderr)))
    }

    /// Hands on what is left when nothing of the command runs any more.
    fn drain(&mut self, job: &Job) {
        for (stream, pipe) in [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)] {
            let mut pieces = (0..MOST_PIECES_LEFT).map(|_| pass_on(job, stream, pipe, &mut self.buffer));
            while pieces.next() == Some(true) {}
        }
    }
}

/// Reads one piece of output as soon as the client has room for it: until then, the command waits. Returns whether there was any.
fn pass_on(job: &Job, stream: Stream, pipe: &mut Pipe, buffer: &mut [u8]) -> bool {
    let is_wanted = job.wait_for_room().is_ok();
    let Some(bytes) = pipe.read(buffer) else { return false };
    if is_wanted {
        job.send_output(stream, bytes);
    }
    true
}

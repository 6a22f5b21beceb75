//! A shell for a person: a terminal in the container whose other end is the client.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::command::own_variables;
use super::jobs::{Input, Job};
use super::processes;
use super::reaper::Started;
use super::requests::{Requests, failure};
use crate::protocol::CHUNK_BYTES;
use crate::protocol::message::{Answer, Failure, Notice, ShellRequest, WindowSize};

/// Our own program, which becomes the shell when it has made the terminal its own.
pub(super) const IN_TERMINAL: &str = "in-terminal";

pub(super) fn run(requests: &Requests, job: &Job, request: &ShellRequest) -> Result<Answer, Failure> {
    // It ends with what it left in the background, as a command does.
    let alone = requests.commands.alone();
    requests.set_running(Some(job.request));
    let ended = run_to_end(requests, job, request);
    processes::kill_all();
    requests.set_running(None);
    drop(alone);
    ended
}

fn run_to_end(requests: &Requests, job: &Job, request: &ShellRequest) -> Result<Answer, Failure> {
    let failed = |error: io::Error| failure(format!("the shell could not be started: {error}"));
    let (terminal, started) = start(requests, request).map_err(failed)?;
    if job.is_cancelled() {
        processes::signal_all(nix::sys::signal::Signal::SIGKILL);
    }
    job.notice(Notice::Started);
    let typing = terminal.try_clone().map_err(failed)?;
    let own_job = job.clone();
    let typing = thread::Builder::new().name("typing".into()).spawn(move || type_all(&own_job, typing));
    typing.map_err(failed)?;
    show_all(job, terminal, &started).map(Answer::Exited).map_err(failed)
}

fn start(requests: &Requests, request: &ShellRequest) -> io::Result<(File, Started)> {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    resize(&terminal, request.size);
    let inside = || ioctl_tiocgptpeer(&terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
    // The standard library cannot make a terminal a process's own; this program does it in the new process.
    let mut command = Command::new("/proc/self/exe");
    command.arg(IN_TERMINAL).args(&request.command).current_dir(&request.workdir);
    command.env_clear().envs(own_variables()).envs(request.variables.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::from(inside()?)).stdout(Stdio::from(inside()?)).stderr(Stdio::from(inside()?));
    let started = requests.reaper.start(&mut command)?;
    Ok((File::from(terminal), started))
}

fn resize(terminal: &impl AsFd, size: WindowSize) {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // The shell may have exited just now.
    tcsetwinsize(terminal, size).ok();
}

/// Passes on what is typed.
fn type_all(job: &Job, mut terminal: File) {
    loop {
        match job.next_input() {
            Input::Data(bytes) => {
                if terminal.write_all(&bytes).is_err() {
                    return;
                }
            }
            Input::Size(size) => resize(&terminal, size),
            // Control-D.
            Input::End => {
                terminal.write_all(&[4]).ok();
                return;
            }
            // It is killed by whoever cancels it.
            Input::Cancelled => return,
        }
    }
}

/// Passes on what is shown, until the shell has exited.
fn show_all(job: &Job, mut terminal: File, started: &Started) -> io::Result<i32> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let exit_code = started.exit_code();
        let mut places =
            [PollFd::new(&terminal, PollFlags::IN), PollFd::from_borrowed_fd(started.ended.as_fd(), PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        // When it has exited, only what is there already.
        match poll(&mut places, exit_code.map(|_| &now)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_output = places.first().is_some_and(|place| place.revents().contains(PollFlags::IN));
        if !has_output {
            if let Some(exit_code) = exit_code {
                return Ok(exit_code);
            }
            if places.first().is_some_and(|place| place.revents().contains(PollFlags::HUP)) {
                // Nothing has the terminal open any more, so only the end is left.
                let mut end = [PollFd::from_borrowed_fd(started.ended.as_fd(), PollFlags::IN)];
                poll(&mut end, None).ok();
            }
            continue;
        }
        let is_wanted = job.wait_for_room().is_ok();
        match terminal.read(&mut buffer) {
            Ok(count) if is_wanted => job.send_data(Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default())),
            // The end of a terminal is an error.
            Ok(_) | Err(_) => {}
        }
    }
}

/// Makes the terminal at the standard streams this process's own, and becomes the shell.
pub(super) fn become_shell(words: &[OsString]) -> Result<ExitCode, String> {
    let Some((program, arguments)) = words.split_first() else { return Err("there is no shell to start".into()) };
    setsid().and_then(|_| ioctl_tiocsctty(io::stdin())).map_err(|error| format!("there is no terminal: {error}"))?;
    let error = Command::new(program).args(arguments).exec();
    Err(format!("`{}` could not be started: {error}", program.display()))
}

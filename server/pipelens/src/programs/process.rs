//! A process with limits: it ends in time, prints no more than it may, and leaves nothing running.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Only the end of what a program prints is kept.
const KEPT_OUTPUT: usize = 64 * 1024;

/// Between two looks at whether a process has ended: the first time, and at most.
const FIRST_POLL: Duration = Duration::from_micros(100);
const POLL: Duration = Duration::from_millis(5);
const PATIENCE_FOR_OUTPUT: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) time: Duration,
    pub(super) bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(20), bytes: 16 * 1024 * 1024 }
    }
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) answer: Vec<u8>,
    /// The end of what it printed.
    pub(super) output: String,
    /// The end of a sentence, if it has not ended by itself, or not well.
    pub(super) why: Option<String>,
}

/// What was read from one of its outputs.
enum Piece {
    Answer(Vec<u8>),
    Output(Vec<u8>),
    TooLong,
}

/// What a process gets on its standard input.
#[derive(Debug)]
pub(super) enum Input {
    /// A request, after its length. The pipe stays open until the end: when it is closed, also because we are killed, the process ends.
    Request(String),
    /// A text, and then its end.
    Text(String),
}

/// Where a process leaves its answer.
#[derive(Debug)]
pub(super) enum Answers {
    /// On its standard output, which then has nothing else.
    OnOutput,
    /// In a file, when it ends. It may print whatever it likes.
    InFile(PathBuf),
}

/// Runs a command that reads a request from its standard input, until it has answered.
pub(super) fn run(mut command: Command, input: Input, answers: &Answers, limits: Limits) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    own_group(&mut command);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let why = Some(format!("could not be started: {error}"));
            return Ended { answer: Vec::new(), output: String::new(), why };
        }
    };
    let (sender, pieces) = mpsc::channel();
    let (on_output, to_answer) = (matches!(answers, Answers::OnOutput), sender.clone());
    let (printed, errors, pipe) = (child.stdout.take(), child.stderr.take(), child.stdin.take());
    thread::spawn(move || {
        let read = |pipe| if on_output { read_all(pipe, limits.bytes) } else { read_end(pipe, limits.bytes) };
        drop(printed.map(|pipe| to_answer.send(read(pipe))));
    });
    thread::spawn(move || drop(errors.map(|pipe| sender.send(read_end(pipe, limits.bytes)))));
    let is_command = matches!(input, Input::Text(_));
    let writer = thread::spawn(move || write(pipe, input));
    let deadline = Instant::now() + limits.time;
    let mut running = Running {
        group: Group { child, has_ended: false },
        pieces,
        deadline,
        limits,
        output: Vec::new(),
        poll: FIRST_POLL,
    };
    let answer = running.answer(answers, is_command);
    running.group.end();
    drop(writer);
    // A process that has left the group may still hold a pipe.
    while let Ok(Piece::Answer(bytes) | Piece::Output(bytes)) = running.pieces.recv_timeout(PATIENCE_FOR_OUTPUT) {
        running.output.extend(bytes);
    }
    let output = String::from_utf8_lossy(&running.output).into_owned();
    match answer {
        Ok(answer) => Ended { answer, output, why: None },
        Err(why) => Ended { answer: Vec::new(), output, why: Some(why) },
    }
}

/// Writes what a process reads, and returns the pipe if it has to stay open.
fn write(mut pipe: Option<ChildStdin>, input: Input) -> Option<ChildStdin> {
    let (text, stays_open) = match input {
        Input::Request(text) => (format!("{}\n{text}", text.len()), true),
        Input::Text(text) => (text, false),
    };
    // A process that ends without reading has a reason, which its exit code tells.
    drop(pipe.as_mut().map(|pipe| pipe.write_all(text.as_bytes()).and_then(|()| pipe.flush())));
    pipe.filter(|_| stays_open)
}

/// A process whose answer is waited for.
struct Running {
    group: Group,
    pieces: Receiver<Piece>,
    deadline: Instant,
    limits: Limits,
    output: Vec<u8>,
    /// Until the next look at whether it has ended.
    poll: Duration,
}

impl Running {
    /// Returns the answer, or the end of a sentence about why there is none.
    fn answer(&mut self, answers: &Answers, is_command: bool) -> Result<Vec<u8>, String> {
        let answer = match answers {
            Answers::OnOutput => self.printed()?,
            Answers::InFile(file) => self.left_in(file)?,
        };
        if answer.len() as u64 > self.limits.bytes {
            return Err(format!("made more than {} MiB", self.limits.bytes >> 20));
        }
        if answer.is_empty() {
            return Err(match self.exit() {
                Some(status) => format!("ended before it had made its pipelines ({status})"),
                None => "closed its output and went on".to_owned(),
            });
        }
        // What a command prints before it fails is not its answer.
        match is_command.then(|| self.exit()).flatten() {
            Some(status) if !status.success() => Err(format!("failed ({status})")),
            Some(_) | None => Ok(answer),
        }
    }

    fn printed(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(answer) = self.next(self.limits.time)? {
                return Ok(answer);
            }
        }
    }

    fn left_in(&mut self, file: &Path) -> Result<Vec<u8>, String> {
        while self.group.exit().is_none() {
            self.next(POLL)?;
        }
        Ok(fs::read(file).unwrap_or_default())
    }

    /// Takes what was read next, within a time, and returns it if it is an answer.
    fn next(&mut self, patience: Duration) -> Result<Option<Vec<u8>>, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.pieces.recv_timeout(patience.min(left)) {
            Ok(Piece::Answer(bytes)) => return Ok(Some(bytes)),
            Ok(Piece::Output(bytes)) => self.output.extend(bytes),
            Ok(Piece::TooLong) => return Err(format!("printed more than {} MiB", self.limits.bytes >> 20)),
            Err(_) if Instant::now() >= self.deadline => {
                return Err(format!("did not end within {} s", self.limits.time.as_secs()));
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Both ends are closed, so it ends.
            Err(RecvTimeoutError::Disconnected) => self.wait_for_exit(),
        }
        Ok(None)
    }

    /// Waits until the process has ended, and returns how; `None` if it has not in its time.
    fn exit(&mut self) -> Option<ExitStatus> {
        loop {
            let status = self.group.exit();
            if status.is_some() || Instant::now() >= self.deadline {
                return status;
            }
            self.wait_for_exit();
        }
    }

    /// Most have ended a moment after their output, so the first waits are short.
    fn wait_for_exit(&mut self) {
        thread::sleep(self.poll);
        self.poll = POLL.min(self.poll * 2);
    }
}

fn read_all(pipe: impl Read, limit: u64) -> Piece {
    let mut bytes = Vec::new();
    // What was read before an error is still an answer, or not a whole one.
    drop(pipe.take(limit + 1).read_to_end(&mut bytes));
    if bytes.len() as u64 > limit { Piece::TooLong } else { Piece::Answer(bytes) }
}

fn read_end(mut pipe: impl Read, limit: u64) -> Piece {
    let (mut kept, mut total, mut buffer) = (Vec::new(), 0_u64, vec![0; 64 * 1024]);
    while let Ok(count) = pipe.read(&mut buffer) {
        if count == 0 {
            break;
        }
        total += count as u64;
        if total > limit {
            return Piece::TooLong;
        }
        kept.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if kept.len() > 2 * KEPT_OUTPUT {
            kept.drain(..kept.len() - KEPT_OUTPUT);
        }
    }
    Piece::Output(kept)
}

/// A process and all it has started; they end when this is dropped.
struct Group {
    child: Child,
    has_ended: bool,
}

impl Group {
    /// Returns how the process has ended, if it has.
    fn exit(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn end(&mut self) {
        if self.has_ended {
            return;
        }
        self.has_ended = true;
        kill_group(&mut self.child);
        // It has ended or was killed: there is nothing to do about an error.
        drop(self.child.wait());
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

#[cfg(not(unix))]
fn own_group(_command: &mut Command) {}

#[cfg(unix)]
fn kill_group(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // A group without processes is what we want.
    let _ = id.map(|id| kill_process_group(id, Signal::KILL));
}

#[cfg(not(unix))]
fn kill_group(child: &mut Child) {
    drop(child.kill());
}

//! A process with limits: it ends in time, prints no more than it may, and leaves nothing running.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// The end of what a program printed is shown; nobody reads more.
const KEPT_OUTPUT: usize = 64 * 1024;

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

enum Read1 {
    Answer(Vec<u8>),
    Output(Vec<u8>),
    TooLong,
}

/// Runs a command that reads a request from its standard input, until it has answered on its standard output.
pub(super) fn run(mut command: Command, request: &[u8], limits: Limits) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    own_group(&mut command);
    let mut child = match command.spawn() {
        Ok(child) => Group(child),
        Err(error) => {
            let why = Some(format!("could not be started: {error}"));
            return Ended { answer: Vec::new(), output: String::new(), why };
        }
    };
    let (sender, receiver) = mpsc::channel();
    let (answers, outputs) = (child.0.stdout.take(), child.0.stderr.take());
    let to_answer = sender.clone();
    thread::spawn(move || drop(answers.map(|pipe| to_answer.send(read_all(pipe, limits.bytes)))));
    thread::spawn(move || drop(outputs.map(|pipe| sender.send(read_end(pipe, limits.bytes)))));
    // It stays open until the end: when it is closed, also because we are killed, the process ends.
    let mut pipe = child.0.stdin.take();
    let framed = [format!("{}\n", request.len()).as_bytes(), request].concat();
    let writer = thread::spawn(move || {
        // A process that ends without reading has a reason, which its exit code tells.
        drop(pipe.as_mut().map(|pipe| pipe.write_all(&framed).and_then(|()| pipe.flush())));
        pipe
    });
    let deadline = Instant::now() + limits.time;
    let (mut answer, mut output, mut why) = (None, None, None);
    while answer.is_none() {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Read1::Answer(bytes)) => answer = Some(bytes),
            Ok(Read1::Output(bytes)) => output = Some(bytes),
            Ok(Read1::TooLong) => {
                why = Some(format!("printed more than {} MiB", limits.bytes >> 20));
                break;
            }
            Err(RecvTimeoutError::Timeout) => {
                why = Some(format!("did not end within {} s", limits.time.as_secs()));
                break;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let answer = answer.unwrap_or_default();
    if answer.is_empty() && why.is_none() {
        why = child.exit(deadline);
    }
    child.end();
    drop(writer);
    // The pipe may still be held by a process that has left the group.
    if output.is_none() {
        let rest = receiver.recv_timeout(Duration::from_millis(200));
        output = rest.ok().map(|read| match read {
            Read1::Answer(bytes) | Read1::Output(bytes) => bytes,
            Read1::TooLong => Vec::new(),
        });
    }
    let output = String::from_utf8_lossy(&output.unwrap_or_default()).into_owned();
    Ended { answer, output, why }
}

fn read_all(pipe: impl Read, limit: u64) -> Read1 {
    let mut bytes = Vec::new();
    // What was read before an error is still an answer, or not a whole one.
    let _ = pipe.take(limit + 1).read_to_end(&mut bytes);
    if bytes.len() as u64 > limit { Read1::TooLong } else { Read1::Answer(bytes) }
}

fn read_end(mut pipe: impl Read, limit: u64) -> Read1 {
    let (mut kept, mut total, mut buffer) = (Vec::new(), 0_u64, vec![0; 64 * 1024]);
    while let Ok(count) = pipe.read(&mut buffer) {
        if count == 0 {
            break;
        }
        total += count as u64;
        if total > limit {
            return Read1::TooLong;
        }
        kept.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if kept.len() > 2 * KEPT_OUTPUT {
            kept.drain(..kept.len() - KEPT_OUTPUT);
        }
    }
    Read1::Output(kept)
}

/// A process and all it has started; they end when this is dropped.
struct Group(Child);

impl Group {
    /// Returns how a process that gave no answer ended, as the end of a sentence.
    fn exit(&mut self, deadline: Instant) -> Option<String> {
        while Instant::now() < deadline {
            match self.0.try_wait() {
                Ok(Some(status)) => return Some(format!("ended before it had made its pipelines ({status})")),
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                Err(_) => return None,
            }
        }
        Some("closed its output and went on".to_owned())
    }

    fn end(&mut self) {
        kill_group(&mut self.0);
        // It has ended or was killed: there is nothing to do about an error.
        let _ = self.0.wait();
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
    let _ = child.kill();
}

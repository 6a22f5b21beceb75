//! What a step says: masked, written whole to its file, and offered to the listener line by line. Knows no runner.

mod lines;
mod service;

pub(crate) use service::ServiceLogs;

use std::collections::VecDeque;
use std::path::Path;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;

use crate::error::EngineError;
use crate::event::{BuildEvent, LogLine, StdStream};
use crate::event_queue::EventQueue;
use crate::limits::{Full, Room};
use crate::logs::lines::LineSplitter;
use crate::private;
use crate::secrets::{Masker, SecretPatterns};
use crate::sources::readable_size;

/// The lines a failure is shown with.
const TAIL_LINES: usize = 20;
/// What is kept for a listener that is behind; older lines give way.
const PENDING_LINES: usize = 4_096;
const PENDING_BYTES: usize = 1024 * 1024;
/// A piece of an unfinished line goes to the file when it is this long, so that memory stays bounded.
const UNFINISHED_BYTES: usize = 64 * 1024;

/// The output of one step, all attempts together.
#[derive(Debug)]
pub(crate) struct StepLogs {
    step: usize,
    events: EventQueue,
    stdout: Stream,
    stderr: Stream,
    file: LogFile,
    pending: VecDeque<LogLine>,
    pending_bytes: usize,
    skipped: u64,
    tail: VecDeque<LogLine>,
}

/// One of the two streams; they are independent until their lines meet in the file.
#[derive(Debug)]
struct Stream {
    masker: Masker,
    splitter: LineSplitter,
    /// Masked bytes of the line that is not finished yet, not in the file yet.
    unfinished: Vec<u8>,
}

impl StepLogs {
    /// Creates the step's file. An existing one is of an older run with the same folder and is replaced.
    pub(crate) async fn create(
        step: usize,
        path: &Path,
        events: EventQueue,
        patterns: &SecretPatterns,
        room: Room,
    ) -> Result<Self, EngineError> {
        let file = LogFile::create(path, room).await?;
        Ok(Self {
            step,
            events,
            stdout: Stream::new(patterns),
            stderr: Stream::new(patterns),
            file,
            pending: VecDeque::new(),
            pending_bytes: 0,
            skipped: 0,
            tail: VecDeque::new(),
        })
    }

    /// Takes what the command wrote. Waits for the disk, never for the listener.
    pub(crate) async fn write(&mut self, stream: StdStream, bytes: &Bytes) {
        let lines = self.stream_mut(stream).push(bytes);
        self.keep(stream, lines).await;
    }

    /// Ends the command's output: what was held back and lines without an end come out.
    pub(crate) async fn finish_streams(&mut self) {
        for stream in [StdStream::Stdout, StdStream::Stderr] {
            let lines = self.stream_mut(stream).finish();
            self.keep(stream, lines).await;
            let rest = self.stream_mut(stream).take_rest();
            if !rest.is_empty() {
                self.file.write(&rest, &self.events).await;
            }
        }
        self.file.flush(&self.events).await;
    }

    /// Ends the step's output: whatever still waits goes out, and the last lines are returned.
    pub(crate) async fn close(mut self) -> Vec<LogLine> {
        self.finish_streams().await;
        self.say_skipped();
        if !self.pending.is_empty() {
            let lines = self.take_pending();
            self.events.send(BuildEvent::StepLog { step: self.step, lines });
        }
        self.tail.into()
    }

    fn stream_mut(&mut self, stream: StdStream) -> &mut Stream {
        match stream {
            StdStream::Stdout => &mut self.stdout,
            StdStream::Stderr => &mut self.stderr,
        }
    }

    async fn keep(&mut self, stream: StdStream, lines: Vec<String>) {
        let ready = self.stream_mut(stream).take_for_file();
        if !ready.is_empty() {
            self.file.write(&ready, &self.events).await;
        }
        let time = crate::clock::now();
        for text in lines {
            let line = LogLine { stream, time, text: text.into() };
            if self.tail.len() == TAIL_LINES {
                self.tail.pop_front();
            }
            self.tail.push_back(line.clone());
            self.pending_bytes += line.text.len();
            self.pending.push_back(line);
            self.make_room();
        }
        self.offer_pending();
    }

    fn make_room(&mut self) {
        while self.pending.len() > PENDING_LINES || (self.pending_bytes > PENDING_BYTES && self.pending.len() > 1) {
            let Some(line) = self.pending.pop_front() else { return };
            self.pending_bytes -= line.text.len();
            self.skipped += 1;
        }
    }

    fn offer_pending(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let (step, skipped) = (self.step, self.skipped);
        if skipped > 0 {
            if !self.events.offer(|| BuildEvent::StepLogSkipped { step, lines: skipped }) {
                return;
            }
            self.skipped = 0;
        }
        let events = self.events.clone();
        events.offer(|| BuildEvent::StepLog { step, lines: self.take_pending() });
    }

    fn say_skipped(&mut self) {
        if self.skipped > 0 {
            self.events.send(BuildEvent::StepLogSkipped { step: self.step, lines: self.skipped });
            self.skipped = 0;
        }
    }

    fn take_pending(&mut self) -> Vec<LogLine> {
        self.pending_bytes = 0;
        std::mem::take(&mut self.pending).into()
    }
}

impl Stream {
    fn new(patterns: &SecretPatterns) -> Self {
        Self { masker: Masker::new(patterns.clone()), splitter: LineSplitter::default(), unfinished: Vec::new() }
    }

    /// Takes bytes, and returns the lines they complete.
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let masked = self.masker.push(bytes);
        self.take(&masked)
    }

    /// Returns what was held back and a line without an end.
    fn finish(&mut self) -> Vec<String> {
        let masked = self.masker.finish();
        let mut lines = self.take(&masked);
        lines.extend(self.splitter.finish());
        lines
    }

    fn take(&mut self, masked: &[u8]) -> Vec<String> {
        self.unfinished.extend_from_slice(masked);
        self.splitter.push(masked)
    }

    /// Returns what may go to the file: whole lines, so that the two streams do not cut each other's.
    fn take_for_file(&mut self) -> Vec<u8> {
        let whole = match memchr::memrchr(b'\n', &self.unfinished) {
            Some(at) => at + 1,
            None if self.unfinished.len() > UNFINISHED_BYTES => self.unfinished.len(),
            None => 0,
        };
        let rest = self.unfinished.split_off(whole);
        std::mem::replace(&mut self.unfinished, rest)
    }

    /// Returns what the file has not got of the last line, with a line end.
    fn take_rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.unfinished);
        if !rest.is_empty() {
            rest.push(b'\n');
        }
        rest
    }
}

/// The file with every byte there is room for. A disk that refuses is said once; the step goes on.
#[derive(Debug)]
struct LogFile {
    file: tokio::fs::File,
    path: std::path::PathBuf,
    room: Room,
    is_broken: bool,
    is_full: bool,
}

impl LogFile {
    async fn create(path: &Path, room: Room) -> Result<Self, EngineError> {
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        Self::open(path, options, room).await
    }

    async fn append(path: &Path, room: Room) -> Result<Self, EngineError> {
        let mut options = tokio::fs::OpenOptions::new();
        options.append(true).create(true);
        Self::open(path, options, room).await
    }

    async fn open(path: &Path, mut options: tokio::fs::OpenOptions, room: Room) -> Result<Self, EngineError> {
        let error = |source| EngineError::File { doing: "Creating the log file", path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            private::create_folder(folder).map_err(error)?;
        }
        #[cfg(unix)]
        options.mode(0o600);
        let file = options.open(path).await.map_err(error)?;
        Ok(Self { file, path: path.to_owned(), room, is_broken: false, is_full: false })
    }

    async fn write(&mut self, bytes: &[u8], events: &EventQueue) {
        if self.is_full {
            return;
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        if let Err(full) = self.room.take(bytes.len() as u64, folder) {
            self.is_full = true;
            let why = match full {
                Full::Limit(limit) => format!("the logs of this run have reached {}", readable_size(limit)),
                Full::Disk => "the disk is almost full".to_owned(),
            };
            let path = self.path.display();
            events.notice(format!("The log file `{path}` ends early: {why}. The step goes on."));
            // Beyond what there is room for, but for each file once.
            let line = format!("[pipelens: {why}; the rest of the output is not kept]\n");
            let written = self.file.write_all(line.as_bytes()).await;
            return self.say_if_broken(written, events);
        }
        let written = self.file.write_all(bytes).await;
        self.say_if_broken(written, events);
    }

    async fn flush(&mut self, events: &EventQueue) {
        let flushed = self.file.flush().await;
        self.say_if_broken(flushed, events);
    }

    fn say_if_broken(&mut self, result: std::io::Result<()>, events: &EventQueue) {
        if let Err(error) = result
            && !self.is_broken
        {
            self.is_broken = true;
            events.notice(format!("The log file `{}` is not complete: {error}.", self.path.display()));
        }
    }
}

#[cfg(test)]
mod tests;

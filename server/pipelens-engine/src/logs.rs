//! The output of steps: masked, written completely to a file, and offered to the listener line by line. Knows no runners.

mod lines;
mod log_file;
mod service;
mod shown;
mod stream;

pub(crate) use service::ServiceLogs;
pub use shown::as_shown;

use std::collections::VecDeque;
use std::path::Path;

use bytes::Bytes;

use crate::error::EngineError;
use crate::event::{BuildEvent, LogLine, StdStream};
use crate::event_queue::EventQueue;
use crate::limits::Room;
use crate::logs::log_file::LogFile;
use crate::logs::stream::{Stream, TAIL_LINES};
use crate::secrets::SecretPatterns;

/// How much is kept for a slow listener; older lines are dropped.
const PENDING_LINES: usize = 4_096;
const PENDING_BYTES: usize = 1024 * 1024;

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

impl StepLogs {
    /// Creates the step's file. An existing file belongs to an older run with the same directory and is replaced.
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

    /// Processes what the command wrote. Waits for the disk, never for the listener.
    pub(crate) async fn write(&mut self, stream: StdStream, bytes: &Bytes) {
        let lines = self.stream_mut(stream).push(bytes);
        self.keep(stream, lines).await;
    }

    /// Ends the command's output, and writes what was held back and any unfinished lines.
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

    /// Ends the step's output, sends what is still queued, and returns the last lines.
    pub(crate) async fn close(mut self) -> Vec<LogLine> {
        self.finish_streams().await;
        self.report_skipped();
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
        // Whoever hears of skipped lines may look for them in the file.
        if self.skipped > 0 {
            if !self.events.has_room() {
                return;
            }
            self.file.flush(&self.events).await;
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

    fn report_skipped(&mut self) {
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

#[cfg(test)]
mod tests;

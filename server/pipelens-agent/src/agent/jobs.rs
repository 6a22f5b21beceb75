//! A request that is being carried out: its data in both directions, and whether it is still wanted.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};

use super::session::Session;
use crate::protocol::message::{Answer, Control, Failure, FromAgent, Notice, Reason, RequestId, Stream, WindowSize};
use crate::protocol::{CHUNK_BYTES, WINDOW_BYTES};

/// Waiting ends when something happens; this is only how often it is looked at anyway.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What is known about a request while it is carried out.
#[derive(Debug)]
pub(super) struct JobState {
    /// How much the client has room for. A piece may be larger than what is left of it.
    room: i64,
    /// At most as much as the client was given room for.
    input: VecDeque<Bytes>,
    is_input_complete: bool,
    size: Option<WindowSize>,
    is_cancelled: bool,
}

/// A request that is being carried out.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) session: Arc<Session>,
    pub(super) request: RequestId,
}

/// What arrives for a request.
#[derive(Debug)]
pub(super) enum Input {
    Data(Bytes),
    Size(WindowSize),
    End,
    Cancelled,
}

/// The request is no longer wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cancelled;

impl From<Cancelled> for io::Error {
    fn from(_: Cancelled) -> Self {
        Self::new(io::ErrorKind::BrokenPipe, "the request was cancelled")
    }
}

impl From<Cancelled> for Failure {
    fn from(_: Cancelled) -> Self {
        Self { reason: Reason::Cancelled, sentence: "the request was cancelled".into() }
    }
}

impl JobState {
    pub(super) fn new() -> Self {
        Self {
            room: i64::try_from(WINDOW_BYTES).unwrap_or(i64::MAX),
            input: VecDeque::new(),
            is_input_complete: false,
            size: None,
            is_cancelled: false,
        }
    }

    /// Takes what the client says; returns whether it cancels the request.
    pub(super) fn take(&mut self, control: &Control) -> bool {
        match control {
            Control::Start(_) => {}
            Control::End => self.is_input_complete = true,
            Control::Room(bytes) => self.room = self.room.saturating_add(i64::try_from(*bytes).unwrap_or(i64::MAX)),
            Control::Resize(size) => self.size = Some(*size),
            Control::Cancel => self.is_cancelled = true,
        }
        self.is_cancelled
    }

    pub(super) fn take_data(&mut self, bytes: Bytes) {
        self.input.push_back(bytes);
    }
}

impl Job {
    pub(super) fn is_cancelled(&self) -> bool {
        self.session.state().jobs.get(&self.request).is_none_or(|job| job.is_cancelled)
    }

    pub(super) fn notice(&self, notice: Notice) {
        self.session.say(&FromAgent::Notice(self.request, notice));
    }

    /// Ends the request.
    pub(super) fn answer(&self, answer: Result<Answer, Failure>) {
        self.session.state().jobs.remove(&self.request);
        self.notice(Notice::Answer(answer));
    }

    /// Waits until the client takes more data.
    pub(super) fn wait_for_room(&self) -> Result<(), Cancelled> {
        let mut state = self.session.state();
        loop {
            let has_room = state.has_room();
            let Some(job) = state.jobs.get(&self.request).filter(|job| !job.is_cancelled) else {
                return Err(Cancelled);
            };
            if has_room && job.room > 0 {
                return Ok(());
            }
            state = self.session.wait(state, LOOK_AGAIN);
        }
    }

    /// Sends a piece of data, for which there must be room.
    pub(super) fn send_output(&self, stream: Stream, bytes: Bytes) {
        self.send(bytes.len(), &FromAgent::Output(self.request, stream, bytes));
    }

    pub(super) fn send_data(&self, bytes: Bytes) {
        self.send(bytes.len(), &FromAgent::Data(self.request, bytes));
    }

    fn send(&self, bytes: usize, message: &FromAgent) {
        let body = message.encode();
        let mut state = self.session.state();
        if let Some(job) = state.jobs.get_mut(&self.request) {
            job.room -= i64::try_from(bytes).unwrap_or(i64::MAX);
        }
        state.link.push(body);
        drop(state);
        self.session.notify();
    }

    /// Waits for what the client says next, and gives it room for more.
    pub(super) fn next_input(&self) -> Input {
        let mut state = self.session.state();
        let input = loop {
            let Some(job) = state.jobs.get_mut(&self.request).filter(|job| !job.is_cancelled) else {
                return Input::Cancelled;
            };
            if let Some(size) = job.size.take() {
                return Input::Size(size);
            }
            if let Some(bytes) = job.input.pop_front() {
                break bytes;
            }
            if job.is_input_complete {
                return Input::End;
            }
            state = self.session.wait(state, LOOK_AGAIN);
        };
        drop(state);
        self.notice(Notice::Room(input.len() as u64));
        Input::Data(input)
    }

    /// Returns what the client sends as a reader.
    pub(super) fn reader(&self) -> InputReader {
        InputReader { job: self.clone(), piece: Bytes::new() }
    }

    /// Returns a writer to the client.
    pub(super) fn writer(&self) -> DataWriter {
        DataWriter { job: self.clone(), piece: Vec::with_capacity(CHUNK_BYTES) }
    }
}

#[derive(Debug)]
pub(super) struct InputReader {
    job: Job,
    piece: Bytes,
}

impl Read for InputReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.job.next_input() {
                Input::Data(bytes) => self.piece = bytes,
                Input::Size(_) => {}
                Input::End => return Ok(0),
                Input::Cancelled => return Err(Cancelled.into()),
            }
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.split_to(count).copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Splits what is written into chunks of equal size and sends them. `flush` sends the last, shorter chunk.
#[derive(Debug)]
pub(super) struct DataWriter {
    job: Job,
    piece: Vec<u8>,
}

impl Write for DataWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK_BYTES - self.piece.len());
        self.piece.extend_from_slice(bytes.get(..count).unwrap_or_default());
        if self.piece.len() == CHUNK_BYTES {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.piece.is_empty() {
            self.job.wait_for_room()?;
            let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(CHUNK_BYTES));
            self.job.send_data(piece.into());
        }
        Ok(())
    }
}

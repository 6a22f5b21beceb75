//! The talk with a container's supervisor: lines in, output and reports out. Knows no schedule and no other engine call.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use memchr::memmem;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::docker::reason;
use crate::event::StdStream;
use crate::logs::StepLogs;

/// A report is shorter; whatever is longer was never one.
const LONGEST_REPORT_BYTES: usize = 256;

/// Our end of a container's three streams. It stays open for as long as the container is to live.
pub(super) struct Conversation {
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
    stdout: ReportFinder,
    stderr: ReportFinder,
    pub(super) hearing: Arc<Hearing>,
}

/// What can be told of a conversation from outside.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// How many pieces the output has brought.
    pub(super) pieces: AtomicU64,
    /// Waits for the next piece: not held up by the disk that the last one goes to.
    pub(super) is_waiting: AtomicBool,
}

/// How a conversation about one command ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Reported(Report),
    /// The output ended before the report was there; with what the connection said about it, if it said something.
    BrokenOff(Option<String>),
}

/// What the supervisor says when a command and everything it started has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) exit_code: i64,
    pub(super) state: State,
    pub(super) was_short_of_memory: bool,
}

/// How a command leaves its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing runs, and nothing but the filesystem tells that a command ran here.
    Clean,
    /// Nothing runs.
    Quiet,
    /// Something may still run.
    Busy,
}

impl Conversation {
    pub(super) fn new(attached: AttachContainerResults) -> Self {
        let AttachContainerResults { input, output } = attached;
        // Nobody but the supervisor knows it, so no output is taken for a report.
        let mark = Uuid::new_v4().simple().to_string();
        Self {
            input,
            output,
            stdout: ReportFinder::new(&mark),
            stderr: ReportFinder::new(&mark),
            hearing: Arc::default(),
        }
    }

    /// The first thing a supervisor reads.
    pub(super) fn mark_line(&self) -> Bytes {
        format!("{}\n", self.stdout.mark).into()
    }

    /// Passes lines in and output out until the command has ended, or the connection has.
    pub(super) async fn converse(&mut self, mut lines: mpsc::Receiver<Bytes>, logs: &mut impl Listener) -> Outcome {
        let Self { input, output, stdout, stderr, hearing } = self;
        let speak = async {
            while let Some(line) = lines.recv().await {
                // Nobody listens any more: the output tells how it ended.
                if input.write_all(&line).await.is_err() || input.flush().await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let listen = async {
            let (mut out, mut err) = (None, None);
            // Each stream is complete only when its own report has come.
            loop {
                if let (Some(report), Some(_)) = (out, err) {
                    return Outcome::Reported(report);
                }
                hearing.is_waiting.store(true, Ordering::Relaxed);
                let frame = output.next().await;
                hearing.is_waiting.store(false, Ordering::Relaxed);
                hearing.pieces.fetch_add(1, Ordering::Relaxed);
                match frame {
                    Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => {
                        out = out.or(stdout.pass_on(StdStream::Stdout, message, logs).await);
                    }
                    Some(Ok(LogOutput::StdErr { message })) => {
                        err = err.or(stderr.pass_on(StdStream::Stderr, message, logs).await);
                    }
                    Some(Ok(LogOutput::StdIn { .. })) => {}
                    ended @ (Some(Err(_)) | None) => {
                        logs.hear(StdStream::Stdout, &stdout.finish()).await;
                        logs.hear(StdStream::Stderr, &stderr.finish()).await;
                        return Outcome::BrokenOff(ended.and_then(Result::err).map(|error| reason(&error)));
                    }
                }
            }
        };
        tokio::select! {
            result = listen => result,
            () = speak => Outcome::BrokenOff(None),
        }
    }
}

/// Takes what a command writes.
pub(super) trait Listener: Send {
    fn hear(&mut self, stream: StdStream, bytes: &Bytes) -> impl Future<Output = ()> + Send;
}

impl Listener for StepLogs {
    async fn hear(&mut self, stream: StdStream, bytes: &Bytes) {
        self.write(stream, bytes).await;
    }
}

/// For a command of our own: what it complains about.
impl Listener for Vec<u8> {
    async fn hear(&mut self, _stream: StdStream, bytes: &Bytes) {
        self.extend_from_slice(bytes);
    }
}

/// Takes the supervisor's reports out of a stream, whatever way it is cut into frames.
struct ReportFinder {
    mark: String,
    /// What a report begins with; no other byte of it is zero.
    start: Vec<u8>,
    /// May be the beginning of a report.
    held: Vec<u8>,
}

impl ReportFinder {
    fn new(mark: &str) -> Self {
        Self { mark: mark.to_owned(), start: format!("\0{mark} ").into_bytes(), held: Vec::new() }
    }

    async fn pass_on(&mut self, stream: StdStream, frame: Bytes, logs: &mut impl Listener) -> Option<Report> {
        let (output, report) = self.take(frame);
        logs.hear(stream, &output).await;
        report
    }

    /// Takes a frame; returns what the command wrote, and the report if it is complete.
    fn take(&mut self, frame: Bytes) -> (Bytes, Option<Report>) {
        if self.held.is_empty() && memchr::memchr(0, &frame).is_none() {
            return (frame, None);
        }
        self.held.extend_from_slice(&frame);
        let Some(at) = memmem::find(&self.held, &self.start) else {
            let kept = self.start_of_possible_report();
            let rest = self.held.split_off(kept);
            return (std::mem::replace(&mut self.held, rest).into(), None);
        };
        let text = self.held.get(at + self.start.len()..).unwrap_or_default();
        match memchr::memchr(b'\n', text) {
            Some(end) => {
                let report = Report::parse(text.get(..end).unwrap_or_default());
                self.held.truncate(at);
                (self.finish(), report)
            }
            None if text.len() > LONGEST_REPORT_BYTES => (self.finish(), None),
            None => {
                let rest = self.held.split_off(at);
                (std::mem::replace(&mut self.held, rest).into(), None)
            }
        }
    }

    fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }

    fn start_of_possible_report(&self) -> usize {
        let last = memchr::memrchr(0, &self.held);
        let begins = |at: &usize| self.held.get(*at..).is_some_and(|tail| self.start.starts_with(tail));
        last.filter(begins).unwrap_or(self.held.len())
    }
}

impl Report {
    fn parse(text: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(text).ok()?.split(' ');
        let exit_code = words.next()?.parse().ok()?;
        let state = match words.next()? {
            "clean" => State::Clean,
            "quiet" => State::Quiet,
            _ => State::Busy,
        };
        Some(Self { exit_code, state, was_short_of_memory: words.next()? == "short" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take_all(finder: &mut ReportFinder, frames: &[&[u8]]) -> (Vec<u8>, Option<Report>) {
        let mut output = Vec::new();
        let mut report = None;
        for frame in frames {
            let (seen, found) = finder.take(Bytes::copy_from_slice(frame));
            output.extend_from_slice(&seen);
            report = report.or(found);
        }
        output.extend_from_slice(&finder.finish());
        (output, report)
    }

    #[test]
    fn a_report_is_not_output() {
        let (output, report) = take_all(&mut ReportFinder::new("abc"), &[b"no line end\0abc 137 quiet short\n"]);
        assert_eq!(output, b"no line end");
        assert_eq!(report, Some(Report { exit_code: 137, state: State::Quiet, was_short_of_memory: true }));
    }

    #[test]
    fn what_only_looks_like_a_report_is_output() {
        let text: &[u8] = b"\0\0ab\0abd 0 clean enough\n\0ab";
        assert_eq!(take_all(&mut ReportFinder::new("abc"), &[text]), (text.to_vec(), None));
    }

    proptest! {
        #[test]
        fn frames_make_no_difference(before in proptest::collection::vec(prop_oneof![Just(0u8), Just(b'a'), Just(b' ')], 0..20), cuts in proptest::collection::vec(0usize..50, 0..6)) {
            let mut bytes = before.clone();
            bytes.extend_from_slice(b"\0ab 7 clean enough\n");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let frames: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let (output, report) = take_all(&mut ReportFinder::new("ab"), &frames);
            prop_assert_eq!(output, before);
            prop_assert_eq!(report.map(|report| report.exit_code), Some(7));
        }
    }
}

//! The exchange with a supervisor: lines in, output and reports out. Knows no schedule and no engine.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::error::with_causes;
use crate::event::StdStream;
use crate::logs::StepLogs;
use crate::supervisor::report::{Report, ReportFinder};

/// Our end of a supervisor's standard streams, whatever carries them.
pub(crate) struct Streams {
    pub(crate) input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Both output streams, in the order in which they arrive.
    pub(crate) output: Pin<Box<dyn Stream<Item = io::Result<Frame>> + Send>>,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) stream: StdStream,
    pub(crate) bytes: Bytes,
}

/// A supervisor that is being talked to. It lives for as long as its input stays open.
pub(crate) struct Conversation {
    streams: Streams,
    stdout: ReportFinder,
    stderr: ReportFinder,
    pub(crate) activity: Arc<Activity>,
}

/// What can be told of a conversation from outside.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// How many frames have arrived.
    pub(crate) frames: AtomicU64,
    /// Waits for the next frame: not held up by the disk that the last one goes to.
    pub(crate) is_waiting: AtomicBool,
}

/// How a conversation about one command ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Reported(Report),
    /// The output ended before the report arrived; with the reason if the connection gave one.
    BrokenOff(Option<String>),
}

impl Conversation {
    pub(crate) fn new(streams: Streams) -> Self {
        // Only the supervisor knows it, so no output is taken for a report.
        let mark = Uuid::new_v4().simple().to_string();
        Self { streams, stdout: ReportFinder::new(&mark), stderr: ReportFinder::new(&mark), activity: Arc::default() }
    }

    /// The first thing a supervisor reads.
    pub(crate) fn mark_line(&self) -> Bytes {
        format!("{}\n", self.stdout.mark).into()
    }

    /// Passes lines in and output out until the command has ended, or the connection has.
    pub(crate) async fn exchange(
        &mut self,
        mut lines: mpsc::Receiver<Bytes>,
        output_sink: &mut impl OutputSink,
    ) -> Outcome {
        let Self { streams: Streams { input, output }, stdout, stderr, activity } = self;
        let send = async {
            while let Some(line) = lines.recv().await {
                // The other end is closed: the output shows how it ended.
                if input.write_all(&line).await.is_err() || input.flush().await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let receive = async {
            let (mut out, mut err) = (None, None);
            // Each stream is complete only when its own report has come.
            loop {
                if let (Some(report), Some(_)) = (out, err) {
                    return Outcome::Reported(report);
                }
                activity.is_waiting.store(true, Ordering::Relaxed);
                let frame = output.next().await;
                activity.is_waiting.store(false, Ordering::Relaxed);
                activity.frames.fetch_add(1, Ordering::Relaxed);
                match frame {
                    Some(Ok(Frame { stream, bytes })) => {
                        let (finder, report) = match stream {
                            StdStream::Stdout => (&mut *stdout, &mut out),
                            StdStream::Stderr => (&mut *stderr, &mut err),
                        };
                        let (output, found) = finder.take(bytes);
                        output_sink.take(stream, &output).await;
                        *report = report.or(found);
                    }
                    ended @ (Some(Err(_)) | None) => {
                        output_sink.take(StdStream::Stdout, &stdout.finish()).await;
                        output_sink.take(StdStream::Stderr, &stderr.finish()).await;
                        return Outcome::BrokenOff(ended.and_then(Result::err).map(|error| with_causes(&error)));
                    }
                }
            }
        };
        tokio::select! {
            result = receive => result,
            () = send => Outcome::BrokenOff(None),
        }
    }
}

/// Takes what a command writes.
pub(crate) trait OutputSink: Send {
    fn take(&mut self, stream: StdStream, bytes: &Bytes) -> impl Future<Output = ()> + Send;
}

impl OutputSink for StepLogs {
    async fn take(&mut self, stream: StdStream, bytes: &Bytes) {
        self.write(stream, bytes).await;
    }
}

/// For a command of our own: its messages.
impl OutputSink for Vec<u8> {
    async fn take(&mut self, _stream: StdStream, bytes: &Bytes) {
        self.extend_from_slice(bytes);
    }
}

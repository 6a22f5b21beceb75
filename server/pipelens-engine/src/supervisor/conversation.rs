//! The exchange with a supervisor: lines in, output and reports out. Knows nothing about scheduling or engines.

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

/// Our end of a supervisor's standard streams, over any kind of connection.
pub(crate) struct Streams {
    pub(crate) input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Both output streams, in the order in which they arrive.
    pub(crate) output: Pin<Box<dyn Stream<Item = io::Result<Frame>> + Send>>,
}

/// A chunk of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) stream: StdStream,
    pub(crate) bytes: Bytes,
}

/// A conversation with a supervisor, which lives for as long as its input stays open.
pub(crate) struct Conversation {
    streams: Streams,
    stdout: ReportFinder,
    stderr: ReportFinder,
    pub(crate) activity: Arc<Activity>,
}

/// What can be observed of a conversation from outside.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// How many frames have arrived.
    pub(crate) frames: AtomicU64,
    /// Whether it is waiting for the next frame, and not for the disk to which the last one is written.
    pub(crate) is_waiting: AtomicBool,
}

/// How a conversation about one command ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Reported(Report),
    /// The output ended before the report arrived; with the reason, if the connection reported one.
    BrokenOff(Option<String>),
}

impl Conversation {
    pub(crate) fn new(streams: Streams) -> Self {
        // Only the supervisor knows the mark, so no output is mistaken for a report.
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
                // The other end is closed; the output will show why.
                if input.write_all(&line).await.is_err() || input.flush().await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let receive = async {
            let (mut out, mut err) = (None, None);
            // Each stream is complete only when its own report has arrived.
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

/// Receives what a command writes.
pub(crate) trait OutputSink: Send {
    fn take(&mut self, stream: StdStream, bytes: &Bytes) -> impl Future<Output = ()> + Send;
}

impl OutputSink for StepLogs {
    async fn take(&mut self, stream: StdStream, bytes: &Bytes) {
        self.write(stream, bytes).await;
    }
}

/// For commands of our own: collects their messages.
impl OutputSink for Vec<u8> {
    async fn take(&mut self, _stream: StdStream, bytes: &Bytes) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

    use super::*;
    use crate::limits::Room;
    use crate::supervisor::script::TERM_LINE;

    /// Returns our end and the supervisor's: its input, and where it writes.
    fn connected() -> (Conversation, BufReader<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (input, supervisor_input) = tokio::io::duplex(1024);
        let (supervisor_output, output) = tokio::io::duplex(1024);
        let output = futures_util::stream::unfold(output, async |mut output| {
            let mut bytes = vec![0; 16];
            let count = output.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
            bytes.truncate(count);
            Some((Ok(Frame { stream: StdStream::Stdout, bytes: bytes.into() }), output))
        });
        let streams = Streams { input: Box::pin(input), output: output.boxed() };
        (Conversation::new(streams), BufReader::new(supervisor_input), supervisor_output)
    }

    #[tokio::test]
    async fn a_connection_that_ends_before_both_reports_is_broken_off_with_what_was_written() {
        let (mut conversation, mut input, mut output) = connected();
        let mark = conversation.mark_line();
        let (lines, queued) = mpsc::channel(4);
        lines.try_send(mark.clone()).unwrap();
        lines.try_send(Bytes::from_static(TERM_LINE)).unwrap();
        let supervisor = async {
            let mut heard = String::new();
            input.read_line(&mut heard).await.unwrap();
            assert_eq!(heard.as_bytes(), mark);
            let report = format!("said\0{} 7 clean enough\n", heard.trim());
            output.write_all(report.as_bytes()).await.unwrap();
            drop(output);
            heard.clear();
            input.read_line(&mut heard).await.unwrap();
            heard
        };
        let mut said = Vec::new();
        let (outcome, heard) = tokio::join!(conversation.exchange(queued, &mut said), supervisor);
        // The report on standard error has not arrived, so there may have been more output.
        assert!(matches!(outcome, Outcome::BrokenOff(None)), "{outcome:?}");
        assert_eq!((said.as_slice(), heard.as_bytes()), (b"said".as_slice(), TERM_LINE));
        drop(conversation);
        let mut rest = Vec::new();
        input.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"", "the supervisor sees the end of its input");
    }

    #[tokio::test]
    async fn lines_of_both_streams_keep_the_order_in_which_they_arrived() {
        let mut frames: Vec<(StdStream, String)> = (0..100)
            .map(|number| {
                let stream = if number % 3 == 1 { StdStream::Stderr } else { StdStream::Stdout };
                (stream, format!("{number}\n"))
            })
            .collect();
        let output = futures_util::stream::iter(std::iter::from_fn(move || {
            (!frames.is_empty())
                .then(|| frames.remove(0))
                .map(|(stream, text)| Ok(Frame { stream, bytes: text.into() }))
        }));
        let streams = Streams { input: Box::pin(tokio::io::sink()), output: output.boxed() };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("step.log");
        let (events, _queued) = crate::event_queue::open();
        let mut logs = StepLogs::create(0, &file, events, &Default::default(), Room::new(u64::MAX, 0)).await.unwrap();
        let (_lines, queued) = mpsc::channel(1);
        Conversation::new(streams).exchange(queued, &mut logs).await;
        let tail: Vec<String> = logs.close().await.iter().map(|line| line.text.to_string()).collect();
        let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(tail, expected[100 - tail.len()..]);
        assert_eq!(std::fs::read_to_string(file).unwrap().lines().collect::<Vec<_>>(), expected);
    }
}

//! The output of a service: masked, and written completely to a file of its own. The listener only gets its last lines, in an error.

use std::collections::VecDeque;
use std::path::Path;

use crate::error::EngineError;
use crate::event::StdStream;
use crate::event_queue::EventQueue;
use crate::limits::Room;
use crate::logs::log_file::LogFile;
use crate::logs::stream::{Stream, TAIL_LINES};
use crate::secrets::SecretPatterns;

#[derive(Debug)]
pub(crate) struct ServiceLogs {
    events: EventQueue,
    stdout: Stream,
    stderr: Stream,
    file: LogFile,
    tail: VecDeque<String>,
}

impl ServiceLogs {
    /// Opens the service's file, and appends to what an earlier attempt of the step wrote.
    pub(crate) async fn open(
        path: &Path,
        events: EventQueue,
        patterns: &SecretPatterns,
        room: Room,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            file: LogFile::append(path, room).await?,
            events,
            stdout: Stream::new(patterns),
            stderr: Stream::new(patterns),
            tail: VecDeque::new(),
        })
    }

    /// Processes what the service wrote. Waits for the disk.
    pub(crate) async fn write(&mut self, stream: StdStream, bytes: &[u8]) {
        let stream = match stream {
            StdStream::Stdout => &mut self.stdout,
            StdStream::Stderr => &mut self.stderr,
        };
        let lines = stream.push(bytes);
        let ready = stream.take_for_file();
        if !ready.is_empty() {
            self.file.write(&ready, &self.events).await;
        }
        keep_last(&mut self.tail, lines);
    }

    /// Ends the service's output, and returns its last lines.
    pub(crate) async fn finish(mut self) -> Vec<String> {
        for stream in [&mut self.stdout, &mut self.stderr] {
            keep_last(&mut self.tail, stream.finish());
            let mut rest = stream.take_for_file();
            rest.extend(stream.take_rest());
            if !rest.is_empty() {
                self.file.write(&rest, &self.events).await;
            }
        }
        self.file.flush(&self.events).await;
        self.tail.into()
    }
}

fn keep_last(tail: &mut VecDeque<String>, lines: Vec<String>) {
    tail.extend(lines);
    tail.drain(..tail.len().saturating_sub(TAIL_LINES));
}

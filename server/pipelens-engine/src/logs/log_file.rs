//! The file with the output of a step or a service.

use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt as _;

use crate::error::EngineError;
use crate::event_queue::EventQueue;
use crate::files::readable_size;
use crate::limits::{Full, Room};
use crate::private;

/// A log file, complete as long as there is space. A write error is reported once; the step continues.
#[derive(Debug)]
pub(super) struct LogFile {
    file: tokio::fs::File,
    path: PathBuf,
    room: Room,
    is_broken: bool,
    is_full: bool,
}

impl LogFile {
    pub(super) async fn create(path: &Path, room: Room) -> Result<Self, EngineError> {
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        Self::open(path, options, room).await
    }

    pub(super) async fn append(path: &Path, room: Room) -> Result<Self, EngineError> {
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

    pub(super) async fn write(&mut self, bytes: &[u8], events: &EventQueue) {
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
            events.notice(format!("The log file `{path}` ends early: {why}. The step continues."));
            // This exceeds the limit, but only once per file.
            let line = format!("[pipelens: {why}; the rest of the output is not kept]\n");
            let written = self.file.write_all(line.as_bytes()).await;
            return self.report_if_broken(written, events);
        }
        let written = self.file.write_all(bytes).await;
        self.report_if_broken(written, events);
    }

    pub(super) async fn flush(&mut self, events: &EventQueue) {
        let flushed = self.file.flush().await;
        self.report_if_broken(flushed, events);
    }

    fn report_if_broken(&mut self, result: std::io::Result<()>, events: &EventQueue) {
        if let Err(error) = result
            && !self.is_broken
        {
            self.is_broken = true;
            events.notice(format!("The log file `{}` is not complete: {error}.", self.path.display()));
        }
    }
}

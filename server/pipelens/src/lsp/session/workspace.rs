//! The pipeline files in the editor's folders, open or not.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::cli::files;

/// Clients ask every two seconds; large folders take longer than that to search.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Searching takes at most a tenth of the time.
const PAUSE_FACTOR: u32 = 10;
/// More files are left out.
const MOST_FILES: usize = 1000;

/// The files that were found last.
#[derive(Debug, Default)]
pub(crate) struct WorkspaceFiles(Mutex<Option<Found>>);

#[derive(Debug)]
struct Found {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
    until: Instant,
}

impl WorkspaceFiles {
    /// Returns the pipeline files of these folders, without those that version control ignores. Searches the disk, but not each time.
    pub(crate) fn pipelines(&self, folders: Vec<PathBuf>) -> Vec<PathBuf> {
        // Of two that ask at once, the second waits for the first one's answer.
        let mut found = self.0.lock();
        if let Some(found) = found.as_ref().filter(|found| found.folders == folders && Instant::now() < found.until) {
            return found.files.clone();
        }
        let began = Instant::now();
        let mut files: Vec<PathBuf> = Vec::new();
        for folder in &folders {
            match files::pipelines(folder) {
                Ok(found) => files.extend(found),
                Err(error) => tracing::warn!("cannot look for pipelines in `{}`: {error:#}", folder.display()),
            }
        }
        files.sort_unstable();
        files.dedup();
        files.truncate(MOST_FILES);
        let until = Instant::now() + MAX_AGE.max(began.elapsed() * PAUSE_FACTOR);
        *found = Some(Found { folders, files: files.clone(), until });
        files
    }

    /// Has the disk searched again the next time: files have appeared or vanished.
    pub(crate) fn forget(&self) {
        *self.0.lock() = None;
    }
}

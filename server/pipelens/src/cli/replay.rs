//! Reads the lines of a step again that were written faster than they were printed.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

/// How many lines are read at once.
const BATCH: usize = 1_000;

/// How much of a step's log was printed, and how far its file was read.
#[derive(Debug, Default)]
pub(super) struct Replay {
    printed: u64,
    read: u64,
    file: Option<BufReader<File>>,
}

impl Replay {
    /// Lines were printed as they came.
    pub(super) fn printed(&mut self, lines: u64) {
        self.printed += lines;
    }

    /// Reads the next lines after those that were printed and passes them on, some at a time. Returns how many could not be read.
    pub(super) fn each(
        &mut self,
        path: &Path,
        lines: u64,
        mut print: impl FnMut(Vec<String>) -> io::Result<()>,
    ) -> io::Result<u64> {
        if self.file.is_none() {
            self.file = File::open(path).ok().map(BufReader::new);
        }
        // What was printed since is in the file too.
        while self.read < self.printed && self.line().is_some() {}
        let target = self.printed + lines;
        while self.printed < target {
            let batch = usize::try_from(target - self.printed).unwrap_or(BATCH).min(BATCH);
            let batch: Vec<String> = std::iter::from_fn(|| self.line()).take(batch).collect();
            if batch.is_empty() {
                break;
            }
            self.printed += batch.len() as u64;
            print(batch)?;
        }
        let missing = target - self.printed;
        self.printed = target;
        Ok(missing)
    }

    /// Returns the next line of the file. `None`: there is none, or it cannot be read.
    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let count = self.file.as_mut()?.read_until(b'\n', &mut line).ok()?;
        if count == 0 {
            return None;
        }
        self.read += 1;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        Some(String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_skipped_are_read_after_those_that_were_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "1\n2\n3\r\n4\n5\n6").unwrap();
        let mut replay = Replay::default();
        replay.printed(1);
        let read = |replay: &mut Replay, count| {
            let mut lines = Vec::new();
            let missing = replay.each(&path, count, |some| {
                lines.extend(some);
                Ok(())
            });
            (lines, missing.unwrap())
        };
        assert_eq!(read(&mut replay, 2), (vec!["2".to_owned(), "3".to_owned()], 0));
        replay.printed(1);
        assert_eq!(read(&mut replay, 3), (vec!["5".to_owned(), "6".to_owned()], 1));
    }
}

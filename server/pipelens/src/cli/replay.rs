//! Reads the lines of a step again that were written faster than they were printed.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

/// How many lines are read at once.
const BATCH: u64 = 1_000;

/// How much of a step's log was printed, and how far its file was read.
#[derive(Debug, Default)]
pub(super) struct Replay {
    printed: u64,
    read: u64,
    file: Option<BufReader<File>>,
}

/// Lines that are being read.
pub(super) struct Lines<'a> {
    replay: &'a mut Replay,
    left: u64,
}

impl Replay {
    /// Lines were printed as they came.
    pub(super) fn printed(&mut self, lines: u64) {
        self.printed += lines;
    }

    /// Reads the next lines after those that were printed.
    pub(super) fn read(&mut self, path: &Path, lines: u64) -> Lines<'_> {
        if self.file.is_none() {
            self.file = File::open(path).ok().map(BufReader::new);
        }
        // What was printed since is in the file too.
        while self.read < self.printed && self.line().is_some() {}
        Lines { replay: self, left: lines }
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

impl Lines<'_> {
    /// Returns some more lines, or nothing if there are no more.
    pub(super) fn next_lines(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        while self.left > 0 && (lines.len() as u64) < BATCH {
            let Some(line) = self.replay.line() else { break };
            self.left -= 1;
            self.replay.printed += 1;
            lines.push(line);
        }
        (!lines.is_empty()).then_some(lines)
    }

    /// Returns how many lines could not be read.
    pub(super) fn missing(self) -> u64 {
        self.replay.printed += self.left;
        self.left
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
        let mut lines = replay.read(&path, 2);
        assert_eq!(lines.next_lines(), Some(vec!["2".to_owned(), "3".to_owned()]));
        assert_eq!((lines.next_lines(), lines.missing()), (None, 0));
        replay.printed(1);
        let mut lines = replay.read(&path, 3);
        assert_eq!(lines.next_lines(), Some(vec!["5".to_owned(), "6".to_owned()]));
        assert_eq!((lines.next_lines(), lines.missing()), (None, 1));
    }
}

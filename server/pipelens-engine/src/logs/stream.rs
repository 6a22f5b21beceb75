//! One stream of output: masked, and split into lines.

use crate::logs::lines::LineSplitter;
use crate::secrets::{Masker, SecretPatterns};

/// How many lines a failure is shown with.
pub(super) const TAIL_LINES: usize = 20;
/// Once an unfinished line has this many bytes, they are written to the file, so that memory stays bounded.
const UNFINISHED_BYTES: usize = 64 * 1024;

/// One of the two streams, which are independent until their lines are written to the same file.
#[derive(Debug)]
pub(super) struct Stream {
    masker: Masker,
    splitter: LineSplitter,
    /// Masked bytes of the unfinished line that are not in the file yet.
    unfinished: Vec<u8>,
}

impl Stream {
    pub(super) fn new(patterns: &SecretPatterns) -> Self {
        Self { masker: Masker::new(patterns.clone()), splitter: LineSplitter::default(), unfinished: Vec::new() }
    }

    /// Adds bytes, and returns the lines they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let masked = self.masker.push(bytes);
        self.take(&masked)
    }

    /// Returns what was held back, and the unfinished line.
    pub(super) fn finish(&mut self) -> Vec<String> {
        let masked = self.masker.finish();
        let mut lines = self.take(&masked);
        lines.extend(self.splitter.finish());
        lines
    }

    fn take(&mut self, masked: &[u8]) -> Vec<String> {
        self.unfinished.extend_from_slice(masked);
        self.splitter.push(masked)
    }

    /// Returns what may be written to the file: whole lines, so that the two streams do not split each other's lines.
    pub(super) fn take_for_file(&mut self) -> Vec<u8> {
        let whole = match memchr::memrchr(b'\n', &self.unfinished) {
            Some(at) => at + 1,
            None if self.unfinished.len() > UNFINISHED_BYTES => self.unfinished.len(),
            None => 0,
        };
        let rest = self.unfinished.split_off(whole);
        std::mem::replace(&mut self.unfinished, rest)
    }

    /// Returns the part of the last line that is not in the file yet, with a line end.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.unfinished);
        if !rest.is_empty() {
            rest.push(b'\n');
        }
        rest
    }
}

//! The supervisor's reports, which arrive in the middle of a command's output.

use bytes::Bytes;
use memchr::memmem;

/// A report is shorter; anything longer is not a report.
const LONGEST_REPORT_BYTES: usize = 256;

/// What the supervisor reports when a command and everything it started has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) exit_code: i64,
    pub(crate) state: State,
    pub(crate) was_short_of_memory: bool,
}

/// The state in which a command leaves its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing runs, and only the filesystem shows that a command ran here.
    Clean,
    /// Nothing runs.
    Quiet,
    /// Something may still run.
    Busy,
}

/// Extracts the supervisor's reports from a stream, however it is split into frames.
pub(super) struct ReportFinder {
    pub(super) mark: String,
    /// The start of a report; no other byte of a report is zero.
    start: Vec<u8>,
    /// Bytes that may be the beginning of a report.
    held: Vec<u8>,
}

impl ReportFinder {
    pub(super) fn new(mark: &str) -> Self {
        Self { mark: mark.to_owned(), start: format!("\0{mark} ").into_bytes(), held: Vec::new() }
    }

    /// Adds a frame; returns what the command wrote, and the report if it is complete.
    pub(super) fn take(&mut self, frame: Bytes) -> (Bytes, Option<Report>) {
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

    pub(super) fn finish(&mut self) -> Bytes {
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
    fn output_that_looks_like_a_report_is_still_output() {
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

//! Bytes of one stream → lines as a terminal would finally show them. Knows no files and no events.

use memchr::memchr;

use crate::logs::shown::{as_shown, without_unfinished_sequence};

/// A longer line is truncated here, and marked as such.
pub(super) const LONGEST_LINE_BYTES: usize = 1024 * 1024;

/// Assembles lines from chunks that may be split anywhere, even inside a character.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    /// The unfinished line, up to its limit.
    line: Vec<u8>,
    /// How many of its bytes exceed the limit.
    cut_bytes: u64,
}

impl LineSplitter {
    /// Adds bytes and returns the lines they complete.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            self.extend(line);
            lines.push(self.take_line());
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.extend(bytes);
        lines
    }

    /// Returns the last line if it is unfinished.
    pub(super) fn finish(&mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.take_line())
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.line.len() + bytes.len() <= LONGEST_LINE_BYTES {
            self.line.extend_from_slice(bytes);
            return;
        }
        for segment in bytes.split_inclusive(|byte| *byte == b'\r') {
            let room = LONGEST_LINE_BYTES.saturating_sub(self.line.len());
            let (kept, cut) = segment.split_at(room.min(segment.len()));
            self.line.extend_from_slice(kept);
            self.cut_bytes += cut.len() as u64;
            if segment.ends_with(b"\r") {
                self.forget_overwritten();
            }
        }
    }

    /// A progress bar may redraw itself endlessly, so only what it currently shows counts towards the limit.
    fn forget_overwritten(&mut self) {
        let mut shown = as_shown(&self.line).into_owned().into_bytes();
        shown.push(b'\r');
        self.line = shown;
        self.cut_bytes = 0;
    }

    fn take_line(&mut self) -> String {
        let mut text = as_shown(&self.line).into_owned();
        self.line.clear();
        if self.line.capacity() > 64 * 1024 {
            self.line = Vec::new();
        }
        if self.cut_bytes > 0 {
            // A sequence without its end would hide the mark.
            text.truncate(without_unfinished_sequence(&text).len());
            text.push_str(&format!(" … [{} more bytes, cut]", self.cut_bytes));
            self.cut_bytes = 0;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = LineSplitter::default();
        let mut lines: Vec<String> = chunks.iter().flat_map(|chunk| splitter.push(chunk)).collect();
        lines.extend(splitter.finish());
        lines
    }

    #[test]
    fn a_character_split_between_two_frames_is_reassembled() {
        assert_eq!(split(&[b"gr\xc3", b"\xbcn\nrot"]), ["gr\u{fc}n", "rot"]);
    }

    #[test]
    fn windows_line_ends_leave_no_trace() {
        assert_eq!(split(&[b"one\r", b"\ntwo\r\n"]), ["one", "two"]);
    }

    #[test]
    fn progress_shows_its_last_state() {
        assert_eq!(split(&[b" 1%\r 50%\r100%\n"]), ["100%"]);
        assert_eq!(split(&[b"downloading\rdone\n"]), ["doneloading"]);
        assert_eq!(split(&[b"downloading\r\x1b[Kdone\n"]), ["\x1b[Kdone"]);
        assert_eq!(split(&[b"\x1b[32mabc\x1b[0m\rX\n"]), ["Xbc\x1b[0m"]);
    }

    #[test]
    fn a_long_line_is_truncated_and_marked() {
        let long = vec![b'x'; LONGEST_LINE_BYTES + 7];
        let lines = split(&[&long, b"\nnext\n"]);
        assert!(lines[0].ends_with("x \u{2026} [7 more bytes, cut]"));
        assert_eq!(lines[1], "next");
    }

    #[test]
    fn a_sequence_split_between_two_frames_is_reassembled() {
        assert_eq!(
            split(&[b"a\x1b]0;ti", b"\rtle", b"\x1b", b"\\b\x1b[3", b"1mc\n"]),
            ["a\x1b]0;ti\rtle\x1b\\b\x1b[31mc"]
        );
    }

    #[test]
    fn a_title_without_an_end_hides_neither_the_next_line_nor_the_mark() {
        let mut title = b"a\x1b]0;".to_vec();
        title.resize(LONGEST_LINE_BYTES + 9, b'x');
        let lines = split(&[&title, b"\nnext\n"]);
        assert_eq!(lines, ["a \u{2026} [9 more bytes, cut]", "next"]);
    }

    #[test]
    fn endless_progress_is_never_truncated() {
        let bar = b"12345678\r".repeat(LONGEST_LINE_BYTES / 4);
        assert_eq!(split(&[&bar, b"done....\n"]), ["done...."]);
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            parts in proptest::collection::vec(
                prop_oneof![
                    any::<u8>().prop_map(|byte| vec![byte]),
                    proptest::sample::select(&b"\n\r\x1b\x07\x08\x9b\x9c\xc2[]0;m\\P_"[..]).prop_map(|byte| vec![byte]),
                    proptest::sample::select(&["\x1b]8;;x\x1b\\", "\x1b]0;t", "\x1b[1;31m", "\x1b[K", "\x1bP1q", "\u{9b}2J", "é"][..])
                        .prop_map(|text| text.as_bytes().to_vec()),
                ],
                0..60,
            ),
            cuts in proptest::collection::vec(0usize..90, 0..8),
        ) {
            let bytes = parts.concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let starts = std::iter::once(0).chain(cuts.iter().copied());
            let ends = cuts.iter().copied().chain([bytes.len()]);
            let chunks: Vec<&[u8]> = starts.zip(ends).map(|(start, end)| &bytes[start..end]).collect();
            prop_assert_eq!(split(&chunks), split(&[&bytes]));
        }
    }
}

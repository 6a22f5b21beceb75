//! Bytes of one stream → lines as a terminal would finally show them. Knows no files and no events.

use memchr::{memchr, memrchr};

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
        let mut shown = as_shown(&self.line).into_bytes();
        shown.push(b'\r');
        self.line = shown;
        self.cut_bytes = 0;
    }

    fn take_line(&mut self) -> String {
        let mut text = as_shown(&self.line);
        self.line.clear();
        if self.line.capacity() > 64 * 1024 {
            self.line = Vec::new();
        }
        if self.cut_bytes > 0 {
            text.push_str(&format!(" … [{} more bytes, cut]", self.cut_bytes));
            self.cut_bytes = 0;
        }
        text
    }
}

/// Returns a finished line as a terminal shows it: text after a `\r` overwrites the text before it.
fn as_shown(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if memrchr(b'\r', line).is_none() {
        return String::from_utf8_lossy(line).into_owned();
    }
    let text = String::from_utf8_lossy(line);
    text.split('\r').filter(|drawn| !drawn.is_empty()).fold(String::new(), |under, over| written_over(&under, over))
}

fn written_over(under: &str, over: &str) -> String {
    let erases_the_rest =
        ["\x1b[K", "\x1b[0K", "\x1b[2K", "\x1b[J", "\x1b[0J"].iter().any(|erase| over.contains(erase));
    let mut shown = over.to_owned();
    if !erases_the_rest {
        shown.push_str(behind_column(under, width(over)));
    }
    shown
}

/// Returns the part of some text to the right of its first `columns` visible characters.
fn behind_column(text: &str, columns: usize) -> &str {
    let at = visible(text).nth(columns).map_or(text.len(), |(at, _)| at);
    text.get(at..).unwrap_or_default()
}

fn width(text: &str) -> usize {
    visible(text).count()
}

/// Iterates over the visible characters: those outside escape sequences.
fn visible(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut state = Escape::None;
    text.char_indices().filter(move |(_, character)| {
        let was = state;
        state = match (was, character) {
            (Escape::None, '\x1b') => Escape::Begun,
            (Escape::Begun, '[') => Escape::Parameters,
            (Escape::Parameters, '@'..='~') | (Escape::Begun | Escape::None, _) => Escape::None,
            (Escape::Parameters, _) => Escape::Parameters,
        };
        was == Escape::None && state == Escape::None
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    Parameters,
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
    fn endless_progress_is_never_truncated() {
        let bar = b"12345678\r".repeat(LONGEST_LINE_BYTES / 4);
        assert_eq!(split(&[&bar, b"done....\n"]), ["done...."]);
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..80), cut in 0usize..80) {
            let (head, rest) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(split(&[head, rest]), split(&[&bytes]));
        }
    }
}

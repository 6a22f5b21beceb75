//! A line as a terminal finally shows it, control sequences included. Knows no streams and no limits.

use std::borrow::Cow;

use memchr::{memchr, memrchr};
use vte::{Parser, Perform};

const ESCAPE: u8 = 0x1b;

/// Returns a finished line as a terminal shows it: text after a `\r` overwrites the text before it.
pub fn as_shown(line: &[u8]) -> Cow<'_, str> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = String::from_utf8_lossy(line);
    if memchr(b'\r', line).is_none() {
        return text;
    }
    let mut drawn: Vec<&str> = if has_sequence(&text) { drawn(&text) } else { text.split('\r').collect() };
    drawn.retain(|drawn| !drawn.is_empty());
    // Nothing from before it is still there, and a progress bar is redrawn thousands of times.
    let last_that_erases = drawn.iter().rposition(|drawn| erases_the_rest(drawn)).unwrap_or_default();
    Cow::Owned(drawn.into_iter().skip(last_that_erases).fold(String::new(), written_over))
}

/// Returns text without the control sequences at its end that have no end of their own.
pub(super) fn without_unfinished_sequence(mut text: &str) -> &str {
    // The start of a sequence ends the one before, so one that is left out may leave another unfinished.
    while let Some((before, sequence)) = memrchr(ESCAPE, text.as_bytes()).and_then(|at| text.split_at_checked(at)) {
        let mut terminal = Terminal::default();
        terminal.take(sequence);
        // Every unfinished sequence takes a space as its own.
        if terminal.take(" ").is_visible {
            break;
        }
        text = before;
    }
    text
}

/// Splits text where a terminal returns to the start of the line; inside a title or a link, a `\r` has no effect.
fn drawn(text: &str) -> Vec<&str> {
    let mut terminal = Terminal::default();
    let returns = text.match_indices('\r');
    let mut drawn = Vec::new();
    let mut start = 0;
    let mut read = 0;
    for (at, _) in returns {
        terminal.take(text.get(read..at).unwrap_or_default());
        read = at + 1;
        if terminal.take("\r").has_returned {
            drawn.push(text.get(start..at).unwrap_or_default());
            start = read;
        }
    }
    drawn.push(text.get(start..).unwrap_or_default());
    drawn
}

fn written_over(under: String, over: &str) -> String {
    let mut shown = over.to_owned();
    if !erases_the_rest(over) {
        shown.push_str(behind_column(&under, width(over)));
    }
    shown
}

fn erases_the_rest(over: &str) -> bool {
    ["\x1b[K", "\x1b[0K", "\x1b[2K", "\x1b[J", "\x1b[0J"].iter().any(|erase| over.contains(erase))
}

/// Returns the part of some text to the right of its first `columns` visible characters.
fn behind_column(text: &str, columns: usize) -> &str {
    let at = if has_sequence(text) {
        visible(text).nth(columns)
    } else {
        text.char_indices().map(|(at, _)| at).nth(columns)
    };
    text.get(at.unwrap_or(text.len())..).unwrap_or_default()
}

fn width(text: &str) -> usize {
    if has_sequence(text) { visible(text).count() } else { text.chars().count() }
}

fn has_sequence(text: &str) -> bool {
    memchr(ESCAPE, text.as_bytes()).is_some()
}

/// Iterates over the places of the visible characters: those outside control sequences.
fn visible(text: &str) -> impl Iterator<Item = usize> {
    let mut terminal = Terminal::default();
    text.char_indices()
        .filter_map(move |(at, character)| terminal.take(character.encode_utf8(&mut [0; 4])).is_visible.then_some(at))
}

/// Reads text as a terminal does.
#[derive(Default)]
struct Terminal {
    parser: Parser,
}

/// What some text did on a terminal.
#[derive(Default)]
struct Effect {
    is_visible: bool,
    has_returned: bool,
}

impl Terminal {
    fn take(&mut self, text: &str) -> Effect {
        let mut effect = Effect::default();
        self.parser.advance(&mut effect, text.as_bytes());
        effect
    }
}

impl Perform for Effect {
    fn print(&mut self, _: char) {
        self.is_visible = true;
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\t' => self.is_visible = true,
            b'\r' => self.has_returned = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        as_shown(line.as_bytes()).into_owned()
    }

    #[test]
    fn a_return_inside_a_title_or_a_link_redraws_nothing() {
        assert_eq!(shown("ready\x1b]0;a\rb\x07!"), "ready\x1b]0;a\rb\x07!");
        assert_eq!(shown("50%\x1b]0;a\rb\x07\rdone"), "done");
        assert_eq!(shown("one\x1bP1;\rq\x1b\\ two"), "one\x1bP1;\rq\x1b\\ two");
        assert_eq!(shown("one\x1b_\r\x1b\\ two"), "one\x1b_\r\x1b\\ two");
    }

    #[test]
    fn only_the_text_of_a_link_has_a_width() {
        let link = |text: &str| format!("\x1b]8;;https://example.org\x1b\\{text}\x1b]8;;\x1b\\");
        assert_eq!(shown(&format!("downloading\r{}", link("done"))), format!("{}loading", link("done")));
        assert_eq!(shown(&format!("{}\rX", link("done"))), "Xone\x1b]8;;\x1b\\");
        assert_eq!(shown("\x1b]0;a title\x07abc\rX"), "Xbc");
        assert_eq!(shown("downloading\r50%\x1b[K\r\x1b[31m7\rdone"), "done");
        assert_eq!(shown("downloading\r50%\x1b[K\r\x1b[31m7"), "\x1b[31m70%\x1b[K");
        assert_eq!(shown("\x1b(Babc\r\x1b(BX"), "\x1b(BXbc");
    }

    #[test]
    fn a_sequence_without_an_end_is_found_at_the_end_only() {
        for sequence in
            ["\x1b", "\x1b[", "\x1b[1;3", "\x1b]8;;https://exa", "\x1bP1q", "\x1b_x", "\x1b(", "\x1b]0;t\x1b["]
        {
            assert_eq!(without_unfinished_sequence(&format!("a{sequence}")), "a", "{sequence:?}");
        }
        for whole in ["", "a", "\x1b[1m", "\x1b[1mb", "\x1b]0;t\x07", "\x1b]0;t\x1b\\", "\x1b]0;t\x1b\\é", "\x1bc"] {
            assert_eq!(without_unfinished_sequence(whole), whole, "{whole:?}");
        }
    }
}

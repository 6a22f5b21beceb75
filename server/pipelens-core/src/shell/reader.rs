//! Reads a command byte by byte: line continuations, blanks, comments, operators and reserved words.

use std::cell::OnceCell;

use super::dialect::Shell;
use super::document::Document;
use super::feature::BashOnly;
use super::mistake::{self, Mistake, Open};
use crate::text::TextRange;

/// Longer commands are programs; they belong in a file of their own, checked by their own shell.
pub(super) const MAX_BYTES: usize = 64 * 1024;
/// Deeper nesting is only written to exhaust a stack.
const MAX_DEPTH: usize = 60;
/// How often a byte may be read on average: `((` is sometimes read again as two brackets.
const READS_PER_BYTE: usize = 40;
/// How often something may be read in a second way: one inside another doubles the work.
const MAX_SECOND_READINGS: usize = 12;

/// Words that only end or divide a block.
pub(super) const CLOSERS: [&str; 8] = ["then", "elif", "else", "fi", "do", "done", "esac", "}"];
/// Words that mean something at the start of a command.
const RESERVED: [&str; 23] = [
    "if", "then", "elif", "else", "fi", "for", "in", "while", "until", "do", "done", "case", "esac", "{", "}", "!",
    "[[", "]]", "select", "function", "time", "coproc", "alias",
];
const LONGEST_WORD: usize = "function".len();

/// Why reading ended early.
#[derive(Debug)]
pub(super) enum Stop {
    Mistake(Mistake),
    /// What follows cannot be decided; the shell itself will.
    Unknown,
}

pub(super) type Read<T = ()> = Result<T, Stop>;

/// The state of reading one command as one shell does.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) shell: Shell,
    pub(super) at: usize,
    /// Here-documents whose contents start on the next line.
    pub(super) pending: Vec<Document>,
    /// In how many substitutions this is.
    pub(super) substitutions: usize,
    /// Something was read that shells read differently: no mistake after it is certain.
    pub(super) is_doubtful: bool,
    /// What only bash reads, in order.
    pub(super) bash_only: Vec<BashOnly>,
    /// The commands of bash for which the text defines functions; found when one is used.
    pub(super) defined: OnceCell<Vec<&'static str>>,
    pub(super) has_extended_globs: bool,
    /// The commands at the top level, in order, for who asks for them.
    pub(super) commands: Option<Vec<TextRange>>,
    depth: usize,
    reads_left: usize,
    second_readings_left: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, shell: Shell) -> Self {
        Self {
            text,
            shell,
            at: 0,
            pending: Vec::new(),
            substitutions: 0,
            is_doubtful: false,
            bash_only: Vec::new(),
            defined: OnceCell::new(),
            has_extended_globs: shell.is_bash() && text.contains("extglob"),
            commands: None,
            depth: 0,
            second_readings_left: MAX_SECOND_READINGS,
            reads_left: text.len().saturating_mul(READS_PER_BYTE) + 1_000,
        }
    }

    /// Returns the next byte after any line continuation.
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.reads_left = self.reads_left.checked_sub(1)?;
        while self.text.as_bytes().get(self.at..self.at + 2) == Some(b"\\\n") {
            self.at += 2;
        }
        self.text.as_bytes().get(self.at).copied()
    }

    /// Returns the next byte as it is written.
    pub(super) fn raw(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips an operator if it comes next.
    pub(super) fn eat(&mut self, operator: &str) -> bool {
        let start = self.at;
        for byte in operator.bytes() {
            if self.peek() != Some(byte) {
                self.at = start;
                return false;
            }
            self.at += 1;
        }
        true
    }

    pub(super) fn sees(&mut self, operator: &str) -> bool {
        let start = self.at;
        let sees = self.eat(operator);
        self.at = start;
        sees
    }

    /// Skips blanks, and a comment up to the end of its line.
    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        // A backslash at the end continues with nothing; for other shells it is a word.
        if self.shell.is_bash() && self.peek() == Some(b'\\') && self.at + 1 == self.text.len() {
            self.at += 1;
        }
        if self.peek() == Some(b'#') {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        }
    }

    /// Skips blanks, comments, empty lines, and the here-documents between lines.
    pub(super) fn skip_lines(&mut self) -> Read {
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'\n') {
                return Ok(());
            }
            self.at += 1;
            self.read_documents()?;
        }
    }

    /// Returns the reserved word that comes next, if nothing in it is quoted, and where it ends. Does not skip it.
    pub(super) fn reserved(&mut self) -> Option<(&'static str, usize)> {
        let start = self.at;
        let mut word = [0; LONGEST_WORD];
        let mut length = 0;
        let is_whole = loop {
            match self.peek() {
                None | Some(b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>') => break true,
                Some(byte) => {
                    let Some(place) = word.get_mut(length) else { break false };
                    (*place, length) = (byte, length + 1);
                    self.at += 1;
                }
            }
        };
        let end = std::mem::replace(&mut self.at, start);
        let found = RESERVED.iter().find(|reserved| Some(reserved.as_bytes()) == word.get(..length))?;
        is_whole.then_some((*found, end))
    }

    pub(super) fn reserved_word(&mut self) -> Option<&'static str> {
        self.reserved().map(|(word, _)| word)
    }

    /// Skips a reserved word if it comes next, and returns its place.
    pub(super) fn eat_word(&mut self, wanted: &str) -> Option<TextRange> {
        let (word, end) = self.reserved()?;
        (word == wanted).then(|| TextRange::new(std::mem::replace(&mut self.at, end), end))
    }

    pub(super) fn is_outermost(&self) -> bool {
        self.depth == 0
    }

    /// Does something one level deeper.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Stop::Unknown);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Tries a reading; if it fails, nothing has happened.
    pub(super) fn attempt<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        let (at, pending, noted, doubt) = (self.at, self.pending.clone(), self.bash_only.len(), self.is_doubtful);
        let (depth, substitutions) = (self.depth, self.substitutions);
        let result = read(self);
        if result.is_err() {
            (self.at, self.pending, self.is_doubtful) = (at, pending, doubt);
            (self.depth, self.substitutions) = (depth, substitutions);
            self.bash_only.truncate(noted);
        }
        result
    }

    /// Tells whether something may be read again in another way, and counts it.
    pub(super) fn may_read_again(&mut self) -> bool {
        let left = self.second_readings_left.checked_sub(1);
        self.second_readings_left = left.unwrap_or_default();
        left.is_some()
    }

    pub(super) fn stop(&self, mistake: Mistake) -> Stop {
        if self.is_doubtful || self.reads_left == 0 { Stop::Unknown } else { Stop::Mistake(mistake) }
    }

    /// Returns the next operator or word, roughly: it is only shown.
    fn next_token(&mut self) -> TextRange {
        self.skip_blanks();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let operators = [";;&", ";;", ";&", "&&", "||", "|&", "<<<", "<<-", "<<", ">>", ">|", "<&", ">&", "<>"];
        let operator = operators.iter().find(|operator| rest.starts_with(**operator)).map(|operator| operator.len());
        let length = operator.unwrap_or_else(|| match rest.chars().next() {
            None => 0,
            Some(first) if first.is_ascii() && b";&|()<>\n".contains(&(first as u8)) => 1,
            Some(_) => rest.find(|end: char| end.is_whitespace() || ";&|()<>".contains(end)).unwrap_or(rest.len()),
        });
        TextRange::new(self.at, self.at + length)
    }

    /// What comes next cannot be there. `after` is what requires more, at the end of the text.
    pub(super) fn unexpected(&mut self, after: Option<TextRange>) -> Stop {
        let range = self.next_token();
        if range.is_empty()
            && let Some(after) = after
        {
            return self.stop(mistake::unfinished(after.of(self.text), after));
        }
        let mistake = mistake::unexpected(range.of(self.text), range);
        self.stop(mistake)
    }

    /// What comes next ends no block that is open.
    pub(super) fn stray(&mut self) -> Stop {
        let range = self.next_token();
        let written = range.of(self.text);
        let mistake = if matches!(written, "fi" | "done" | "esac" | "}" | ")") {
            mistake::no_opener(written, range)
        } else {
            mistake::unexpected(written, range)
        };
        self.stop(mistake)
    }

    /// Something else comes next than what closes a block.
    pub(super) fn not_closed(&mut self, open: &Open) -> Stop {
        let range = self.next_token();
        let written = range.of(self.text);
        let mistake = match written {
            "" => mistake::unclosed(open),
            "fi" | "done" | "esac" | "}" | ")" => mistake::wrong_closer(written, range, open),
            _ => mistake::unexpected(written, range),
        };
        self.stop(mistake)
    }

    /// The middle part of a block is missing.
    pub(super) fn without(&mut self, wanted: &str, open: &Open) -> Stop {
        let range = self.next_token();
        let written = range.of(self.text);
        if written == open.closer {
            let mistake = mistake::without(wanted, written, range, open);
            return self.stop(mistake);
        }
        self.not_closed(open)
    }
}

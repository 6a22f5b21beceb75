//! What part of a step's output reaches a terminal or a CI system: its text, its colours and its style, and nothing else.

use std::borrow::Cow;

use pipelens_core::printable::is_deceptive;
use vte::{Params, Parser, Perform};

/// Returns a line of a step with its colours. Everything else that would control a terminal is left out, and the style ends with the
/// line.
pub(crate) fn styled(line: &str) -> Cow<'_, str> {
    if is_harmless(line) { Cow::Borrowed(line) } else { Cow::Owned(filtered(line, Reader::Terminal)) }
}

/// Returns a line of a step without colours, for those who show plain text.
pub(crate) fn plain(line: &str) -> Cow<'_, str> {
    if is_harmless(line) { Cow::Borrowed(line) } else { Cow::Owned(filtered(line, Reader::Person)) }
}

/// Returns a line of a step for a program: every character it shows, its colours and its style, and no other control sequence.
pub(crate) fn without_commands(line: &str) -> Cow<'_, str> {
    let obeyed = |character: char| character.is_control() && character != '\t';
    if line.contains(obeyed) { Cow::Owned(filtered(line, Reader::Program)) } else { Cow::Borrowed(line) }
}

/// Who gets a line of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// May be that of a CI system, which takes commands too.
    Terminal,
    /// Sees plain text.
    Person,
    /// Decides itself what it shows.
    Program,
}

fn filtered(line: &str, reader: Reader) -> String {
    let mut filter = Filter { line: String::with_capacity(line.len()), reader, is_styled: false, mark: Mark::None };
    Parser::new().advance(&mut filter, line.as_bytes());
    if filter.is_styled {
        filter.line.push_str("\u{1b}[0m");
    }
    filter.line
}

/// Tells quickly whether a line is shown as it is. Most are.
fn is_harmless(line: &str) -> bool {
    let is_printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    let is_plain = line.as_bytes().iter().all(is_printable)
        || !line.contains(|character| is_deceptive(character) && character != '\t');
    is_plain && memchr::memmem::find(line.as_bytes(), b"##").is_none()
}

/// Returns one of our messages, which may quote a file: our colours stay, and everything else that controls a terminal is escaped.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let is_hidden = |character: char| is_deceptive(character) && !matches!(character, '\n' | '\t');
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = style_length(rest).unwrap_or(character.len_utf8());
        let (part, after) = rest.split_at(length);
        if length > character.len_utf8() || !is_hidden(character) {
            shown.push_str(part);
        } else {
            shown.extend(character.escape_default());
        }
        rest = after;
    }
    Cow::Owned(shown)
}

/// Returns the length of the style escape sequence at the start of text, if there is one.
fn style_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|character: char| !character.is_ascii_digit() && !matches!(character, ';' | ':'))?;
    parameters[end..].starts_with('m').then_some("\u{1b}[".len() + end + 1)
}

/// Returns one of our messages, which may quote a file, without lines that a CI system would interpret as commands.
pub(crate) fn inert(text: &str) -> Cow<'_, str> {
    let starts_command = |line: &str| line.trim_start().starts_with("::");
    if !text.contains("##") && !text.lines().any(|line| starts_command(&anstream::adapter::strip_str(line).to_string()))
    {
        return Cow::Borrowed(text);
    }
    let mut inert = String::with_capacity(text.len() + 8);
    for line in text.split_inclusive('\n') {
        if starts_command(&anstream::adapter::strip_str(line).to_string()) {
            inert.push('\\');
        }
        let mut mark = Mark::None;
        for character in line.chars() {
            mark = mark.followed_by(character, &mut inert);
            inert.push(character);
        }
    }
    Cow::Owned(inert)
}

/// Returns lines of JSON that do not control a terminal and that no CI system interprets as commands. Escapes can only be needed inside
/// strings.
pub(crate) fn inert_json(lines: &str) -> Cow<'_, str> {
    let is_escaped = |character: char| is_deceptive(character) && character != '\n';
    if !lines.contains("##") && !lines.contains(is_escaped) {
        return Cow::Borrowed(lines);
    }
    let mut inert = String::with_capacity(lines.len() + 16);
    let mut before = ' ';
    for character in lines.chars() {
        if is_escaped(character) || (before == '#' && character == '#') {
            for unit in character.encode_utf16(&mut [0; 2]) {
                inert.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            inert.push(character);
        }
        before = character;
    }
    Cow::Owned(inert)
}

/// How many of the characters so far match the beginning of `##[…`, `##vso[…` or `##teamcity[…`, which some systems look for anywhere in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    One,
    Two,
}

impl Mark {
    /// Takes the next character, and adds a space before the bracket that would complete a command.
    fn followed_by(self, character: char, text: &mut String) -> Self {
        match (self, character) {
            (Self::None, '#') => Self::One,
            (Self::One | Self::Two, '#') => Self::Two,
            (Self::Two, '[') => {
                text.push(' ');
                Self::None
            }
            (Self::Two, letter) if letter.is_ascii_alphanumeric() => Self::Two,
            _ => Self::None,
        }
    }
}

struct Filter {
    line: String,
    reader: Reader,
    is_styled: bool,
    mark: Mark,
}

impl Filter {
    fn push(&mut self, character: char) {
        match self.reader {
            Reader::Terminal | Reader::Person => self.mark = self.mark.followed_by(character, &mut self.line),
            Reader::Program => {}
        }
        self.line.push(character);
    }
}

impl Perform for Filter {
    fn print(&mut self, character: char) {
        let is_hidden = match self.reader {
            Reader::Terminal | Reader::Person => is_deceptive(character),
            Reader::Program => character.is_control(),
        };
        if !is_hidden {
            self.push(character);
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\t' => self.push('\t'),
            // Text that would overwrite earlier text on a terminal is shown after it instead.
            b'\r' | b'\n' => self.push(' '),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], is_cut: bool, action: char) {
        if action != 'm' || !intermediates.is_empty() || is_cut {
            return;
        }
        match self.reader {
            Reader::Person => return,
            Reader::Terminal | Reader::Program => self.is_styled = true,
        }
        self.line.push_str("\u{1b}[");
        for (index, parts) in params.iter().enumerate() {
            for (part, value) in parts.iter().enumerate() {
                match (index, part) {
                    (0, 0) => {}
                    (_, 0) => self.line.push(';'),
                    (_, _) => self.line.push(':'),
                }
                self.line.push_str(&value.to_string());
            }
        }
        self.line.push('m');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_stay_and_end_with_the_line() {
        assert_eq!(styled("\u{1b}[1;31mred\u{1b}[0m"), "\u{1b}[1;31mred\u{1b}[0m\u{1b}[0m");
        assert_eq!(styled("\u{1b}[38:2:1:2:3mx"), "\u{1b}[38:2:1:2:3mx\u{1b}[0m");
        assert_eq!(styled("a\tb é 👩\u{200d}💻"), "a\tb é 👩\u{200d}💻");
        assert_eq!(plain("\u{1b}[1;31mred"), "red");
    }

    #[test]
    fn every_other_control_sequence_is_left_out() {
        for sequence in [
            "\u{1b}]52;c;aGk=\u{7}",
            "\u{1b}]0;title\u{7}",
            "\u{1b}]8;;http://x\u{1b}\\",
            "\u{1b}[2J",
            "\u{1b}[H",
            "\u{1b}[10A",
            "\u{1b}[?25l",
            "\u{1b}[?1049h",
            "\u{1b}P+q\u{1b}\\",
            "\u{1b}_bk;t=1\u{7}\u{1b}\\",
            "\u{1b}c",
            "\u{1b}[>4;2m",
            "\u{1b}[6n",
            "\u{9b}2J",
            "\u{9d}0;x\u{9c}",
            "\u{7}\u{8}\u{0}",
            "\u{202e}\u{2066}",
        ] {
            let printed = format!("a{sequence}b");
            let line = styled(&printed);
            assert!(line.starts_with('a') && line.ends_with('b'), "{sequence:?}: {line:?}");
            assert!(!line.contains(|character: char| character.is_control()), "{sequence:?}: {line:?}");
        }
        for open in ["\u{1b}", "\u{1b}]8;;http://x", "\u{1b}[", "\u{1b}[31", "\u{1b}]52;c;aGk", "\u{1b}P", "\u{1b}_"] {
            assert_eq!(styled(&format!("a{open}")), "a", "{open:?}");
        }
    }

    #[test]
    fn the_text_of_a_link_stays() {
        let link = "see \u{1b}]8;id=1;https://example.org\u{1b}\\\u{1b}[4mthe page\u{1b}[24m\u{1b}]8;;\u{7}.";
        assert_eq!(styled(link), "see \u{1b}[4mthe page\u{1b}[24m.\u{1b}[0m");
        assert_eq!(plain(link), "see the page.");
        assert_eq!(without_commands(link), "see \u{1b}[4mthe page\u{1b}[24m.\u{1b}[0m");
    }

    #[test]
    fn a_program_gets_every_character_that_is_shown() {
        let text = "##[x] a\tb \u{202e}é 👩\u{200d}💻";
        assert_eq!(without_commands(text), text);
        assert_eq!(without_commands(&format!("{text}\u{1b}]0;t\u{7}\u{8}\u{9b}")), text);
    }

    #[test]
    fn no_line_is_a_command_of_a_ci_system() {
        assert_eq!(styled("##[set-env name=A]b"), "## [set-env name=A]b");
        assert_eq!(styled("x ##vso[task.setvariable]y"), "x ##vso [task.setvariable]y");
        assert_eq!(styled("##teamcity[x]"), "##teamcity [x]");
        assert_eq!(plain("#\u{1b}[m#\u{1b}[1m[error]"), "## [error]");
        assert_eq!(styled("a\r::set-env name=A::b"), "a ::set-env name=A::b");
        assert_eq!(styled("# [link] ## heading"), "# [link] ## heading");
        assert_eq!(
            inert(
                r"a
  ::error::x
##[group]
"
            ),
            "a\n\\  ::error::x\n## [group]\n"
        );
        assert_eq!(inert("\u{1b}[1m::stop-commands::x"), "\\\u{1b}[1m::stop-commands::x");
        assert_eq!(inert("a: b :: c\n"), "a: b :: c\n");
        let json = serde_json::json!({"text": "##[x] ###vso[ \u{9b}\u{202e}\u{e0041}"}).to_string();
        assert!(!inert_json(&json).contains("##") && inert_json(&json).is_ascii());
        let read = serde_json::from_str::<serde_json::Value>(&inert_json(&json)).unwrap();
        assert_eq!(read["text"], "##[x] ###vso[ \u{9b}\u{202e}\u{e0041}");
    }

    #[test]
    fn text_quoted_in_our_messages_is_escaped() {
        assert_eq!(visible("\u{1b}[1;31mred\u{1b}[0m\tb\n"), "\u{1b}[1;31mred\u{1b}[0m\tb\n");
        assert_eq!(visible("\u{1b}]52;c;aGk=\u{7}"), "\\u{1b}]52;c;aGk=\\u{7}");
        assert_eq!(visible("\u{1b}[2J\u{9b}\u{202e}\r\u{1b}"), "\\u{1b}[2J\\u{9b}\\u{202e}\\r\\u{1b}");
    }

    proptest! {
        #[test]
        fn an_escape_is_always_a_style(line in "[\u{1b}\u{9b}\u{9d}\\[\\]?>;:0-9mHJABc\\\\P_\u{7}\r\t#vso a-z\u{202e}]{0,40}") {
            for shown in [styled(&line), without_commands(&line)] {
                let mut rest = &*shown;
                while let Some((before, sequence)) = rest.split_once('\u{1b}') {
                    prop_assert!(!before.contains(|character: char| character.is_control() && character != '\t'));
                    let (parameters, after) = sequence.split_once('m').unwrap();
                    prop_assert!(parameters.starts_with('['));
                    prop_assert!(parameters[1..].bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':')));
                    rest = after;
                }
                prop_assert!(!rest.contains(|character: char| character.is_control() && character != '\t'));
                let is_ended = !shown.contains('\u{1b}') || shown.ends_with("\u{1b}[0m");
                prop_assert!(is_ended);
            }
            let shown = styled(&line);
            let visible = plain(&line);
            prop_assert!(!visible.contains(|character: char| is_deceptive(character) && character != '\t'));
            prop_assert!(!visible.contains("##[") && !visible.contains("##vso["));
            prop_assert_eq!(plain(&shown), visible);
        }
    }
}

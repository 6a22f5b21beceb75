//! Values that are meant as text, but begin like something else in YAML.

use super::candidate::Candidate;
use super::line::{Below, Line, blanks, content};
use crate::syntax::parse::{ParseError, Reason, explain};
use crate::syntax::written::single_quoted;
use crate::text::{LineIndex, TextEdit, TextRange};

/// How many lines a value may have.
const LINES_OF_A_VALUE: usize = 60;

/// A key and its value on one line, or an item.
struct Value<'text> {
    start: usize,
    text: &'text str,
    /// The word before the colon; nothing in an item.
    key: &'text str,
}

impl Value<'_> {
    fn range(&self) -> TextRange {
        TextRange::new(self.start, self.start + self.text.len())
    }

    /// Whether the value can only be text.
    fn is_surely_text(&self) -> bool {
        matches!(self.key, "cmd" | "label" | "run" | "script" | "command")
    }
}

/// Puts a whole value in quotes. Only outside of brackets.
pub(super) fn as_text(line: Line<'_>, error: ParseError) -> Option<Candidate> {
    let value =
        value(line).filter(|value| error.offset >= line.start && value.start <= error.offset.max(value.start))?;
    if error.offset > line.end() {
        return None;
    }
    let first = value.text.chars().next()?;
    let left_over = match (first, error.reason) {
        ('[' | '{', _) => Some(after_brackets(value.text)?),
        ('"' | '\'', _) => Some(after_quotes(value.text)?),
        _ => None,
    };
    let message = match (first, error.reason) {
        ('[', Reason::AfterQuote | Reason::MissingComma | Reason::StrayBracket | Reason::NestedColon | Reason::UnclosedBracket) => {
            "A value that starts with `[` is a list in YAML, and nothing may follow its `]`. Put the whole value in quotes.".to_owned()
        }
        ('{', Reason::AfterQuote | Reason::MissingComma | Reason::StrayBracket | Reason::NestedColon | Reason::UnclosedBracket) => {
            "A value that starts with `{` is a mapping in YAML, and nothing may follow its `}`. Put the whole value in quotes.".to_owned()
        }
        ('"' | '\'', Reason::AfterQuote | Reason::NestedColon | Reason::BareWord) => format!(
            "A value that starts with a quote ends with the next one, and nothing may follow: `{}` is left over. Put the whole value in quotes.",
            left_over.unwrap_or_default().trim()
        ),
        ('*', Reason::MissingAliasName | Reason::NestedColon | Reason::BareWord) => {
            "A value that starts with `*` refers to an anchor in YAML. If it is text, put it in quotes.".to_owned()
        }
        ('&', Reason::MissingAliasName | Reason::NestedColon | Reason::BareWord) => {
            "A value that starts with `&` names an anchor in YAML. If it is text, put it in quotes.".to_owned()
        }
        ('!', Reason::Tag | Reason::NestedColon) => {
            "A value that starts with `!` has a tag in YAML. If it is text, put it in quotes.".to_owned()
        }
        ('>', Reason::BlockHeader) => {
            "A value that starts with `>` is a block in YAML, and its text is on the next lines. If this is the text, put it in quotes.".to_owned()
        }
        ('-' | '[' | '{' | '"' | '\'' | '|' | '>' | '*' | '&' | '!', _) => return None,
        (_, Reason::NestedColon | Reason::ReservedCharacter(_)) => explain(error.reason),
        _ => return None,
    };
    // A quote inside the same quotes, as in `'don't'`, is meant as text as well.
    let inner =
        value.text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).filter(|inner| is_apostrophe(inner));
    let written = match inner {
        Some(inner) => single_quoted(inner),
        None => quoted(value.text),
    };
    let message = match inner {
        Some(_) => "This `'` ends the value. Inside of single quotes, write it twice: `''`.".to_owned(),
        None => message,
    };
    let title = if inner.is_some() { "Write `'` twice" } else { "Put the value in quotes" };
    Some(Candidate {
        edits: vec![TextEdit { range: value.range(), new_text: written }],
        range: value.range(),
        message,
        fix: Some(title.to_owned()),
        is_safe: value.is_surely_text() || matches!(error.reason, Reason::ReservedCharacter(_)),
    })
}

/// Puts a value in quotes that is on several lines and has a `: ` in one of them.
pub(super) fn text_of_lines(text: &str, lines: &LineIndex, line: usize, error: ParseError) -> Option<Candidate> {
    let is_ours = matches!(error.reason, Reason::NestedColon | Reason::BareWord | Reason::Indentation | Reason::Other);
    let indent = |line: usize| blanks(content(text, lines, line)).len();
    let is_blank = |line: usize| content(text, lines, line).trim().is_empty();
    let above = (0..line).rev().take(LINES_OF_A_VALUE).filter(|above| !is_blank(*above));
    let first = above.into_iter().find(|above| indent(*above) < indent(line)).filter(|_| is_ours)?;
    let whole = content(text, lines, first);
    let value = value(Line { start: lines.line_start(first), content: whole, above: "", below: Below::Unknown })?;
    let is_plain = !value.key.is_empty() && !value.text.starts_with(['"', '\'', '|', '>', '[', '{', '*', '&', '!']);
    let is_whole = value.range().end == lines.line_start(first) + whole.len();
    let last = (first + 1..lines.line_count())
        .take(LINES_OF_A_VALUE)
        .take_while(|below| is_blank(*below) || indent(*below) > indent(first));
    let last = last.filter(|below| !is_blank(*below)).last().filter(|last| *last >= line && is_plain && is_whole)?;
    let range = TextRange::new(value.start, lines.line_start(last) + content(text, lines, last).len());
    let written = range.of(text);
    let has_comment = written.contains(" #") || written.lines().any(|line| line.trim_start().starts_with("- "));
    let is_text = line_has_colon(content(text, lines, line)) && !has_comment;
    is_text.then(|| Candidate {
        edits: vec![TextEdit { range, new_text: quoted(written) }],
        range: TextRange::new(
            lines.line_start(line) + indent(line),
            lines.line_start(line) + content(text, lines, line).len(),
        ),
        message: format!(
            "This continues the value of `{}`, but its `: ` makes it look like a key. Put the whole value in quotes.",
            value.key
        ),
        fix: Some("Put the value in quotes".to_owned()),
        is_safe: value.is_surely_text(),
    })
}

/// Whether a line has a colon that ends no key at its beginning.
fn line_has_colon(content: &str) -> bool {
    content.trim().split_once(": ").is_some_and(|(before, _)| before.contains([' ', '"', '\'']))
}

/// Doubles every backslash that begins no escape of YAML. Points at the first.
pub(super) fn escapes(line: Line<'_>, error: ParseError) -> Option<Candidate> {
    if error.reason != Reason::BadEscape || error.offset < line.start || error.offset > line.end() {
        return None;
    }
    let bytes = line.content.as_bytes();
    let mut edits: Vec<TextEdit> = Vec::new();
    let mut quote = None;
    let mut position = 0;
    while let Some(byte) = bytes.get(position) {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(*byte),
            (None, b'#') if position > 0 && bytes.get(position - 1) == Some(&b' ') => break,
            (Some(open), byte) if open == *byte => quote = None,
            (Some(b'"'), b'\\') => {
                if !is_escape(bytes.get(position + 1..).unwrap_or_default()) {
                    let range = TextRange::at(line.start + position);
                    edits.push(TextEdit { range, new_text: "\\".to_owned() });
                }
                position += 1;
            }
            _ => {}
        }
        position += 1;
    }
    let first = edits.first()?.range.start;
    let escaped = line.content.get(first - line.start + 1..)?.chars().next();
    let range = TextRange::new(first, first + 1 + escaped.map_or(0, char::len_utf8));
    let escape = line.content.get(range.start - line.start..range.end - line.start)?;
    Some(Candidate {
        edits,
        range,
        message: format!(
            "`{escape}` is no escape in double quotes. Write `\\{escape}` for the backslash itself, or use single quotes."
        ),
        fix: Some("Write the backslash twice".to_owned()),
        is_safe: true,
    })
}

/// Puts an item in quotes that begins with `*` or `&`, in brackets.
pub(super) fn nameless_item(line: Line<'_>, error: ParseError) -> Option<Candidate> {
    let start = error.offset.checked_sub(line.start).filter(|_| error.reason == Reason::MissingAliasName)?;
    let rest = line.content.get(start..).filter(|rest| rest.starts_with(['*', '&']))?;
    let end = rest.find([',', ']', '}']).or_else(|| rest.find(" #")).unwrap_or(rest.len());
    let item = rest.get(..end)?.trim_end();
    let range = TextRange::new(error.offset, error.offset + item.len());
    Some(Candidate {
        edits: vec![TextEdit { range, new_text: quoted(item) }],
        range,
        message: explain(Reason::MissingAliasName),
        fix: Some("Put it in quotes".to_owned()),
        is_safe: item.starts_with('*'),
    })
}

/// Removes the comma after a value, which only brackets have.
pub(super) fn stray_comma(line: Line<'_>, error: ParseError) -> Option<Candidate> {
    let is_here = error.reason == Reason::AfterQuote && error.offset >= line.start && error.offset <= line.end();
    let before = line.content.strip_suffix(',').filter(|before| is_here && before.ends_with(['"', '\'']))?;
    let place = line.start + before.len();
    Some(Candidate {
        edits: vec![TextEdit { range: TextRange::new(place, place + 1), new_text: String::new() }],
        range: TextRange::new(place, place + 1),
        message: "A `,` separates values only inside of brackets. Remove it.".to_owned(),
        fix: Some("Remove `,`".to_owned()),
        is_safe: true,
    })
}

/// Returns the value of `key: value` or `- value`, without a comment after it.
fn value(line: Line<'_>) -> Option<Value<'_>> {
    let mut rest = line.content.trim_start_matches([' ', '\t']);
    let mut is_item = false;
    while let Some(item) = rest.strip_prefix("- ") {
        rest = item.trim_start();
        is_item = true;
    }
    let is_word = |key: &str| {
        !key.is_empty() && key.chars().all(|character| character.is_alphanumeric() || "_-.".contains(character))
    };
    let (key, text) = match rest.split_once(':') {
        Some((key, text)) if is_word(key) && text.starts_with([' ', '\t']) => (key, text.trim_start()),
        _ if is_item => ("", rest),
        _ => return None,
    };
    let text = text.get(..comment_start(text)).unwrap_or(text).trim_end();
    let start = line.end() - (line.content.len() - line.content.rfind(text)?);
    (!text.is_empty()).then_some(Value { start, text, key })
}

/// Where a comment starts that is in no quotes; at the end if there is none.
fn comment_start(text: &str) -> usize {
    let mut quote = None;
    let mut before = ' ';
    for (position, character) in text.char_indices() {
        match quote {
            None if character == '#' && before.is_whitespace() && position > 0 => return position,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            Some(open) if open == character && before != '\\' => quote = None,
            None | Some(_) => {}
        }
        before = character;
    }
    // A quote that is never closed hides no comment.
    if quote.is_some() { text.find(" #").unwrap_or(text.len()) } else { text.len() }
}

/// Returns what follows the brackets that a value starts with. `None`: they are not closed, or nothing follows.
fn after_brackets(value: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut quote = None;
    for (position, character) in value.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return value.get(position + 1..).filter(|rest| !rest.trim().is_empty());
                }
            }
            (None | Some(_), _) => {}
        }
    }
    None
}

/// Returns what follows the quoted string that a value starts with.
fn after_quotes(value: &str) -> Option<&str> {
    let quote = value.chars().next()?;
    let mut is_escaped = false;
    for (position, character) in value.char_indices().skip(1) {
        match character {
            _ if std::mem::take(&mut is_escaped) => {}
            '\\' if quote == '"' => is_escaped = true,
            _ if character == quote => {
                return value.get(position + 1..).filter(|rest| !rest.trim().is_empty());
            }
            _ => {}
        }
    }
    None
}

/// Whether there is one quote in it, between two letters.
fn is_apostrophe(inner: &str) -> bool {
    let mut parts = inner.split('\'');
    let (Some(before), Some(after), None) = (parts.next(), parts.next(), parts.next()) else { return false };
    before.ends_with(char::is_alphabetic) && after.starts_with(char::is_alphabetic)
}

/// Writes text in the quotes that need the fewest changes.
fn quoted(text: &str) -> String {
    if text.contains('\'') && !text.contains(['"', '\\']) {
        return format!("\"{text}\"");
    }
    single_quoted(text)
}

/// Whether a backslash before this begins an escape.
fn is_escape(after: &[u8]) -> bool {
    let hex = |digits: usize| after.get(1..=digits).is_some_and(|found| found.iter().all(u8::is_ascii_hexdigit));
    match after.first() {
        None => true,
        Some(
            b'0' | b'a' | b'b' | b't' | b'\t' | b'n' | b'v' | b'f' | b'r' | b'e' | b' ' | b'"' | b'/' | b'\\' | b'N'
            | b'_' | b'L' | b'P',
        ) => true,
        Some(b'x') => hex(2),
        Some(b'u') => hex(4),
        Some(b'U') => hex(8),
        Some(_) => false,
    }
}

//! The edits that might repair an error: what people leave out while they type.

use std::cmp::Ordering;

use super::brackets::{is_bracketed, lost_bracket};
use super::candidate::Candidate;
use crate::syntax::parse::{ParseError, Reason, explain};
use crate::text::{LineIndex, TextEdit, TextRange};

/// One line without its line break.
#[derive(Clone, Copy)]
struct Line<'text> {
    start: usize,
    content: &'text str,
    /// The blanks of the non-blank line above.
    indent_above: &'text str,
    below: Below,
}

/// How the next non-blank line of text in brackets is indented. In other texts this means nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Deeper,
    Same,
    Unknown,
}

/// How far above an error a quote may have been opened that was never closed.
const QUOTE_REACH: usize = 30;

/// How far above an error the item or block it is in may begin.
const LINES_OF_AN_ITEM: usize = 60;

/// Returns the edits to try, most likely first.
pub(super) fn candidates(text: &str, lines: &LineIndex, line: usize, error: ParseError) -> Vec<Candidate> {
    let places = places(text, lines, line);
    let mut result = Vec::new();
    let is_bracket = matches!(
        error.reason,
        Reason::UnclosedBracket
            | Reason::MissingComma
            | Reason::StrayBracket
            | Reason::NestedColon
            | Reason::AfterQuote
    );
    if is_bracket {
        result.extend(lost_bracket(text, lines));
    }
    for place in &places {
        result.extend(missing_quote(*place));
    }
    result.extend(lost_dash(text, lines, line, error));
    for place in &places {
        result.extend(missing_bracket(*place));
        result.extend(missing_colon_between(*place));
        result.extend(missing_comma(*place, error));
        result.extend(missing_space_after_dash(*place));
        result.extend(indentation(*place, error));
        result.extend(missing_colon(*place));
        result.extend(missing_space(*place));
        result.extend(unquoted_value(*place, error));
    }
    result.extend(lost_key(text, lines, line));
    result.extend(places.iter().filter_map(|place| without_value(*place, error)));
    result.extend(places.iter().filter_map(|place| without_line(*place, error)));
    result
}

/// Returns the error's line, the two non-blank ones before it, a tabbed one after it, and one with an odd quote.
fn places<'text>(text: &'text str, lines: &LineIndex, line: usize) -> Vec<Line<'text>> {
    let content = |line: usize| content(text, lines, line);
    let is_blank = |line: &usize| content(*line).trim().is_empty();
    let is_bracketed = is_bracketed(text);
    let below = |line: usize| {
        let next = (line + 1..lines.line_count()).take(QUOTE_REACH).find(|line| !is_blank(line));
        let own = blanks(content(line)).len();
        match next.filter(|_| is_bracketed).map(|next| blanks(content(next)).len().cmp(&own)) {
            Some(Ordering::Greater) => Below::Deeper,
            Some(Ordering::Equal) => Below::Same,
            Some(Ordering::Less) | None => Below::Unknown,
        }
    };
    let mut numbers: Vec<usize> = Vec::new();
    numbers.extend(Some(line).filter(|line| !is_blank(line)));
    numbers.extend((0..line).rev().take(QUOTE_REACH).filter(|line| !is_blank(line)).take(2));
    numbers.extend(Some(line + 1).filter(|next| *next < lines.line_count() && blanks(content(*next)).contains('\t')));
    let odd = (0..line).rev().take(QUOTE_REACH).find(|line| open_quote(content(*line)).is_some());
    numbers.extend(odd.filter(|odd| !numbers.contains(odd)));
    numbers
        .into_iter()
        .map(|number| Line {
            start: lines.line_start(number),
            content: content(number),
            indent_above: (0..number)
                .rev()
                .take(QUOTE_REACH)
                .find(|line| !is_blank(line))
                .map_or("", |line| blanks(content(line))),
            below: below(number),
        })
        .collect()
}

fn content<'text>(text: &'text str, lines: &LineIndex, line: usize) -> &'text str {
    let range = lines.line_range(line);
    range.of(text).trim_end()
}

fn blanks(content: &str) -> &str {
    content.get(..content.len() - content.trim_start_matches([' ', '\t']).len()).unwrap_or_default()
}

impl Line<'_> {
    fn end(self) -> usize {
        self.start + self.content.len()
    }

    /// What a person sees of it.
    fn visible(self) -> TextRange {
        TextRange::new(self.start + blanks(self.content).len(), self.end())
    }

    fn append(self, added: &str) -> TextEdit {
        TextEdit { range: TextRange::at(self.end()), new_text: added.to_owned() }
    }

    /// Where the value after `key: ` starts, relative to the line.
    fn value_start(self) -> Option<usize> {
        let colon = self.content.find(": ")?;
        let value = self.content.get(colon + 1..)?;
        Some(colon + 1 + value.len() - value.trim_start().len())
    }
}

fn missing_quote(line: Line<'_>) -> Vec<Candidate> {
    let Some((offset, quote)) = open_quote(line.content) else { return Vec::new() };
    // In JSON a deeper line belongs to a name, and a line at the same depth is the next entry.
    let endings: &[&str] = match line.below {
        Below::Deeper => &[": {", ": [", ":", ",", "", "]", "}"],
        Below::Same => &[",", ": null,", "", ":", "]", "}"],
        Below::Unknown => &["", ":", ",", "]", "}"],
    };
    let candidate = |ending: String| Candidate {
        range: TextRange::new(line.start + offset, line.end()),
        message: format!("This `{quote}` is never closed. Add `{quote}` at the end."),
        fix: Some(format!("Add `{ending}`")),
        edits: vec![line.append(&ending)],
    };
    endings.iter().map(|ending| candidate(format!("{quote}{ending}"))).collect()
}

/// Restores the missing `-` of an item: its keys are where those of an item would be, and the next one begins with `-`.
fn lost_dash(text: &str, lines: &LineIndex, line: usize, error: ParseError) -> Option<Candidate> {
    let indent = blanks(content(text, lines, line)).len();
    if error.reason != Reason::DashAmongKeys || !content(text, lines, line).trim_start().starts_with("- ") {
        return None;
    }
    let visible = (0..line).rev().take(LINES_OF_AN_ITEM).filter(|line| !content(text, lines, *line).trim().is_empty());
    let first = visible.take_while(|line| blanks(content(text, lines, *line)).len() > indent).last()?;
    let own = content(text, lines, first);
    let start = lines.line_start(first) + indent;
    (blanks(own).len() == indent + 2 && !blanks(own).contains('\t')).then(|| Candidate {
        edits: vec![TextEdit { range: TextRange::new(start, start + 2), new_text: "- ".to_owned() }],
        range: TextRange::new(start + 2, lines.line_start(first) + own.len()),
        message: "A `-` is missing before this: these keys belong to a list item. Add it.".to_owned(),
        fix: Some("Add `-`".to_owned()),
    })
}

/// Puts a key on the blank line above a block that is indented as if it had one.
fn lost_key(text: &str, lines: &LineIndex, line: usize) -> Option<Candidate> {
    let indent = |line: usize| blanks(content(text, lines, line)).len();
    let is_blank = |line: &usize| content(text, lines, *line).trim().is_empty();
    let blank =
        (0..line).rev().take(LINES_OF_AN_ITEM).take_while(|above| is_blank(above) || indent(*above) >= indent(line));
    let blank = blank.filter(is_blank).last()?;
    let above = (0..blank).rev().take(LINES_OF_AN_ITEM).find(|line| !is_blank(line))?;
    let visible = content(text, lines, above);
    let keys = indent(above) + if visible.trim_start().starts_with("- ") { 2 } else { 0 };
    let start = lines.line_start(blank);
    let block = (blank + 1..=line).find(|line| !is_blank(line))?;
    (keys < indent(block)).then(|| Candidate {
        edits: vec![TextEdit {
            range: TextRange::new(start, start + content(text, lines, blank).len()),
            new_text: format!("{}\"\":", " ".repeat(keys)),
        }],
        range: TextRange::new(lines.line_start(block), lines.line_start(block) + indent(block)),
        message: "These lines are indented without a parent key. Add the key, or align them.".to_owned(),
        fix: None,
    })
}

fn missing_bracket(line: Line<'_>) -> Vec<Candidate> {
    let open = open_brackets(line.content);
    let Some((offset, _)) = open.last().copied() else { return Vec::new() };
    let closers: String = open.iter().rev().map(|(_, bracket)| if *bracket == '[' { ']' } else { '}' }).collect();
    let candidate = |ending: String| Candidate {
        range: TextRange::new(line.start + offset, line.end()),
        message: format!("This bracket is never closed. Add `{closers}`."),
        fix: Some(format!("Add `{ending}`")),
        edits: vec![line.append(&ending)],
    };
    [closers.clone(), format!("{closers},")].into_iter().map(candidate).collect()
}

fn missing_comma(line: Line<'_>, error: ParseError) -> Option<Candidate> {
    let is_flow = matches!(
        error.reason,
        Reason::MissingComma | Reason::UnclosedBracket | Reason::NestedColon | Reason::AfterQuote
    );
    let ends_a_value = line.content.ends_with(|last: char| last.is_alphanumeric() || "\"']}".contains(last))
        || (line.below == Below::Same && line.content.ends_with(':'));
    let lacks_value = line.content.ends_with(':');
    (is_flow && ends_a_value && !line.content.contains('#')).then(|| Candidate {
        edits: vec![line.append(",")],
        range: last_word(line),
        message: format!("A {} is missing after this. Add it.", if lacks_value { "value" } else { "`,`" }),
        fix: (!lacks_value).then(|| "Add `,`".to_owned()),
    })
}

fn indentation(line: Line<'_>, error: ParseError) -> Option<Candidate> {
    let own = blanks(line.content);
    if own == line.indent_above || line.indent_above.contains('\t') || line.content.is_empty() {
        return None;
    }
    let range = TextRange::new(line.start, line.start + own.len());
    let reason = if own.contains('\t') { Reason::Tab } else { Reason::Indentation };
    let relevant = own.contains('\t') || error.offset >= line.start;
    relevant.then(|| Candidate {
        edits: vec![TextEdit { range, new_text: line.indent_above.to_owned() }],
        range: if own.is_empty() { line.visible() } else { range },
        message: explain(reason),
        fix: Some("Align with the line above".to_owned()),
    })
}

fn missing_colon(line: Line<'_>) -> Option<Candidate> {
    let word = line.content.trim_start().trim_start_matches("- ").trim();
    let is_word =
        !word.is_empty() && word.chars().all(|character| character.is_alphanumeric() || "_-.".contains(character));
    (is_word && word != "-").then(|| Candidate {
        edits: vec![line.append(":")],
        range: last_word(line),
        message: format!("A `:` is missing after `{word}`. A key needs one."),
        fix: Some("Add `:`".to_owned()),
    })
}

/// `"key" "value"`: in brackets, and with nothing but blanks between them.
fn missing_colon_between(line: Line<'_>) -> Option<Candidate> {
    let name = line.content.trim_start().strip_prefix('"')?;
    let name = name.get(..name.find(['"', '\\']).filter(|end| name.as_bytes().get(*end) == Some(&b'"'))?)?;
    let start = line.start + blanks(line.content).len();
    let end = start + name.len() + 2;
    let is_value = line.content.get(end - line.start..)?.strip_prefix([' ', '\t'])?.trim_start().starts_with('"');
    is_value.then(|| Candidate {
        edits: vec![TextEdit { range: TextRange::at(end), new_text: ":".to_owned() }],
        range: TextRange::new(start, end),
        message: format!("A `:` is missing after `\"{name}\"`. A key needs one."),
        fix: Some("Add `:`".to_owned()),
    })
}

fn missing_space_after_dash(line: Line<'_>) -> Option<Candidate> {
    let item = line.content.trim_start().strip_prefix('-')?;
    let dash = line.end() - item.len() - 1;
    item.starts_with(|first: char| first.is_alphabetic() || "\"'[{".contains(first)).then(|| Candidate {
        edits: vec![TextEdit { range: TextRange::at(dash + 1), new_text: " ".to_owned() }],
        range: TextRange::new(dash, dash + 1),
        message: "A space is missing after this `-`. Without it, this is a word and not a list item.".to_owned(),
        fix: Some("Add the space".to_owned()),
    })
}

fn missing_space(line: Line<'_>) -> Option<Candidate> {
    let colon =
        line.content.find(':').filter(|colon| !line.content.get(colon + 1..).unwrap_or(" ").starts_with([' ', '/']))?;
    let key = line.content.get(..colon)?.trim_start().trim_start_matches("- ");
    let is_word =
        !key.is_empty() && key.chars().all(|character| character.is_alphanumeric() || "_-".contains(character));
    let place = line.start + colon + 1;
    (is_word && place < line.end()).then(|| Candidate {
        edits: vec![TextEdit { range: TextRange::at(place), new_text: " ".to_owned() }],
        range: line.visible(),
        message: format!("A space is missing after `{key}:`. Without it, this is one word and not a key with a value."),
        fix: Some("Add the space".to_owned()),
    })
}

fn unquoted_value(line: Line<'_>, error: ParseError) -> Option<Candidate> {
    let start = line.value_start()?;
    let value = line.content.get(start..)?;
    let is_plain = !value.is_empty()
        && !value.contains(['"', '\\'])
        && !value.starts_with(['\'', '|', '>', '[', '{', '*', '&', '-']);
    let is_ours = matches!(error.reason, Reason::NestedColon | Reason::ReservedCharacter(_));
    (is_plain && is_ours && error.offset >= line.start && error.offset <= line.end()).then(|| Candidate {
        edits: vec![
            TextEdit { range: TextRange::at(line.start + start), new_text: "\"".to_owned() },
            line.append("\""),
        ],
        range: TextRange::new(line.start + start, line.end()),
        message: explain(error.reason),
        fix: Some("Put the value in quotes".to_owned()),
    })
}

/// Keeps the key of a line whose value cannot be parsed.
fn without_value(line: Line<'_>, error: ParseError) -> Option<Candidate> {
    let start = line.value_start().filter(|start| *start < line.content.len())?;
    let is_here = error.offset >= line.start && error.offset <= line.end();
    is_here.then(|| {
        let range = TextRange::new(line.start + start, line.end());
        Candidate { edits: vec![blanked(range)], range, message: explain(error.reason), fix: None }
    })
}

fn without_line(line: Line<'_>, error: ParseError) -> Option<Candidate> {
    (!line.content.is_empty()).then(|| Candidate {
        edits: vec![blanked(TextRange::new(line.start, line.end()))],
        range: line.visible(),
        message: explain(error.reason),
        fix: None,
    })
}

fn blanked(range: TextRange) -> TextEdit {
    TextEdit { range, new_text: String::new() }
}

fn last_word(line: Line<'_>) -> TextRange {
    let start = line.content.trim_end().rfind([' ', '\t']).map_or(0, |blank| blank + 1);
    TextRange::new(line.start + start, line.end())
}

/// Returns the quote a line opens at the start of a value and does not close.
fn open_quote(content: &str) -> Option<(usize, char)> {
    let mut open: Option<(usize, char)> = None;
    let mut before = ' ';
    for (offset, character) in content.char_indices() {
        match open {
            None if character == '#' && before == ' ' => return None,
            None if matches!(character, '"' | '\'') && " [{,:-\t".contains(before) => open = Some((offset, character)),
            Some((_, quote)) if character == quote && !(quote == '"' && before == '\\') => open = None,
            None | Some(_) => {}
        }
        before = character;
    }
    open
}

/// Returns the brackets a line opens and does not close, outermost first.
fn open_brackets(content: &str) -> Vec<(usize, char)> {
    let mut open = Vec::new();
    let mut quote: Option<char> = None;
    for (offset, character) in content.char_indices() {
        match (quote, character) {
            (Some(mark), _) if mark == character => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '[' | '{') => open.push((offset, character)),
            (None, ']' | '}') => {
                open.pop();
            }
            (None | Some(_), _) => {}
        }
    }
    open
}

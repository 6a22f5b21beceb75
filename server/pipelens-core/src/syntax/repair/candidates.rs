//! The edits that might repair an error: what people leave out while they type.

use std::cmp::Ordering;

use super::brackets::{is_bracketed, lost_bracket};
use super::candidate::Candidate;
use super::line::{Below, Line, blanks, content};
use super::{layout, values};
use crate::syntax::parse::{ParseError, Reason, explain};
use crate::text::{LineIndex, TextEdit, TextRange};

/// How far above an error a quote may have been opened that was never closed.
const QUOTE_REACH: usize = 30;

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
    if !is_bracketed(text) {
        for place in &places {
            result.extend(values::escapes(*place, error));
            result.extend(values::as_text(*place, error));
            result.extend(values::nameless_item(*place, error));
            result.extend(values::stray_comma(*place, error));
        }
    }
    for place in &places {
        result.extend(missing_quote(*place));
    }
    result.extend(layout::spaced_dash(text, lines, line));
    result.extend(layout::lost_dash(text, lines, line, error));
    result.extend(layout::under_dash(text, lines, line));
    result.extend(values::text_of_lines(text, lines, line, error));
    for place in &places {
        result.extend(missing_bracket(*place));
        result.extend(missing_colon_between(*place));
        result.extend(missing_comma(*place, error));
        result.extend(layout::missing_space_after_dash(*place));
        result.extend(layout::indentation(*place, error));
        result.extend(missing_colon(*place));
        result.extend(missing_space(*place));
    }
    result.extend(layout::lost_key(text, lines, line));
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
            above: (0..number).rev().take(QUOTE_REACH).find(|line| !is_blank(line)).map_or("", content),
            below: below(number),
        })
        .collect()
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
        is_safe: false,
        edits: vec![line.append(&ending)],
    };
    endings.iter().map(|ending| candidate(format!("{quote}{ending}"))).collect()
}

fn missing_bracket(line: Line<'_>) -> Vec<Candidate> {
    let open = open_brackets(line.content);
    let Some((offset, _)) = open.last().copied() else { return Vec::new() };
    let closers: String = open.iter().rev().map(|(_, bracket)| if *bracket == '[' { ']' } else { '}' }).collect();
    let candidate = |ending: String| Candidate {
        range: TextRange::new(line.start + offset, line.end()),
        message: format!("This bracket is never closed. Add `{closers}`."),
        fix: Some(format!("Add `{ending}`")),
        is_safe: false,
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
        is_safe: false,
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
        is_safe: false,
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
        is_safe: false,
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
        is_safe: key.chars().all(|character| character.is_ascii_lowercase() || character == '_'),
    })
}

/// Keeps the key of a line whose value cannot be parsed.
fn without_value(line: Line<'_>, error: ParseError) -> Option<Candidate> {
    let start = line.value_start().filter(|start| *start < line.content.len())?;
    let is_here = error.offset >= line.start && error.offset <= line.end();
    is_here.then(|| {
        let range = TextRange::new(line.start + start, line.end());
        Candidate { edits: vec![blanked(range)], range, message: explain(error.reason), fix: None, is_safe: false }
    })
}

fn without_line(line: Line<'_>, error: ParseError) -> Option<Candidate> {
    (!line.content.is_empty()).then(|| Candidate {
        edits: vec![blanked(TextRange::new(line.start, line.end()))],
        range: line.visible(),
        message: explain(error.reason),
        fix: None,
        is_safe: false,
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

//! Dashes, indentation and keys of blocks.

use super::candidate::Candidate;
use super::line::{Line, blanks, content};
use crate::syntax::parse::{ParseError, Reason, explain};
use crate::text::{LineIndex, TextEdit, TextRange};

/// How far above an error the item or block it is in may begin.
const LINES_OF_AN_ITEM: usize = 60;

/// Restores the missing `-` of an item: its keys are where those of an item would be, and the next one begins with `-`.
pub(super) fn lost_dash(text: &str, lines: &LineIndex, line: usize, error: ParseError) -> Option<Candidate> {
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
        is_safe: false,
    })
}

/// Puts a key on the blank line above a block that is indented as if it had one.
pub(super) fn lost_key(text: &str, lines: &LineIndex, line: usize) -> Option<Candidate> {
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
        is_safe: false,
    })
}

/// Aligns a line with the one above: with its key, or with its dash.
pub(super) fn indentation(line: Line<'_>, error: ParseError) -> Vec<Candidate> {
    let (own, above) = (blanks(line.content), blanks(line.above));
    if above.contains('\t') || line.content.is_empty() {
        return Vec::new();
    }
    let dashes = line.above.get(above.len()..).unwrap_or_default();
    let key_column = above.len() + (dashes.len() - dashes.trim_start_matches(['-', ' ']).len());
    let is_item = line.content.trim_start().starts_with("- ");
    let is_after_item = dashes.starts_with("- ") && !is_item && line.content.contains(':');
    let targets = is_after_item.then(|| " ".repeat(key_column)).into_iter().chain([above.to_owned()]);
    let range = TextRange::new(line.start, line.start + own.len());
    let is_tab = own.contains('\t');
    let relevant = is_tab || error.offset >= line.start;
    let candidate = |target: String| Candidate {
        is_safe: is_tab || (is_after_item && target.len() == key_column),
        edits: vec![TextEdit { range, new_text: target }],
        range: if own.is_empty() { line.visible() } else { range },
        message: explain(if is_tab { Reason::Tab } else { Reason::Indentation }),
        fix: Some(if is_tab { "Indent with spaces" } else { "Align with the line above" }.to_owned()),
    };
    targets.filter(|target| relevant && target != own).map(candidate).collect()
}

/// Whether a line is a dash and a key without a space between them.
fn is_dash_before_key(content: &str) -> bool {
    let key = content.trim_start().strip_prefix('-').and_then(|rest| rest.split_once(':'));
    key.is_some_and(|(key, rest)| {
        key.starts_with(char::is_alphabetic)
            && key.chars().all(|character| character.is_alphanumeric() || character == '_')
            && (rest.is_empty() || rest.starts_with(' '))
    })
}

/// Adds the space after a dash, and moves the keys that are in the column of the one after the dash.
pub(super) fn spaced_dash(text: &str, lines: &LineIndex, line: usize) -> Option<Candidate> {
    let is_glued = |line: &usize| is_dash_before_key(content(text, lines, *line));
    let visible = (0..=line).rev().take(LINES_OF_AN_ITEM).filter(|line| !content(text, lines, *line).trim().is_empty());
    let first = visible.take(3).find(is_glued)?;
    let indent = blanks(content(text, lines, first)).len();
    let dash = lines.line_start(first) + indent;
    let insert = |place: usize| TextEdit { range: TextRange::at(place), new_text: " ".to_owned() };
    let below = (first + 1..lines.line_count()).take(LINES_OF_AN_ITEM);
    let of_item = below.take_while(|below| {
        let content = content(text, lines, *below);
        content.trim().is_empty() || blanks(content).len() > indent
    });
    let of_item: Vec<usize> = of_item.filter(|below| !content(text, lines, *below).trim().is_empty()).collect();
    // Keys that are in the right column already stay there.
    let is_moved = of_item.first().is_some_and(|below| blanks(content(text, lines, *below)).len() == indent + 1);
    let moved = of_item.into_iter().filter(|_| is_moved).map(|below| insert(lines.line_start(below)));
    Some(Candidate {
        edits: std::iter::once(insert(dash + 1)).chain(moved).collect(),
        range: TextRange::new(dash, dash + 1),
        message: "A space is missing after this `-`. Without it, this is a word and not a list item.".to_owned(),
        fix: Some("Add the space".to_owned()),
        is_safe: true,
    })
}

/// Indents the keys of an item that are in the column of its dash.
pub(super) fn under_dash(text: &str, lines: &LineIndex, line: usize) -> Option<Candidate> {
    let own = content(text, lines, line);
    let indent = blanks(own).len();
    let is_key = |content: &str| {
        let visible = content.trim_start();
        let key = visible.split(':').next().unwrap_or_default();
        visible.contains(':')
            && !key.is_empty()
            && key.chars().all(|character| character.is_alphanumeric() || "_-".contains(character))
            && !key.starts_with('-')
    };
    let above = (0..line).rev().take(LINES_OF_AN_ITEM).find(|above| !content(text, lines, *above).trim().is_empty())?;
    let dash = content(text, lines, above);
    if !is_key(own) || blanks(dash).len() != indent || !dash.trim_start().starts_with("- ") {
        return None;
    }
    let below = (line..lines.line_count()).take(LINES_OF_AN_ITEM);
    let of_item = |below: &usize| {
        let content = content(text, lines, *below);
        content.trim().is_empty()
            || blanks(content).len() > indent
            || (blanks(content).len() == indent && is_key(content))
    };
    let visible = |below: &usize| !content(text, lines, *below).trim().is_empty();
    let edit = |below: usize| TextEdit { range: TextRange::at(lines.line_start(below)), new_text: "  ".to_owned() };
    let key = own.trim_start().split(':').next().unwrap_or_default();
    Some(Candidate {
        edits: below.take_while(of_item).filter(visible).map(edit).collect(),
        range: TextRange::new(lines.line_start(line) + indent, lines.line_start(line) + own.len()),
        message: format!(
            "`{key}` is in the column of the `-` above. The keys of an item are all in one column: indent it by two more."
        ),
        fix: Some("Indent by two more".to_owned()),
        is_safe: true,
    })
}

pub(super) fn missing_space_after_dash(line: Line<'_>) -> Option<Candidate> {
    let item = line.content.trim_start().strip_prefix('-')?;
    let dash = line.end() - item.len() - 1;
    item.starts_with(|first: char| first.is_alphabetic() || "\"'[{".contains(first)).then(|| Candidate {
        edits: vec![TextEdit { range: TextRange::at(dash + 1), new_text: " ".to_owned() }],
        range: TextRange::new(dash, dash + 1),
        message: "A space is missing after this `-`. Without it, this is a word and not a list item.".to_owned(),
        fix: Some("Add the space".to_owned()),
        is_safe: false,
    })
}

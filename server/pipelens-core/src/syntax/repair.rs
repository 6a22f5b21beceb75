//! Makes broken text readable, so that one wrong line does not take the other steps with it. Each round mends the first
//! error by the smallest edit that lets the parser get furthest; what was mended is a finding at the place it happened.

mod brackets;
mod candidates;
mod conflict;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::parse::{ParseError, Reason, explain, parse};
use super::patch::Patch;
use super::tree::Tree;
use crate::diagnostic::{Code, Diagnostic};
use crate::text::{LineIndex, TextEdit, TextRange, apply_edits};
use candidates::{Candidate, candidates};

/// Rounds before what cannot be read is given up. People break one line at a time.
const MAX_ROUNDS: usize = 12;

/// A text that could be read, perhaps after mending.
pub(crate) struct Repaired {
    pub(crate) tree: Tree,
    pub(crate) findings: Vec<Diagnostic>,
    /// Zero-based lines that say something else now than their author wrote.
    pub(crate) mended_lines: BTreeSet<usize>,
}

/// Reads a text, mending it as often as needed.
pub(crate) fn read(text: &str, lines: &LineIndex) -> Repaired {
    let mut patch = Patch::default();
    let (mut tree, mut error) = Tree::build(text, &patch);
    let mut result = Repaired { tree: Tree::default(), findings: Vec::new(), mended_lines: BTreeSet::new() };
    let mut mended = Cow::Borrowed(text);
    let mut mended_lines = Cow::Borrowed(lines);
    for round in 0..MAX_ROUNDS {
        let Some(current) = error else { break };
        if round == 0 && conflict::blank(text, lines, &mut patch, &mut result) {
            mended = Cow::Owned(patch.apply(text));
            mended_lines = Cow::Owned(LineIndex::new(&mended));
            (tree, error) = Tree::build(&mended, &patch);
            continue;
        }
        // Depth is no slip of the hand: mending it line by line would only lose the rest.
        let best = if current.reason == Reason::TooDeep { None } else { best(&mended, &mended_lines, current) };
        let Some(best) = best else {
            result.findings.push(unreadable(text, lines, &patch, current));
            break;
        };
        accept(best, lines, &mut patch, &mut result);
        mended = Cow::Owned(patch.apply(text));
        mended_lines = Cow::Owned(LineIndex::new(&mended));
        (tree, error) = Tree::build(&mended, &patch);
    }
    if error.is_some() && result.findings.is_empty() {
        result.findings.extend(error.map(|error| unreadable(text, lines, &patch, error)));
    }
    result.tree = tree;
    result
}

fn accept(best: Candidate, lines: &LineIndex, patch: &mut Patch, result: &mut Repaired) {
    let range = patch.original_range(best.range);
    let line = lines.line(range.start);
    let edits: Vec<TextEdit> = best
        .edits
        .into_iter()
        .map(|edit| TextEdit { range: patch.original_range(edit.range), new_text: edit.new_text })
        .collect();
    // A line that only fell because the one before it did needs no finding of its own.
    let is_echo = best.fix.is_none() && line.checked_sub(1).is_some_and(|before| result.mended_lines.contains(&before));
    if !is_echo {
        let mut finding = Diagnostic::new(Code::Syntax, range, best.message);
        if let Some(title) = best.fix {
            finding.fixes.push(crate::diagnostic::Fix { title, is_safe: false, edits: edits.clone() });
        }
        result.findings.push(finding);
    }
    for edit in edits {
        result.mended_lines.extend(lines.line(edit.range.start)..=lines.line(edit.range.end));
        patch.add(edit);
    }
    result.mended_lines.insert(line);
}

/// Returns the candidate that lets the parser get furthest; the earlier of two that are as good.
fn best(text: &str, lines: &LineIndex, error: ParseError) -> Option<Candidate> {
    let line = lines.line(error.offset);
    let fragment = fragment(text, lines, line, error);
    let source = text.get(fragment.start..fragment.end)?;
    let mut best: Option<(usize, Candidate)> = None;
    for candidate in candidates(text, lines, line, error) {
        let shifted: Vec<TextEdit> = candidate.edits.iter().filter_map(|edit| shift(edit, fragment)).collect();
        if shifted.len() != candidate.edits.len() {
            continue;
        }
        let reached = first_error_line(&apply_edits(source, &shifted));
        let progress = reached.map_or(usize::MAX, |reached| reached + lines.line(fragment.start));
        if progress > line && best.as_ref().is_none_or(|(furthest, _)| progress > *furthest) {
            best = Some((progress, candidate));
        }
        if reached.is_none() {
            break;
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Edits never add or remove a line, so lines are what progress is measured in.
fn first_error_line(text: &str) -> Option<usize> {
    let error = parse(text, |_, _| {})?;
    let before = text.get(..error.offset).unwrap_or_default();
    Some(before.bytes().filter(|byte| *byte == b'\n').count())
}

fn shift(edit: &TextEdit, fragment: TextRange) -> Option<TextEdit> {
    let start = edit.range.start.checked_sub(fragment.start)?;
    (edit.range.end <= fragment.end).then(|| TextEdit {
        range: TextRange::new(start, edit.range.end - fragment.start),
        new_text: edit.new_text.clone(),
    })
}

/// Returns the lines around an error that stand on their own: from the start of the list entry or top-level key it is in, to
/// the end of the next one. The whole text where the error looks different from in there.
fn fragment(text: &str, lines: &LineIndex, line: usize, error: ParseError) -> TextRange {
    let whole = TextRange::new(0, text.len());
    let content = |line: usize| {
        let range = lines.line_range(line);
        text.get(range.start..range.end).unwrap_or_default().trim_end()
    };
    let indent = |line: usize| content(line).len() - content(line).trim_start().len();
    let mut first = line.saturating_sub(3);
    let mut limit =
        (first..=line).filter(|line| !content(*line).trim().is_empty()).map(indent).min().unwrap_or_default();
    while first > 0 {
        let is_entry = content(first).trim_start().starts_with("- ") && indent(first) <= limit;
        let is_top = !content(first).is_empty() && !content(first).starts_with([' ', '#', '-', '}', ']', '\t']);
        if is_entry || is_top {
            break;
        }
        first -= 1;
        if !content(first).trim().is_empty() {
            limit = limit.min(indent(first));
        }
    }
    let base = indent(first);
    let mut last = line + 1;
    let mut boundaries = 0;
    while last < lines.line_count() {
        boundaries += usize::from(!content(last).trim().is_empty() && indent(last) <= base);
        if boundaries == 2 {
            break;
        }
        last += 1;
    }
    let range = TextRange::new(lines.line_start(first), lines.line_start(last));
    if range == whole {
        return whole;
    }
    let inside = text.get(range.start..range.end).and_then(|source| parse(source, |_, _| {}));
    let is_same = inside.is_some_and(|inside| inside.offset + range.start == error.offset);
    if is_same { range } else { whole }
}

fn unreadable(text: &str, lines: &LineIndex, patch: &Patch, error: ParseError) -> Diagnostic {
    let offset = super::parse::floor_char_border(text, patch.original_offset(error.offset));
    let line = lines.line_range(lines.line(offset));
    let content = text.get(line.start..line.end).unwrap_or_default();
    let range = TextRange::new(offset, line.start + content.trim_end().len());
    Diagnostic::new(Code::Syntax, range, explain(error.reason))
}

//! Makes broken text parse, so that one wrong line does not hide the other steps. Each round repairs the first
//! error with the smallest edit that lets the parser get furthest; every repair is a finding at its place.

mod brackets;
mod candidate;
mod candidates;
mod conflict;
mod fragment;
mod layout;
mod lenient;
mod line;
mod repaired;
#[cfg(test)]
mod retyping;
#[cfg(test)]
mod tests;
mod values;

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::parse::{ParseError, Reason, explain};
use super::patch::Patch;
use super::tree::Tree;
use crate::diagnostic::{Code, Diagnostic, Fix};
use crate::text::{LineIndex, TextEdit, TextRange};
use candidate::Candidate;
use candidates::candidates;
use fragment::Fragment;

pub(crate) use repaired::Repaired;

/// Rounds before giving up on text that cannot be parsed. People break one line at a time.
const MAX_ROUNDS: usize = 12;
/// How much text may be parsed again to find a repair. A long text whose repairs cannot be tried on a part of it is given up
/// sooner, so that a keystroke never waits.
const MAX_BYTES_TRIED: usize = 3 * 1024 * 1024;

/// Parses text, repairing it as often as needed.
pub(crate) fn read(text: &str, lines: &LineIndex) -> Repaired {
    let mut patch = Patch::default();
    let (mut tree, mut error) = Tree::build(text, &patch);
    let mut result = Repaired { tree: Tree::default(), findings: Vec::new(), repaired_lines: BTreeSet::new() };
    let mut repaired = Cow::Borrowed(text);
    let mut repaired_lines = Cow::Borrowed(lines);
    let mut budget = Budget { bytes: MAX_BYTES_TRIED };
    let mut is_lenient = false;
    for round in 0..MAX_ROUNDS {
        let Some(current) = error else { break };
        if round == 0 && conflict::blank(text, lines, &mut patch, &mut result) {
            repaired = Cow::Owned(patch.apply(text));
            repaired_lines = Cow::Owned(LineIndex::new(&repaired));
            (tree, error) = tree.rebuild(&repaired, &patch);
            continue;
        }
        // In a text that is all brackets, indentation means nothing.
        if !is_lenient
            && !brackets::is_bracketed(text)
            && is_closing_bracket(&repaired, &repaired_lines, current)
            && budget.allows(text.len())
        {
            is_lenient = true;
            let edits = lenient::closing_brackets(&repaired, &repaired_lines).into_iter();
            let edits = edits.map(|edit| TextEdit { range: patch.original_range(edit.range), ..edit });
            let lenient = patch.with_insertions(edits);
            let indented = lenient.apply(text);
            let (other, left) = Tree::build(&indented, &lenient);
            let reached = left.map_or(usize::MAX, |left| lenient.original_offset(left.offset));
            if reached > patch.original_offset(current.offset) {
                (tree, error, patch) = (other, left, lenient);
                repaired_lines = Cow::Owned(LineIndex::new(&indented));
                repaired = Cow::Owned(indented);
                continue;
            }
        }
        // Such depth is no typo: repairing it line by line would only lose the rest.
        let is_hopeless = current.reason == Reason::TooDeep || !budget.allows(text.len());
        let best = if is_hopeless { None } else { best(&repaired, &repaired_lines, current, &mut budget) };
        let Some(best) = best else {
            result.findings.push(unreadable(text, lines, &patch, current));
            break;
        };
        accept(best, lines, &mut patch, &mut result);
        repaired = Cow::Owned(patch.apply(text));
        repaired_lines = Cow::Owned(LineIndex::new(&repaired));
        (tree, error) = tree.rebuild(&repaired, &patch);
    }
    if error.is_some() && result.findings.is_empty() {
        result.findings.extend(error.map(|error| unreadable(text, lines, &patch, error)));
    }
    result.tree = tree;
    result
}

/// Whether an error is at a line that starts with a closing bracket.
fn is_closing_bracket(text: &str, lines: &LineIndex, error: ParseError) -> bool {
    let line = lines.line_range(lines.line(error.offset)).of(text);
    line.trim_start().starts_with([']', '}'])
}

/// How much text may still be parsed again.
struct Budget {
    bytes: usize,
}

impl Budget {
    /// Tells whether this much may be parsed, and deducts it from the budget.
    fn allows(&mut self, bytes: usize) -> bool {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or_default();
        left.is_some()
    }
}

fn accept(best: Candidate, lines: &LineIndex, patch: &mut Patch, result: &mut Repaired) {
    let range = patch.original_range(best.range);
    let line = lines.line(range.start);
    let edits: Vec<TextEdit> = best
        .edits
        .into_iter()
        .map(|edit| TextEdit { range: patch.original_range(edit.range), new_text: edit.new_text })
        .collect();
    // A line that was dropped only because the one before it was needs no finding of its own.
    let is_echo =
        best.fix.is_none() && line.checked_sub(1).is_some_and(|before| result.repaired_lines.contains(&before));
    if !is_echo {
        let mut finding = Diagnostic::new(Code::Syntax, range, best.message);
        if let Some(title) = best.fix {
            finding.fixes.push(Fix::new(title, best.is_safe, edits.clone()));
        }
        result.findings.push(finding);
    }
    for edit in edits {
        result.repaired_lines.extend(lines.line(edit.range.start)..=lines.line(edit.range.end));
        patch.add(edit);
    }
    result.repaired_lines.insert(line);
}

/// Returns the candidate that lets the parser get furthest; the earlier of two that are equally good.
fn best(text: &str, lines: &LineIndex, error: ParseError, budget: &mut Budget) -> Option<Candidate> {
    let line = lines.line(error.offset);
    let fragment = Fragment::around(text, lines, line, error);
    let mut best: Option<(usize, Candidate)> = None;
    for candidate in candidates(text, lines, line, error) {
        let Some(repaired) = fragment.patched(text, &candidate.edits) else { continue };
        if !budget.allows(repaired.len()) {
            break;
        }
        let reached = fragment.first_error_line(&repaired);
        let progress = reached.map_or(usize::MAX, |reached| reached + lines.line(fragment.range.start));
        if progress > line && best.as_ref().is_none_or(|(furthest, _)| progress > *furthest) {
            best = Some((progress, candidate));
        }
        if reached.is_none() {
            break;
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn unreadable(text: &str, lines: &LineIndex, patch: &Patch, error: ParseError) -> Diagnostic {
    let offset = super::parse::floor_char_border(text, patch.original_offset(error.offset));
    let line = lines.line_range(lines.line(offset));
    let content = line.of(text);
    let range = TextRange::new(offset, line.start + content.trim_end().len());
    Diagnostic::new(Code::Syntax, range, explain(error.reason))
}

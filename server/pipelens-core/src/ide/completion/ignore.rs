//! Comments that mean something: `# pipelens: ignore <code>`.

use std::collections::HashSet;

use super::entry::{Completion, CompletionKind};
use crate::analysis::Analysis;
use crate::diagnostic::Code;
use crate::text::{TextEdit, TextRange};

/// Returns what can be written in a comment at an offset; `None` if there is no such comment.
pub(super) fn comment(analysis: &Analysis, offset: usize) -> Option<Vec<Completion>> {
    let line = analysis.line_index.line(offset);
    let start = analysis.line_index.line_start(line);
    let before = analysis.text.get(start..offset)?;
    let opens = |at: &usize| before.get(..*at).is_some_and(|head| head.is_empty() || head.ends_with([' ', '\t']));
    let mark = before.match_indices('#').map(|(at, _)| at).find(|at| opens(at) && said(before, *at).is_some())?;
    let said = said(before, mark)?;
    let Some(list) = said.strip_prefix("ignore") else {
        let is_start = "ignore".starts_with(said.trim_start());
        let space = if said.is_empty() && before.ends_with(':') { " " } else { "" };
        let typed = said.trim_start().len();
        let doc = "Silences findings on this line, or on the next one if the comment has a line of its own.";
        let edit = TextEdit { range: around(analysis, offset, typed), new_text: format!("{space}ignore ") };
        return Some(if is_start { vec![entry("ignore", doc, edit)] } else { Vec::new() });
    };
    if !list.is_empty() && !list.starts_with([' ', ',', '\t']) {
        return Some(Vec::new());
    }
    let space = if list.is_empty() { " " } else { "" };
    let typed = list.len() - list.trim_end_matches(is_part).len();
    let range = around(analysis, offset, typed);
    let end = analysis.line_index.line_range(line).end;
    let after = analysis.text.get(range.end..end).unwrap_or_default();
    let others = [list.get(..list.len() - typed).unwrap_or_default(), after];
    let written: HashSet<&str> = others.iter().flat_map(|part| part.split([' ', ',', '\t', '\r', '\n'])).collect();
    let target = if before.get(..mark).unwrap_or_default().trim().is_empty() { line + 1 } else { line };
    let found: HashSet<Code> = analysis
        .diagnostics
        .iter()
        .filter(|finding| analysis.line_index.line(finding.range.start) == target)
        .map(|finding| finding.code)
        .collect();
    let mut codes: Vec<Code> = Code::ALL.iter().copied().filter(|code| !written.contains(code.as_str())).collect();
    // What is found there comes first.
    codes.sort_by_key(|code| !found.contains(code));
    let entries = codes.into_iter().map(|code| {
        let new_text = format!("{space}{}", code.as_str());
        entry(code.as_str(), code.title(), TextEdit { range, new_text })
    });
    Some(entries.collect())
}

/// Returns what a comment says after `pipelens:`.
fn said(before: &str, mark: usize) -> Option<&str> {
    let words = before.get(mark + 1..)?.trim_start().strip_prefix("pipelens:")?;
    Some(words.trim_start_matches([' ', '\t']))
}

fn is_part(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '-'
}

/// Returns the word at an offset, of which this much has been typed.
fn around(analysis: &Analysis, offset: usize, typed: usize) -> TextRange {
    let after = analysis.text.get(offset..).unwrap_or_default();
    TextRange::new(offset - typed, offset + (after.len() - after.trim_start_matches(is_part).len()))
}

fn entry(label: &str, documentation: &str, edit: TextEdit) -> Completion {
    let (label, documentation) = (label.to_owned(), documentation.to_owned());
    Completion { label, kind: CompletionKind::Value, documentation, edit, snippet: None }
}

//! The last word on every entry: what would leave a file with a new syntax error is not offered.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::entry::Completion;
use super::written::{expanded, indented};
use crate::analysis::Analysis;
use crate::model::Step;
use crate::syntax::{json, parse::parse, repair};
use crate::text::{LineIndex, TextEdit, TextRange, apply_edits};

/// How much text is parsed to check entries. Few files are so large that their entries would need more.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Drops the entries, and the snippets of entries, that would break the text.
pub(super) fn retain_valid(analysis: &Analysis, cursor: &Cursor<'_>, entries: &mut Vec<Completion>) {
    let (start, text) = neighbourhood(analysis, cursor);
    let before = Errors::of(text, cursor.is_json);
    let cost = if before.yaml.is_some() && before.count.is_some() { REPAIRING } else { 1 };
    let (known, is_json) = (HashMap::new(), cursor.is_json);
    let mut checked = Checked { text, start, before, is_json, known, bytes_left: MAX_BYTES, cost };
    let indentation = cursor.blanks;
    entries.retain_mut(|entry| {
        if let Some(snippet) = &entry.snippet {
            let new_text = indented(&expanded(snippet), indentation);
            if !checked.is_valid(&entry.label, TextEdit { range: entry.edit.range, new_text }) {
                entry.snippet = None;
            }
        }
        checked.is_valid(&entry.label, entry.edit.clone())
    });
}

/// Returns the text that an entry can break, and where it starts: in a long file of steps in lines, the step at the cursor and its
/// neighbours.
fn neighbourhood<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>) -> (usize, &'a str) {
    let whole = (0, analysis.text.as_str());
    if analysis.text.len() <= MAX_REPAIRED_BYTES || analysis.is_repaired || cursor.is_json {
        return whole;
    }
    let pipelines = analysis.pipelines.iter();
    let Some(pipeline) = pipelines.rev().find(|pipeline| pipeline.range.start <= cursor.offset) else { return whole };
    let after = pipeline.steps.partition_point(|step| step.range.start <= cursor.offset);
    let line_start = |step: &Step| analysis.line_index.line_start(analysis.line_index.line(step.range.start));
    let Some(first) = after.checked_sub(2).and_then(|first| pipeline.steps.get(first)) else { return whole };
    let Some(next) = pipeline.steps.get(after + 1) else { return whole };
    let (start, end) = (line_start(first), line_start(next));
    match analysis.text.get(start..end) {
        // Steps in brackets cannot be read on their own.
        Some(text) if cursor.offset < end && parse(text, |_, _| {}).is_none() => (start, text),
        _ => whole,
    }
}

/// Longer texts are not repaired to count their errors: only the first one is looked at.
const MAX_REPAIRED_BYTES: usize = 32 * 1024;

/// How many times the text is parsed to be repaired, roughly.
const REPAIRING: usize = 16;

/// How many kinds of entries are checked: usually there are ten.
const MAX_FORMS: usize = 64;

struct Checked<'a> {
    text: &'a str,
    /// Where this text starts in the file.
    start: usize,
    before: Errors,
    is_json: bool,
    /// Entries that differ only in a simple word are checked once.
    known: HashMap<(TextRange, String), bool>,
    bytes_left: usize,
    /// How often the text is parsed for one check.
    cost: usize,
}

impl Checked<'_> {
    fn is_valid(&mut self, label: &str, edit: TextEdit) -> bool {
        let form = form(label, &edit.new_text);
        let Some(start) = edit.range.start.checked_sub(self.start) else { return true };
        let range = TextRange::new(start, edit.range.end - self.start);
        let edit = TextEdit { range, new_text: edit.new_text };
        if let Some(known) = self.known.get(&(edit.range, form.clone())) {
            return *known;
        }
        let cost = self.text.len() * self.cost;
        let Some(left) = self.bytes_left.checked_sub(cost).filter(|_| self.known.len() < MAX_FORMS) else {
            return true;
        };
        self.bytes_left = left;
        let text = apply_edits(self.text, std::slice::from_ref(&edit));
        let is_valid = !Errors::of(&text, self.is_json).is_new(&self.before, &edit);
        self.known.insert((edit.range, form), is_valid);
        is_valid
    }
}

/// Returns text with its label replaced by what kind of characters the label has: that alone makes no difference.
fn form(label: &str, new_text: &str) -> String {
    let is_word = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    new_text.replacen(label, if is_word { "\0" } else { "\u{1}" }, 1)
}

/// Where the first error of each parser is, and how many errors there are.
struct Errors {
    yaml: Option<usize>,
    json: Option<usize>,
    /// Of YAML; unknown in long texts, because finding all of them takes repairs.
    count: Option<usize>,
}

impl Errors {
    fn of(text: &str, is_json: bool) -> Self {
        let yaml = parse(text, |_, _| {}).map(|error| error.offset);
        let json =
            if is_json { json::check(text, &LineIndex::new(text)).map(|finding| finding.range.start) } else { None };
        let count = match yaml {
            None => Some(0),
            Some(_) if text.len() > MAX_REPAIRED_BYTES => None,
            Some(_) => Some(repair::read(text, &LineIndex::new(text)).findings.len()),
        };
        Self { yaml, json, count }
    }

    /// Tells whether there is an error that was not there before an edit.
    fn is_new(&self, before: &Self, edit: &TextEdit) -> bool {
        let is_new = |before: Option<usize>, after: Option<usize>| match (before, after) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(before), Some(after)) => {
                // What comes after the first error cannot be judged.
                let limit = match before.checked_sub(edit.range.end).filter(|beyond| *beyond > 0) {
                    Some(beyond) => edit.range.start + edit.new_text.len() + beyond,
                    None => before.min(edit.range.start),
                };
                after < limit
            }
        };
        let are_more = before.count.zip(self.count).is_some_and(|(before, after)| before < after);
        are_more || is_new(before.yaml, self.yaml) || is_new(before.json, self.json)
    }
}

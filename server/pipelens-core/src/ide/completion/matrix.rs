//! Names and values of a matrix: in expressions, and in the entries of `include` and `exclude`.

use std::collections::HashSet;

use super::cursor::Cursor;
use super::entry::{Completion, CompletionKind};
use super::place::is_in_command;
use super::values::{pipeline_at, step_at};
use crate::analysis::Analysis;
use crate::ide::described::axis_values;
use crate::model::Step;
use crate::text::{TextEdit, TextRange};

/// Returns the names that an expression at the cursor could have. `None`: the cursor is in no expression.
pub(super) fn in_expression(analysis: &Analysis, cursor: &Cursor<'_>) -> Option<Vec<Completion>> {
    let text = &analysis.text;
    let line = text.get(cursor.line_start..cursor.offset)?;
    let start = line.rfind("${{")?;
    let inner = line.get(start + "${{".len()..)?;
    let key = line.get(..start).and_then(last_key);
    if inner.contains("}}") || is_in_command(analysis, cursor) || matches!(key, Some("cmd" | "ready")) {
        return None;
    }
    let step = step_at(pipeline_at(analysis, cursor)?, cursor)?;
    let matrix = step.matrix.as_deref()?;
    let after = text.get(cursor.offset..)?;
    let rest = after.trim_start_matches(|character: char| !character.is_whitespace() && !"}\"'".contains(character));
    let word = inner.trim_start();
    let range = TextRange::new(cursor.offset - word.len(), cursor.offset + (after.len() - rest.len()));
    let is_closed = rest.lines().next().is_some_and(|line| line.contains("}}"));
    let (lead, end) = (if inner.is_empty() { " " } else { "" }, if is_closed { "" } else { " }}" });
    let end = if is_closed && rest.starts_with("}}") { " " } else { end };
    let entry = |name: &str| Completion {
        label: format!("matrix.{name}"),
        kind: CompletionKind::Variable,
        documentation: axis_values(step, name),
        edit: TextEdit { range, new_text: format!("{lead}matrix.{name}{end}") },
        snippet: None,
    };
    Some(matrix.names.iter().map(|name| entry(&name.name.value)).collect())
}

/// Returns the last key of a line: the braces of an expression look like a mapping.
fn last_key(line: &str) -> Option<&str> {
    let (before, _) = line.rsplit_once(": ")?;
    before.rsplit(|character: char| !character.is_alphanumeric() && character != '_').find(|word| !word.is_empty())
}

/// Returns the axes that an entry of `include` or `exclude` does not have yet.
pub(super) fn axes(analysis: &Analysis, cursor: &Cursor<'_>, present: &[&str]) -> Vec<Completion> {
    let Some(step) = step_of(analysis, cursor) else { return Vec::new() };
    let names = step.matrix.iter().flat_map(|matrix| &matrix.names).map(|name| name.name.value.as_str());
    let absent = names.filter(|name| !present.contains(name));
    absent.map(|name| cursor.key_entry(name, "\"$0\"", CompletionKind::Key, &axis_values(step, name))).collect()
}

/// Returns the values that an axis has.
pub(super) fn values(analysis: &Analysis, cursor: &Cursor<'_>) -> Vec<Completion> {
    let (Some(step), Some(name)) = (step_of(analysis, cursor), cursor.key) else { return Vec::new() };
    let axes = step.matrix.iter().flat_map(|matrix| &matrix.axes).filter(|axis| axis.name.value == name);
    let values = axes.flat_map(|axis| &axis.values).filter(|value| !value.range.touches(cursor.offset));
    let mut seen = HashSet::new();
    let values = values.filter(|value| seen.insert(value.value.as_str()));
    values.map(|value| cursor.text_entry(&value.value, CompletionKind::Value, "A value of this axis.")).collect()
}

fn step_of<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>) -> Option<&'a Step> {
    step_at(pipeline_at(analysis, cursor)?, cursor)
}

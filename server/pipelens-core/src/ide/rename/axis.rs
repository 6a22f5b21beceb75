//! Renames an axis of a matrix: its keys, the expressions that name it, and its variable in commands.

use super::renamable::Renamable;
use crate::analysis::Analysis;
use crate::files::FileEdit;
use crate::ide::axes::{self, Axis, Spelled};
use crate::model::{Matrix, matrix_variable};
use crate::syntax::written::is_plain;
use crate::text::TextEdit;

/// Returns the axis at an offset.
pub(super) fn prepare(analysis: &Analysis, offset: usize) -> Option<Renamable> {
    let axis = axes::at(analysis, offset)?;
    let range = axes::content(&analysis.text, axis.range);
    (range.of(&analysis.text) == axis.name).then(|| Renamable { range, name: axis.name.to_owned() })
}

pub(super) fn rename(analysis: &Analysis, offset: usize, new_name: &str) -> Option<Result<Vec<FileEdit>, String>> {
    let axis = axes::at(analysis, offset)?;
    if new_name == axis.name {
        return Some(Ok(Vec::new()));
    }
    Some(edits(analysis, &axis, new_name))
}

fn edits(analysis: &Analysis, axis: &Axis<'_>, new_name: &str) -> Result<Vec<FileEdit>, String> {
    check_name(axis.step.matrix.as_deref(), axis.name, new_name)?;
    let variable = matrix_variable(new_name);
    let mut edits = Vec::new();
    for place in axes::places(analysis, axis) {
        let is_written = place.spelled == Spelled::Variable || place.range.of(&analysis.text) == axis.name;
        if !is_written {
            return Err(format!("`{}` is written with escapes in one place; write it plainly first", axis.name));
        }
        let new_text = if place.spelled == Spelled::Variable { variable.clone() } else { new_name.to_owned() };
        edits.push(TextEdit { range: place.range, new_text });
    }
    edits.sort_by_key(|edit| edit.range.start);
    Ok(edits.into_iter().map(FileEdit::from).collect())
}

fn check_name(matrix: Option<&Matrix>, old_name: &str, new_name: &str) -> Result<(), String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    if !is_plain(new_name) || !new_name.chars().all(is_part) {
        return Err(format!("`{new_name}` cannot name an axis. Use letters, digits, `-` and `_`"));
    }
    if matches!(new_name, "include" | "exclude") {
        return Err(format!("`{new_name}` has another meaning in a matrix"));
    }
    let variable = matrix_variable(new_name);
    let mut others = matrix.into_iter().flat_map(|matrix| &matrix.names).filter(|other| other.name.value != old_name);
    match others.find(|other| other.variable.value == variable) {
        Some(other) if other.name.value == new_name => Err(format!("The matrix already has an axis `{new_name}`")),
        Some(other) => Err(format!("`{new_name}` and `{}` would both be `${variable}`", other.name.value)),
        None => Ok(()),
    }
}

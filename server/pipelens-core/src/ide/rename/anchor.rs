//! Renames an anchor and its aliases.

use super::renamable::Renamable;
use crate::analysis::Analysis;
use crate::files::FileEdit;
use crate::ide::anchors::{self, Anchor};
use crate::text::{TextEdit, TextRange};

/// Returns the anchor at an offset, without its `&` or `*`.
pub(super) fn prepare(analysis: &Analysis, offset: usize) -> Option<Renamable> {
    let anchor = anchors::at(analysis, offset)?;
    Some(Renamable { range: name_of(anchor.touched), name: anchor.name.to_owned() })
}

pub(super) fn rename(analysis: &Analysis, offset: usize, new_name: &str) -> Option<Result<Vec<FileEdit>, String>> {
    let anchor = anchors::at(analysis, offset)?;
    Some(check_name(analysis, &anchor, new_name).map(|()| edits(&anchor, new_name)))
}

fn edits(anchor: &Anchor<'_>, new_name: &str) -> Vec<FileEdit> {
    if new_name == anchor.name {
        return Vec::new();
    }
    let ranges = std::iter::once(anchor.place).chain(anchor.aliases.iter().copied());
    let edit = |range| TextEdit { range: name_of(range), new_text: new_name.to_owned() };
    ranges.map(edit).map(FileEdit::from).collect()
}

/// Returns the name after a `&` or `*`.
fn name_of(range: TextRange) -> TextRange {
    TextRange::new(range.start + 1, range.end)
}

fn check_name(analysis: &Analysis, anchor: &Anchor<'_>, new_name: &str) -> Result<(), String> {
    let is_part = |character: char| character.is_alphanumeric() || "_-./".contains(character);
    if new_name.is_empty() || !new_name.chars().all(is_part) {
        return Err(format!("`{new_name}` cannot name an anchor. Use only letters, digits, `-`, `_`, `.` and `/`"));
    }
    let others = analysis.tree.nodes().filter_map(|node| node.anchor).filter(|other| *other != anchor.place);
    let mut names = others.filter_map(|other| other.of(&analysis.text).strip_prefix('&'));
    if names.any(|name| name == new_name) {
        return Err(format!("An anchor `&{new_name}` already exists"));
    }
    Ok(())
}

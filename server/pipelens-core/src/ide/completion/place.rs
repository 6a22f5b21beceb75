//! Which mapping the cursor is in, by the tree if there is one, otherwise by indentation.

use super::cursor::Cursor;
use crate::analysis::Analysis;
use crate::ide::mappings::walk;
use crate::keys::{self, Key, Place};
use crate::text::TextRange;

/// Returns the place whose mapping has its keys in the cursor's column, nearest above the cursor.
pub(super) fn place_at(analysis: &Analysis, cursor: &Cursor<'_>) -> Place {
    let mut best: Option<(usize, Place)> = None;
    let mut steps_column = None;
    walk(analysis, &mut |place, map| {
        let range = analysis.tree.node(map).range;
        if cursor.is_flow && is_inside(range, cursor.offset) {
            best = Some((range.start, place));
        }
        let Some(first) = analysis.tree.own_entries(map).and_then(<[_]>::first) else { return };
        let start = analysis.tree.node(first.key).range.start;
        let column = start - analysis.line_index.line_start(analysis.line_index.line(start));
        if matches!(place, Place::Step) {
            steps_column = Some(column);
        }
        let fits = !cursor.is_flow && column == cursor.column && start <= cursor.offset.max(cursor.line_start);
        if fits && best.is_none_or(|(other, _)| other <= start) {
            best = Some((start, place));
        }
    });
    match best {
        Some((_, place)) => place,
        None if cursor.is_flow => block_place(analysis, cursor),
        None if cursor.column == 0 => Place::Pipeline,
        // Deeper than the steps' own keys and in no mapping yet: a new block under the line above.
        None if steps_column.is_some_and(|column| cursor.column > column) => block_place(analysis, cursor),
        None => Place::Step,
    }
}

fn is_inside(range: TextRange, offset: usize) -> bool {
    range.start < offset && offset <= range.end
}

/// Returns the place of a block that is being started under a key.
fn block_place(analysis: &Analysis, cursor: &Cursor<'_>) -> Place {
    let Some(key) = outer_key(analysis, cursor) else { return Place::Step };
    if let Some(place) = keys::homes(key).find_map(|(_, key)| key.shape.place()) {
        return place;
    }
    if is_in_services(analysis, cursor) { Place::Service } else { Place::Step }
}

/// Tells whether the block at the cursor is under the name of a service.
fn is_in_services(analysis: &Analysis, cursor: &Cursor<'_>) -> bool {
    let column = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let Some(name) = outer_line(analysis, cursor) else { return false };
    let above = analysis.text.get(..cursor.line_start).unwrap_or_default().lines().rev();
    let mut outer = above.skip_while(|line| *line != name).filter(|line| {
        let content = line.trim_start_matches([' ', '-']);
        !content.trim().is_empty() && !content.starts_with('#') && column(line) < column(name)
    });
    outer.next().is_some_and(|line| line.trim_start_matches([' ', '-']).starts_with("services:"))
}

/// Returns the key the block at the cursor is under: the nearest line above that is indented less.
fn outer_key<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>) -> Option<&'a str> {
    let line = outer_line(analysis, cursor)?;
    let key = line.trim_start_matches([' ', '-']).split_once(':')?.0;
    Some(key.trim_matches(['"', '\'']))
}

fn outer_line<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>) -> Option<&'a str> {
    // A list entry may be in the same column as its key.
    let own = if cursor.is_list_entry { cursor.indentation + 1 } else { cursor.column };
    let is_outer = |line: &&str| {
        let content = line.trim_start_matches(' ');
        let is_entry =
            cursor.is_list_entry && content.starts_with('-') && line.len() - content.len() == cursor.indentation;
        let column = line.len() - content.trim_start_matches(['-', ' ']).len();
        let column = if is_entry { own } else { column };
        !content.trim().is_empty() && !content.starts_with('#') && column < own
    };
    analysis.text.get(..cursor.line_start)?.lines().rev().find(is_outer)
}

/// Tells whether the cursor is in the text of a command, where keys have no meaning.
pub(super) fn is_in_command(analysis: &Analysis, cursor: &Cursor<'_>) -> bool {
    if cursor.key == Some("cmd") {
        return true;
    }
    let mut steps = analysis.all_steps();
    if steps.any(|step| step.cmd.as_ref().is_some_and(|cmd| cmd.range.touches(cursor.offset))) {
        return true;
    }
    let starts_text = |line: &str| {
        let value = line.trim_start_matches([' ', '-']).strip_prefix("cmd:").map(str::trim_start);
        value.is_some_and(|value| value.starts_with(['|', '>']))
    };
    outer_line(analysis, cursor).is_some_and(starts_text)
}

/// Tells whether the cursor is where a variable's name goes.
pub(super) fn is_in_environment(analysis: &Analysis, cursor: &Cursor<'_>) -> bool {
    if cursor.is_flow {
        let before = cursor.before_word.trim_end_matches(['"', '\'']);
        let Some(open) = before.rfind('{') else { return false };
        let owner = before.get(..open).unwrap_or_default().trim_end().strip_suffix(':');
        let is_closed = before.get(open..).is_some_and(|inside| inside.contains('}'));
        return !is_closed && owner.is_some_and(|owner| owner.trim_end_matches(['"', '\'']).ends_with("env"));
    }
    !cursor.is_list_entry && outer_key(analysis, cursor) == Some("env")
}

/// Returns the key whose list a `- ` entry at the cursor continues, such as `depends_on`.
pub(super) fn list_key(analysis: &Analysis, cursor: &Cursor<'_>) -> Option<&'static Key> {
    if !cursor.is_list_entry || cursor.is_flow {
        return None;
    }
    let name = outer_key(analysis, cursor)?;
    keys::homes(name).map(|(_, key)| key).find(|key| key.shape.is_list_of_names())
}

pub(super) fn present_keys<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>, place: Place) -> Vec<&'a str> {
    let mut present = Vec::new();
    walk(analysis, &mut |own, map| {
        let range = analysis.tree.node(map).range;
        if own == place && range.touches(cursor.offset) {
            let entries = analysis.tree.own_entries(map).unwrap_or_default();
            let others = entries.iter().filter(|entry| !analysis.tree.node(entry.key).range.touches(cursor.offset));
            present = others.filter_map(|entry| analysis.tree.key_text(entry)).collect();
        }
    });
    present
}

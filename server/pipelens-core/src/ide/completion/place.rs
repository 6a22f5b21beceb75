//! Which mapping or list the cursor is in, by the tree if there is one, otherwise by indentation.

use super::cursor::{Cursor, Follows, dashes};
use crate::analysis::Analysis;
use crate::ide::mappings::walk;
use crate::keys::{self, Key, Place, Shape};
use crate::syntax::tree::{Kind, NodeId};
use crate::text::TextRange;

/// Returns the place whose mapping has its keys in the cursor's column, nearest above the cursor, and the mapping if it has begun.
pub(super) fn place_at(analysis: &Analysis, cursor: &Cursor<'_>) -> (Place, Option<NodeId>) {
    let block_start = block_start(analysis, cursor);
    let mut best: Option<(usize, Place, NodeId)> = None;
    let mut steps_column = None;
    walk(analysis, &mut |place, map| {
        let range = analysis.tree.node(map).range;
        if cursor.is_flow && is_inside(range, cursor.offset) {
            best = Some((range.start, place, map));
        }
        let Some(first) = analysis.tree.own_entries(map).and_then(<[_]>::first) else { return };
        let start = analysis.tree.node(first.key).range.start;
        let column = start - analysis.line_index.line_start(analysis.line_index.line(start));
        if matches!(place, Place::Step) {
            steps_column = Some(column);
        }
        let is_open = block_start <= start && start <= cursor.offset.max(cursor.line_start);
        // The dash of a new entry begins a new mapping; the one that was there before may go on in this line.
        let is_own = !cursor.is_list_entry || cursor.line_start <= start;
        let fits = !cursor.is_flow && column == cursor.column && is_open && is_own;
        if fits && best.is_none_or(|(other, ..)| other <= start) {
            best = Some((start, place, map));
        }
    });
    let owner = cursor.owner.filter(|_| cursor.is_flow && !cursor.is_list_value);
    let owned = owner.and_then(|owner| keys::homes(owner).find_map(|(_, key)| key.shape.place()));
    match (owned, best) {
        (Some(place), Some((_, best, map))) if place == best => (place, Some(map)),
        // The text of the brackets could not be read yet.
        (Some(place), _) => (place, None),
        (None, Some((_, place, map))) => (place, Some(map)),
        (None, None) if cursor.is_flow => (block_place(analysis, cursor), None),
        (None, None) if analysis.is_settings => {
            let is_under = outer_key(analysis, cursor) == Some("severity");
            (if is_under { Place::Severities } else { Place::Settings }, None)
        }
        (None, None) if cursor.column == 0 => (Place::Pipeline, None),
        // Deeper than the steps' own keys and in no mapping yet: a new block under the line above.
        (None, None) if cursor.is_list_entry || steps_column.is_some_and(|column| cursor.column > column) => {
            (block_place(analysis, cursor), None)
        }
        (None, None) => (Place::Step, None),
    }
}

fn is_inside(range: TextRange, offset: usize) -> bool {
    range.start < offset && offset <= range.end
}

/// Returns the start of the nearest line above that is indented less: a mapping that began before it has ended.
fn block_start(analysis: &Analysis, cursor: &Cursor<'_>) -> usize {
    if cursor.is_list_entry {
        return cursor.line_start;
    }
    let mut start = cursor.line_start;
    for line in analysis.text.get(..cursor.line_start).unwrap_or_default().split_inclusive('\n').rev() {
        start -= line.len();
        if says_something(line) && indentation(line) < cursor.column {
            return start;
        }
    }
    0
}

/// Tells whether a line is more than white space and comments.
fn says_something(line: &str) -> bool {
    let content = line.trim();
    !content.is_empty() && !content.starts_with('#')
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Returns where the content of a line starts, after its dashes.
fn column(line: &str) -> usize {
    indentation(line) + dashes(line.trim_start_matches(' '))
}

fn without_dashes(line: &str) -> &str {
    line.get(column(line)..).unwrap_or_default()
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
    let Some(range) = outer_range(analysis, cursor) else { return false };
    let name_column = column(range.of(&analysis.text));
    let above = analysis.text.get(..range.start).unwrap_or_default().lines().rev();
    let mut outer = above.filter(|line| says_something(line) && column(line) < name_column);
    outer.next().is_some_and(|line| without_dashes(line).starts_with("services:"))
}

/// Returns the key the block at the cursor is under: the nearest line above that is indented less.
fn outer_key<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>) -> Option<&'a str> {
    key_of_line(outer_line(analysis, cursor)?)
}

fn key_of_line(line: &str) -> Option<&str> {
    let key = without_dashes(line).split_once(':')?.0;
    Some(key.trim_matches(['"', '\'']))
}

fn outer_line<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>) -> Option<&'a str> {
    Some(outer_range(analysis, cursor)?.of(&analysis.text))
}

/// Returns the nearest line above that is indented less. It may be at the start of the file, so it is looked for once.
fn outer_range(analysis: &Analysis, cursor: &Cursor<'_>) -> Option<TextRange> {
    *cursor.outer_line.get_or_init(|| find_outer_line(analysis, cursor))
}

fn find_outer_line(analysis: &Analysis, cursor: &Cursor<'_>) -> Option<TextRange> {
    // A list entry may be in the same column as its key.
    let own = if cursor.is_list_entry { cursor.indentation + 1 } else { cursor.column };
    let is_outer = |line: &str| {
        let is_entry =
            cursor.is_list_entry && dashes(line.trim_start_matches(' ')) > 0 && indentation(line) == cursor.indentation;
        says_something(line) && (if is_entry { own } else { column(line) }) < own
    };
    let mut start = cursor.line_start;
    for line in analysis.text.get(..cursor.line_start)?.split_inclusive('\n').rev() {
        start -= line.len();
        if is_outer(line) {
            return Some(TextRange::new(start, start + line.trim_end_matches(['\r', '\n']).len()));
        }
    }
    None
}

/// Tells whether the cursor is in the text of a command, where keys have no meaning.
pub(super) fn is_in_command(analysis: &Analysis, cursor: &Cursor<'_>) -> bool {
    if matches!(cursor.key, Some("cmd" | "ready")) {
        return true;
    }
    let mut steps = analysis.all_steps();
    let is_around = |range: TextRange| range.touches(cursor.offset) && !ends_above(analysis, cursor, range);
    if steps.any(|step| step.cmd.as_ref().is_some_and(|cmd| is_around(cmd.range))) {
        return true;
    }
    let outer = outer_line(analysis, cursor).filter(|line| starts_text(line));
    outer.and_then(key_of_line).is_some_and(|key| matches!(key, "cmd" | "ready"))
}

/// Tells whether the cursor is in a string of several lines, after its first one.
pub(super) fn is_in_text(analysis: &Analysis, cursor: &Cursor<'_>) -> bool {
    if outer_line(analysis, cursor).is_some_and(starts_text) {
        return true;
    }
    analysis.tree.nodes().any(|node| {
        let is_around = node.range.start < cursor.line_start && cursor.offset <= node.range.end;
        is_around && matches!(node.kind, Kind::Scalar(_)) && !ends_above(analysis, cursor, node.range)
    })
}

/// Tells whether a string ends above the cursor, although the file was repaired as if the cursor's line were a part of it: the line is not indented
/// more than the key, so it is the beginning of the next key.
fn ends_above(analysis: &Analysis, cursor: &Cursor<'_>, range: TextRange) -> bool {
    if !analysis.is_repaired || cursor.is_flow || range.start >= cursor.line_start {
        return false;
    }
    let start = analysis.line_index.line_start(analysis.line_index.line(range.start));
    let key = analysis.text.get(start..).and_then(|rest| rest.lines().next()).map_or(0, column);
    // A string on a line of its own may go on in its column.
    if start + key < range.start { cursor.column <= key } else { cursor.column < key }
}

/// Tells whether a line ends with the mark of a block of text: `|`, `>-`, `|2`.
fn starts_text(line: &str) -> bool {
    let code = line.split(" #").next().unwrap_or_default().trim_end();
    let mark = code.trim_end_matches(|character: char| character.is_ascii_digit() || matches!(character, '+' | '-'));
    let Some(before) = mark.strip_suffix(['|', '>']) else { return false };
    code.len() - mark.len() <= 2 && before.ends_with([' ', '\t']) && {
        let before = before.trim_end();
        let value = before.rsplit([' ', '\t']).next().unwrap_or_default();
        value.ends_with([':', '-']) || value.starts_with(['&', '!'])
    }
}

/// Tells whether the cursor is where a variable's name goes.
pub(super) fn is_in_environment(analysis: &Analysis, cursor: &Cursor<'_>) -> bool {
    if cursor.is_flow {
        return cursor.owner == Some("env") && !cursor.is_list_value;
    }
    !cursor.is_list_entry && outer_key(analysis, cursor) == Some("env")
}

/// Returns the key whose list a `- ` entry at the cursor continues, such as `depends_on`.
pub(super) fn list_key(analysis: &Analysis, cursor: &Cursor<'_>) -> Option<&'static Key> {
    if !cursor.is_list_entry || cursor.is_flow {
        return None;
    }
    let name = outer_key(analysis, cursor)?;
    keys::homes(name).map(|(_, key)| key).find(|key| key.shape.is_list_of_texts())
}

/// Tells whether the cursor is where an entry of a list goes, and the dash is still missing.
pub(super) fn needs_dash(analysis: &Analysis, cursor: &Cursor<'_>) -> bool {
    if cursor.is_flow || cursor.is_list_entry || cursor.key.is_some() {
        return false;
    }
    let above = analysis.text.get(..cursor.line_start).unwrap_or_default().lines().rev();
    let mut lines = above.filter(|line| says_something(line) && indentation(line) <= cursor.column);
    let Some(line) = lines.next() else { return false };
    if indentation(line) == cursor.column {
        return dashes(line.trim_start_matches(' ')) > 0;
    }
    let Some((key, value)) = without_dashes(line).split_once(':') else { return false };
    let value = value.trim();
    let is_list = |shape: Shape| matches!(shape, Shape::List { .. } | Shape::StepKeys | Shape::Steps);
    column(line) < cursor.column
        && (value.is_empty() || value.starts_with('#'))
        && keys::homes(key).any(|(_, key)| is_list(key.shape))
}

/// Tells whether a key may begin in the column of the dashes above: that of the list itself is in the same column.
pub(super) fn may_be_key(analysis: &Analysis, cursor: &Cursor<'_>) -> bool {
    if cursor.follows == Follows::Something {
        return false;
    }
    let above = analysis.text.get(..cursor.line_start).unwrap_or_default().lines().rev();
    let mut lines = above.filter(|line| says_something(line) && indentation(line) <= cursor.column);
    let is_entry = |line: &&str| indentation(line) == cursor.column && dashes(line.trim_start_matches(' ')) > 0;
    let key = lines.find(|line| !is_entry(line));
    key.is_some_and(|line| column(line) == cursor.column)
}

/// Returns the keys a mapping has besides the one at the cursor.
pub(super) fn present_keys<'a>(analysis: &'a Analysis, cursor: &Cursor<'_>, map: Option<NodeId>) -> Vec<&'a str> {
    let entries = map.and_then(|map| analysis.tree.own_entries(map)).unwrap_or_default();
    let others = entries.iter().filter(|entry| !analysis.tree.node(entry.key).range.touches(cursor.offset));
    others.filter_map(|entry| analysis.tree.key_text(entry)).collect()
}

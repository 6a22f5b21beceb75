//! What could be written at the cursor: keys by place, step keys, policies, runners, images, names of variables, anchors, whole steps.
//! Nothing is offered that would leave the file with a new syntax error.

mod aliases;
mod command;
mod cursor;
mod entry;
mod guard;
mod ignore;
mod matrix;
mod mounts;
mod place;
mod snippet;
mod values;
mod written;

use crate::analysis::Analysis;
use crate::keys::{self, Place, Shape};
use cursor::{Cursor, Follows};

pub use entry::{Completion, CompletionKind, Known};

/// Returns what could be written at an offset, most likely first.
pub fn completion(analysis: &Analysis, offset: usize, known: Known<'_>) -> Vec<Completion> {
    // No cursor is in the middle of a line break.
    if offset
        .checked_sub(1)
        .is_some_and(|before| analysis.text.get(before..).is_some_and(|rest| rest.starts_with("\r\n")))
    {
        return Vec::new();
    }
    if let Some(entries) = ignore::comment(analysis, offset) {
        return entries;
    }
    let is_comment = analysis.tree.comments.iter().any(|comment| comment.start < offset && offset <= comment.end);
    let Some(cursor) = Cursor::new(analysis, offset).filter(|_| !is_comment) else { return Vec::new() };
    if let Some(mut entries) = matrix::in_expression(analysis, &cursor) {
        guard::retain_valid(analysis, &cursor, &mut entries);
        return entries;
    }
    let mut entries = if place::is_in_command(analysis, &cursor) {
        command::variables(analysis, &cursor)
    } else if place::is_in_text(analysis, &cursor) {
        Vec::new()
    } else if place::needs_dash(analysis, &cursor) {
        // In the column of the dashes, the list may go on, or the next key may begin.
        let mut keys = if place::may_be_key(analysis, &cursor) { new_keys(analysis, &cursor) } else { Vec::new() };
        guard::retain_valid(analysis, &cursor, &mut keys);
        let cursor = cursor.with_dash();
        let mut entries = offered(analysis, &cursor, known);
        guard::retain_valid(analysis, &cursor, &mut entries);
        entries.extend(keys);
        return entries;
    } else {
        offered(analysis, &cursor, known)
    };
    guard::retain_valid(analysis, &cursor, &mut entries);
    entries
}

fn offered(analysis: &Analysis, cursor: &Cursor<'_>, known: Known<'_>) -> Vec<Completion> {
    let is_value = cursor.key.is_some();
    if is_value && matches!(cursor.follows, Follows::Colon | Follows::Something) {
        return Vec::new();
    }
    if let Some(entries) = aliases::aliases(analysis, cursor) {
        return entries;
    }
    if let Some(name) = cursor.key {
        let (place, _) = place::place_at(analysis, cursor);
        let home = keys::homes(name).map(|(_, key)| key).next().filter(|_| cursor.is_list_value);
        let key = home.or_else(|| keys::find(place, name));
        return match key {
            Some(key) if key.shape == Shape::Scalar => matrix::values(analysis, cursor),
            Some(key) => values::values(analysis, cursor, key, known),
            None => Vec::new(),
        };
    }
    if let Some(key) = place::list_key(analysis, cursor) {
        let mut entries = match cursor.follows {
            Follows::Nothing => values::values(analysis, cursor, key, known),
            Follows::Colon | Follows::Entry | Follows::Something => Vec::new(),
        };
        if key.shape.place().is_some_and(|place| place == Place::CacheMount) && cursor.follows != Follows::Something {
            entries.extend(new_keys(analysis, cursor));
        }
        return entries;
    }
    if cursor.follows == Follows::Something {
        return Vec::new();
    }
    if place::is_in_environment(analysis, cursor) {
        return values::new_variables(analysis, cursor);
    }
    new_keys(analysis, cursor)
}

fn new_keys(analysis: &Analysis, cursor: &Cursor<'_>) -> Vec<Completion> {
    let (place, map) = place::place_at(analysis, cursor);
    let present = place::present_keys(analysis, cursor, map);
    let mut entries = snippet::whole(analysis, cursor, place, present.is_empty());
    let missing = keys::keys(place).iter().filter(|key| !present.contains(&key.name));
    entries.extend(missing.map(|key| snippet::of_key(cursor, key)));
    if place == Place::Combination {
        entries.extend(matrix::axes(analysis, cursor, &present));
    }
    let is_free = cursor.follows == Follows::Nothing && present.is_empty();
    if place == Place::Step && cursor.is_list_entry && !cursor.is_flow && is_free {
        entries.push(values::wait(cursor));
    }
    entries.extend(aliases::merge_key(analysis, cursor, &present));
    entries
}

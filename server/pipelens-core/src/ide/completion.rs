//! What could be written at the cursor: keys by place, step keys, policies, runners, images, names of variables, whole steps.

mod cursor;
mod entry;
mod place;
mod snippet;
mod values;

use crate::analysis::Analysis;
use crate::keys::{self, Place};
use cursor::Cursor;

pub use entry::{Completion, CompletionKind, Known};

/// Returns what could be written at an offset, most likely first.
pub fn completion(analysis: &Analysis, offset: usize, known: Known<'_>) -> Vec<Completion> {
    let Some(cursor) = Cursor::new(analysis, offset) else { return Vec::new() };
    if place::is_in_command(analysis, &cursor) {
        return values::variables_in_command(analysis, &cursor);
    }
    let place = place::place_at(analysis, &cursor);
    if let Some(name) = cursor.key {
        let home = keys::homes(name).map(|(_, key)| key).next().filter(|_| cursor.is_list_value);
        let key = home.or_else(|| keys::find(place, name));
        return key.map(|key| values::values(analysis, &cursor, key, known)).unwrap_or_default();
    }
    if let Some(key) = place::list_key(analysis, &cursor) {
        return values::values(analysis, &cursor, key, known);
    }
    if place::is_in_environment(analysis, &cursor) {
        return values::new_variables(analysis, &cursor);
    }
    let present = place::present_keys(analysis, &cursor, place);
    let mut entries = snippet::whole(analysis, &cursor, place, present.is_empty());
    let missing = keys::keys(place).iter().filter(|key| !present.contains(&key.name));
    entries.extend(missing.map(|key| Completion {
        snippet: Some(snippet::of_key(&cursor, key)),
        ..cursor.key_entry(key.name, CompletionKind::Key, key.doc)
    }));
    if place == Place::Step && cursor.is_list_entry && !cursor.is_flow {
        entries.push(cursor.bare_entry(
            "wait",
            CompletionKind::Value,
            "A barrier between the steps before and after it.",
        ));
    }
    entries
}

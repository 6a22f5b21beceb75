//! The keys of one mapping: unknown, misplaced, missing, twice.

use std::collections::{HashMap, HashSet};

use super::removal;
use crate::diagnostic::{Code, Diagnostic, Fix, Severity};
use crate::findings::Findings;
use crate::keys::{self, Key, Place};
use crate::nearest::nearest;
use crate::syntax::parse::Style;
use crate::syntax::tree::{Entry, Kind, NodeId, Tree};
use crate::text::{TextEdit, TextRange};

const FEW_KEYS: usize = 24;

/// Finds a key that is defined twice in one mapping, of whatever kind.
pub(super) fn duplicate_keys(text: &str, tree: &Tree, map: NodeId, findings: &mut Findings) {
    let Some(entries) = tree.own_entries(map) else { return };
    // Nearly every mapping: so few keys that comparing each with each beats hashing.
    if entries.len() <= FEW_KEYS {
        for (position, entry) in entries.iter().enumerate() {
            let Some(key) = tree.key_text(entry) else { continue };
            let first = entries.iter().take(position).find(|earlier| tree.key_text(earlier) == Some(key));
            findings.extend(first.map(|first| duplicate_key(text, tree, map, key, entry, first)));
        }
        return;
    }
    let mut seen: HashMap<&str, &Entry> = HashMap::with_capacity(entries.len());
    for entry in entries {
        let Some(key) = tree.key_text(entry) else { continue };
        match seen.get(key) {
            None => {
                seen.insert(key, entry);
            }
            Some(_) if findings.omits(Code::DuplicateMappingKey, Severity::Error) => {}
            Some(first) => findings.push(duplicate_key(text, tree, map, key, entry, first)),
        }
    }
}

fn duplicate_key(text: &str, tree: &Tree, map: NodeId, key: &str, entry: &Entry, first: &Entry) -> Diagnostic {
    if tree.is_merge(entry) && tree.is_merge(first) {
        return second_merge(text, tree, map, entry, first);
    }
    let message = format!("`{key}` is defined twice; only one takes effect. Remove one.");
    let finding = Diagnostic::new(Code::DuplicateMappingKey, tree.node(entry.key).range, message);
    finding.with_related(tree.node(first.key).range, format!("`{key}` is first defined here"))
}

/// Two `<<`: many parsers take only one of them, and a list of both is what the author means.
fn second_merge(text: &str, tree: &Tree, map: NodeId, entry: &Entry, first: &Entry) -> Diagnostic {
    let message =
        "`<<` is here twice, and other YAML parsers take only one of them. Write one with a list: `<<: [*a, *b]`.";
    let (key, own, other) = (tree.node(entry.key).range, tree.node(entry.value), tree.node(first.value));
    let mut finding = Diagnostic::new(Code::DuplicateMappingKey, key, message)
        .with_related(tree.node(first.key).range, "The first `<<` is here");
    let added = own.range.of(text);
    let list = match &other.kind {
        Kind::Alias(_) => {
            Some(TextEdit { range: other.range, new_text: format!("[{}, {added}]", other.range.of(text)) })
        }
        Kind::List { is_flow: true, items } if !items.is_empty() => {
            let last = items.last().map_or(other.range, |item| tree.node(*item).range);
            Some(TextEdit { range: TextRange::at(last.end), new_text: format!(", {added}") })
        }
        Kind::List { .. } | Kind::Map { .. } | Kind::Scalar(_) => None,
    };
    let removed = removal::of_entry(text, tree, map, entry).filter(|_| matches!(own.kind, Kind::Alias(_)));
    if let (Some(list), Some(removed)) = (list, removed) {
        let removed = TextEdit { range: removed, new_text: String::new() };
        finding.fixes.push(Fix::new("Make it one `<<` with a list", true, vec![list, removed]));
    }
    finding
}

/// Splits a key such as `cmd:make`, which lacks the space before its value.
pub(super) fn glued<'tree>(tree: &'tree Tree, entry: &Entry) -> Option<(&'tree str, &'tree str)> {
    let Kind::Scalar(key) = &tree.node(entry.key).kind else { return None };
    let (name, value) = key.text.split_once(':')?;
    let is_alone = tree.node(entry.value).range.is_empty() && key.style == Style::Plain;
    (is_alone && !name.is_empty() && !value.is_empty() && !value.starts_with('/')).then_some((name, value))
}

/// Finds a known key without the space after its colon.
pub(super) fn glued_key(tree: &Tree, entry: &Entry, place: Place) -> Option<(Diagnostic, Option<&'static str>)> {
    let (name, value) = glued(tree, entry)?;
    let known = keys::find(place, name)?;
    let range = tree.node(entry.key).range;
    let message =
        format!("A space is missing after `{name}:`. Without it, this is one word and not a key with a value.");
    let finding = Diagnostic::new(Code::UnknownKey, range, message);
    Some((finding.with_safe_fix("Add the space", range, format!("{name}: {value}")), Some(known.name)))
}

/// Returns the keys a place allows that none of the entries has.
pub(super) fn absent_keys(tree: &Tree, entries: &[Entry], place: Place) -> Vec<&'static str> {
    let present: HashSet<&str> = entries.iter().filter_map(|entry| tree.key_text(entry)).collect();
    keys::keys(place).iter().map(|key| key.name).filter(|name| !present.contains(name)).collect()
}

/// Finds a key that the place does not allow. Also returns which of the `absent` keys was meant, if that is clear.
pub(super) fn unknown_key(
    tree: &Tree,
    absent: &[&'static str],
    entry: &Entry,
    place: Place,
    findings: &mut Findings,
) -> Option<(Diagnostic, Option<&'static str>)> {
    let name = tree.key_text(entry).unwrap_or_default();
    // A document with `graph` as well has a finding of its own.
    if place.allows_extensions() && (name.starts_with("x-") || name == "graph") {
        return None;
    }
    let severity = if place.is_wire_format() { Severity::Hint } else { Severity::Error };
    if findings.omits(Code::UnknownKey, severity) {
        return None;
    }
    let range = tree.node(entry.key).range;
    let noun = place.noun();
    if place.is_wire_format() {
        let mut finding =
            Diagnostic::new(Code::UnknownKey, range, format!("Unknown key `{name}` in {noun}; it is ignored."));
        // The wire format lets tools add fields of their own.
        finding.severity = severity;
        return Some((finding, None));
    }
    let candidates = absent.iter().copied();
    if let Some(near) = nearest(name, candidates.clone()).or_else(|| abbreviation(name, candidates)) {
        let message = format!("Unknown key `{name}` in {noun}. Did you mean `{near}`?");
        let finding = with_key_fix(Diagnostic::new(Code::UnknownKey, range, message), tree, entry.key, near);
        return Some((finding, Some(near)));
    }
    if place == Place::Severities {
        let message = format!("There is no finding with the code `{name}`. `pipelens explain` lists all codes.");
        return Some((Diagnostic::new(Code::UnknownKey, range, message), None));
    }
    // A barrier is an item of its own: its key cannot be moved into one.
    let home = keys::homes(name).map(|(home, _)| home).find(|home| *home != Place::Wait);
    let finding = match home {
        Some(home) => {
            let message = format!("`{name}` belongs in {}, not in {noun}. Move it there.", home.noun());
            Diagnostic::new(Code::MisplacedKey, range, message)
        }
        None => {
            let known: Vec<String> = keys::keys(place).iter().map(|key| format!("`{}`", key.name)).collect();
            let message = format!("Unknown key `{name}` in {noun}; expected one of {}.", known.join(", "));
            Diagnostic::new(Code::UnknownKey, range, message)
        }
    };
    Some((finding, None))
}

/// Finds required keys that are missing. A `misspelt` one already has a finding.
pub(super) fn missing_keys(
    text: &str,
    tree: &Tree,
    map: NodeId,
    place: Place,
    misspelt: &[&str],
    findings: &mut Findings,
) {
    let own = tree.own_entries(map).unwrap_or_default();
    // What an undefined alias would have added is unknown.
    if own.iter().any(|entry| tree.is_merge(entry) && tree.resolved(entry.value).is_none()) {
        return;
    }
    let range = own.first().map_or(tree.node(map).range, |entry| tree.node(entry.key).range);
    for key in keys::keys(place)
        .iter()
        .filter(|key| key.is_required && !misspelt.contains(&key.name) && tree.get(map, key.name).is_none())
    {
        // `steps` and `graph` cannot be missing: documents are recognised by them.
        let noun = capitalised(&place.noun().replace("a ", "this ").replace("an ", "this "));
        let message = format!("{noun} has no `{}`. {}", key.name, key.when_missing);
        let mut finding = Diagnostic::new(Code::MissingKey, range, message.trim_end());
        if let Some(indent) = block_indent(text, tree, map) {
            finding = finding.with_fix(
                format!("Add `{}`", key.name),
                TextRange::at(range.start),
                format!("{}: {}\n{indent}", key.name, key.example),
            );
        }
        findings.push(finding);
    }
}

/// Adds the fix that renames a key, keeping its quotes.
pub(super) fn with_key_fix(finding: Diagnostic, tree: &Tree, key: NodeId, name: &str) -> Diagnostic {
    let node = tree.node(key);
    let new_text = match &node.kind {
        Kind::Scalar(scalar) => match scalar.style {
            Style::Plain => name.to_owned(),
            Style::SingleQuoted => format!("'{name}'"),
            Style::DoubleQuoted => format!("\"{name}\""),
            Style::Block => return finding,
        },
        Kind::List { .. } | Kind::Map { .. } | Kind::Alias(_) => return finding,
    };
    finding.with_fix(format!("Change to `{name}`"), node.range, new_text)
}

/// Adds the fix that inserts a key after another entry of the same mapping, in that mapping's style.
pub(super) fn with_entry_fix(
    finding: Diagnostic,
    text: &str,
    tree: &Tree,
    map: NodeId,
    after: &Entry,
    missing: &Key,
) -> Diagnostic {
    let Some(Kind::Map { is_flow, entries }) = tree.resolved(map).map(|node| &node.kind) else { return finding };
    if !entries.iter().any(|entry| entry.key == after.key) {
        return finding;
    }
    let key = tree.node(after.key).range;
    let is_json = text.get(key.start..).is_some_and(|written| written.starts_with('"'));
    let quote = if is_json { "\"" } else { "" };
    let name = missing.name;
    let entry = format!("{quote}{name}{quote}: {}", missing.example);
    let new_text = match block_indent(text, tree, map) {
        Some(indent) => format!("\n{indent}{entry}"),
        None if *is_flow => format!(", {entry}"),
        None => return finding,
    };
    finding.with_fix(format!("Add `{name}`"), TextRange::at(tree.node(after.value).range.end), new_text)
}

/// Returns the known name that a longer word was shortened to: `command` means `cmd`.
fn abbreviation<'name>(word: &str, mut names: impl Iterator<Item = &'name str>) -> Option<&'name str> {
    names.find(|name| {
        let mut characters = word.chars();
        name.chars().next() == word.chars().next()
            && name.chars().all(|wanted| characters.any(|character| character == wanted))
    })
}

/// Returns the blanks before a block mapping's first key, if a line can be added there.
fn block_indent(text: &str, tree: &Tree, map: NodeId) -> Option<String> {
    let node = tree.resolved(map)?;
    let Kind::Map { is_flow: false, entries } = &node.kind else { return None };
    let start = tree.node(entries.first()?.key).range.start;
    let line_start = text.get(..start)?.rfind('\n').map_or(0, |newline| newline + 1);
    let before = text.get(line_start..start)?;
    Some(before.chars().map(|_| ' ').collect())
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

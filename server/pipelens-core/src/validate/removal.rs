//! The quick fix for what should not be there: removes an entry of a mapping or an item of a list, with its comma or
//! its line, and leaves everything around it as it was.

use std::collections::{BTreeMap, HashMap};

use crate::diagnostic::{Code, Diagnostic, Fix};
use crate::printable::printable;
use crate::syntax::tree::{Entry, Kind, NodeId, Tree};
use crate::text::{TextEdit, TextRange};

/// Adds the fix to every finding it applies to. One walk over the tree, and none without such a finding.
pub(super) fn add(text: &str, tree: &Tree, findings: &mut [Diagnostic]) {
    let mut wanted: HashMap<TextRange, Vec<&mut Diagnostic>> = HashMap::new();
    for finding in findings.iter_mut().filter(|finding| is_removable(finding.code) && finding.fixes.is_empty()) {
        wanted.entry(finding.range).or_default().push(finding);
    }
    if wanted.is_empty() {
        return;
    }
    let shared = Shared::of(tree);
    for node in tree.nodes() {
        let Kind::Map { entries, is_flow } = &node.kind else { continue };
        let parts: Vec<TextRange> = entries.iter().map(|entry| entry_range(tree, entry)).collect();
        for (position, entry) in entries.iter().enumerate() {
            let key = tree.node(entry.key).range;
            let name = tree.key_text(entry).unwrap_or_default();
            let whole = || removal(text, &parts, position, *is_flow);
            for finding in wanted.get_mut(&key).into_iter().flatten() {
                offer(finding, name, whole(), &shared);
            }
            for finding in wanted.get_mut(&tree.node(entry.value).range).into_iter().flatten() {
                // What a merge key added belongs to other steps too; the reference is the first related place.
                let is_own =
                    finding.related.first().is_none_or(|related| node.range.contains_range(related.place.range));
                if is_own || !is_inherited(finding.code) {
                    offer(finding, name, whole(), &shared);
                }
            }
            let Kind::List { items, is_flow: is_flow_list } = &tree.node(entry.value).kind else { continue };
            let item_parts: Vec<TextRange> = items.iter().map(|item: &NodeId| tree.node(*item).range).collect();
            for (item, range) in item_parts.iter().enumerate() {
                for finding in wanted.get_mut(range).into_iter().flatten() {
                    let is_only = item_parts.len() == 1;
                    let range = match (is_only, name) {
                        (false, _) => removal(text, &item_parts, item, *is_flow_list),
                        (true, "depends_on" | "needs_artifacts") => whole(),
                        (true, _) => None,
                    };
                    let written = finding.range.of(text);
                    let name = if written.contains('\n') { "it" } else { written.trim_matches(['"', '\'']) };
                    offer(finding, name, range, &shared);
                }
            }
        }
    }
}

/// Returns what to delete so that an entry of a mapping is gone.
pub(super) fn of_entry(text: &str, tree: &Tree, map: NodeId, entry: &Entry) -> Option<TextRange> {
    let Kind::Map { entries, is_flow } = &tree.resolved(map)?.kind else { return None };
    let parts: Vec<TextRange> = entries.iter().map(|entry| entry_range(tree, entry)).collect();
    removal(text, &parts, entries.iter().position(|other| other == entry)?, *is_flow)
}

/// The anchors in use, in text order, each with the last alias to it.
struct Shared(Vec<(TextRange, TextRange)>);

impl Shared {
    fn of(tree: &Tree) -> Self {
        let aliases = tree.aliases();
        let last: BTreeMap<TextRange, TextRange> =
            aliases.filter_map(|(alias, target)| Some((tree.node(target).anchor?, alias))).collect();
        Self(last.into_iter().collect())
    }

    /// Tells whether an alias would be left without its anchor.
    fn breaks(&self, removed: TextRange) -> bool {
        let first = self.0.partition_point(|(anchor, _)| anchor.start < removed.start);
        let inside = self.0.iter().skip(first).take_while(|(anchor, _)| anchor.start < removed.end);
        // An alias comes after its anchor, so the last one decides.
        inside.into_iter().any(|(anchor, alias)| removed.contains_range(*anchor) && !removed.contains_range(*alias))
    }
}

/// Whether a merge key may have brought what such a finding is about.
fn is_inherited(code: Code) -> bool {
    matches!(code, Code::ImageWithoutEffect | Code::RedundantDependency)
}

fn is_removable(code: Code) -> bool {
    matches!(
        code,
        Code::RedundantDependency
            | Code::NoArtifacts
            | Code::OverlappingCacheMounts
            | Code::ReuseWithoutEffect
            | Code::ImageWithoutEffect
            | Code::SelfReference
            | Code::SeveralParents
            | Code::DuplicateMappingKey
            | Code::IdleMatrixEntry
    )
}

fn offer(finding: &mut Diagnostic, name: &str, range: Option<TextRange>, shared: &Shared) {
    let range = range.filter(|range| !shared.breaks(*range));
    if let (Some(range), true) = (range, finding.fixes.is_empty()) {
        let title = if name == "it" { "Remove it".to_owned() } else { format!("Remove `{}`", printable(name)) };
        // Removing what has no effect keeps the meaning; which of two contradicting entries to remove is a choice.
        let is_safe =
            matches!(finding.code, Code::RedundantDependency | Code::ImageWithoutEffect | Code::IdleMatrixEntry);
        finding.fixes.push(Fix::new(title, is_safe, vec![TextEdit { range, new_text: String::new() }]));
    }
}

fn entry_range(tree: &Tree, entry: &Entry) -> TextRange {
    let (key, value) = (tree.node(entry.key).range, tree.node(entry.value).range);
    if value.is_empty() { key } else { key.cover(value) }
}

/// Returns what to delete so that one part of a collection is gone. `None` where nothing would be left.
fn removal(text: &str, parts: &[TextRange], position: usize, is_flow: bool) -> Option<TextRange> {
    let own = *parts.get(position)?;
    let next = parts.get(position + 1);
    let before = position.checked_sub(1).and_then(|before| parts.get(before));
    if is_flow {
        return match (next, before) {
            (Some(next), _) => Some(TextRange::new(own.start, next.start)),
            (None, Some(before)) => Some(TextRange::new(before.end, own.end)),
            (None, None) => None,
        };
    }
    let line_start = text.get(..own.start)?.rfind('\n').map_or(0, |newline| newline + 1);
    let lead = text.get(line_start..own.start)?.trim();
    if before.is_none() && lead.is_empty() && next.is_none() {
        return None;
    }
    // The first key of a list entry shares its line with the `-`: the next one takes its place.
    if before.is_none() && own.start != line_start {
        return next.map(|next| TextRange::new(own.start, next.start));
    }
    let line_end = text.get(own.end..)?.find('\n').map_or(text.len(), |newline| own.end + newline + 1);
    (lead.is_empty() || lead == "-").then(|| TextRange::new(line_start, line_end))
}

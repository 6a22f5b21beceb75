//! Step keys and the places that name them: hover, definition and references.

use super::resolved::{describe, describe_value};
use super::{Hover, StepPlace};
use crate::analysis::Analysis;
use crate::files::FileRange;
use crate::keys::{self, Place};
use crate::lower::{DocumentKind, authored::is_barrier, document_kind, root_place};
use crate::model::Pipeline;
use crate::syntax::tree::{Kind, NodeId};
use crate::text::TextRange;

/// Returns what there is to say about the key, step or reference at an offset.
pub fn hover(analysis: &Analysis, offset: usize) -> Option<Hover> {
    if let Some((pipeline, position, range)) = step_at(analysis, offset) {
        let index = analysis.pipelines.iter().position(|other| std::ptr::eq(other, pipeline))?;
        let key = pipeline.steps.get(position)?.key.value.clone();
        let step = Some(StepPlace { pipeline: index, key });
        return Some(Hover { range, text: describe(pipeline, position), step });
    }
    if let Some(hover) = describe_value(analysis, offset) {
        return Some(hover);
    }
    let (place, key) = key_at(analysis, offset)?;
    let text = analysis.text.get(key.start..key.end)?.trim_matches(['"', '\'']);
    let known = keys::find(place, text)?;
    let required = if known.is_required { " (required)" } else { "" };
    Some(Hover { range: key, text: format!("`{}`{required}\n\n{}", known.name, known.doc), step: None })
}

/// Returns where the step that is named at an offset has its key, or what the alias there stands for.
pub fn definition(analysis: &Analysis, offset: usize) -> Option<FileRange> {
    if let Some((pipeline, position, _)) = step_at(analysis, offset) {
        return pipeline.steps.get(position).map(|step| step.key.range.into());
    }
    let alias = analysis.tree.aliases().find(|(range, _)| range.touches(offset));
    alias.and_then(|(_, target)| analysis.tree.node(target).anchor).map(FileRange::from)
}

/// Returns every place that names the step at an offset, its key first.
pub fn references(analysis: &Analysis, offset: usize) -> Vec<FileRange> {
    let Some((pipeline, position, _)) = step_at(analysis, offset) else { return Vec::new() };
    let Some(step) = pipeline.steps.get(position) else { return Vec::new() };
    std::iter::once(step.key.range).chain(naming(pipeline, &step.key.value)).map(FileRange::from).collect()
}

/// Returns every place that refers to a step by its key; in a plan those are edges.
pub(super) fn naming<'a>(pipeline: &'a Pipeline, key: &'a str) -> impl Iterator<Item = TextRange> + 'a {
    let names = pipeline.steps.iter().flat_map(|other| other.builds_in.iter().chain(&other.depends_on));
    names.filter(move |name| name.value == key).map(|name| name.range)
}

/// Returns the step whose key or reference is at an offset, with the range of that name.
pub(super) fn step_at(analysis: &Analysis, offset: usize) -> Option<(&Pipeline, usize, TextRange)> {
    for pipeline in analysis.pipelines.iter().filter(|pipeline| pipeline.range.touches(offset)) {
        for (position, step) in pipeline.steps.iter().enumerate() {
            if step.key.range.touches(offset) {
                return Some((pipeline, position, step.key.range));
            }
            let mut names = step.builds_in.iter().chain(&step.depends_on);
            let Some(name) = names.find(|name| name.range.touches(offset)) else { continue };
            let named = pipeline.steps.iter().position(|other| other.key.value == name.value)?;
            return Some((pipeline, named, name.range));
        }
    }
    None
}

/// Returns the key at an offset and the place it stands in.
fn key_at(analysis: &Analysis, offset: usize) -> Option<(Place, TextRange)> {
    let mut found = None;
    walk(analysis, &mut |place, map| {
        let entries = analysis.tree.own_entries(map).unwrap_or_default();
        let keys = entries.iter().map(|entry| analysis.tree.node(entry.key).range);
        found = found.or_else(|| Some((place, keys.clone().find(|key| key.touches(offset))?)));
    });
    found
}

/// Visits every mapping whose keys the vocabulary knows.
pub(super) fn walk(analysis: &Analysis, visit: &mut impl FnMut(Place, NodeId)) {
    // Following aliases that repeat too much to be a pipeline would take as long as that.
    if analysis.pipelines.is_empty() && analysis.tree.has_aliases {
        return;
    }
    for root in analysis.tree.documents.iter().copied() {
        let kind = document_kind(&analysis.tree, root).unwrap_or(DocumentKind::Authored);
        walk_map(analysis, root_place(kind), root, visit);
    }
}

fn walk_map(analysis: &Analysis, place: Place, map: NodeId, visit: &mut impl FnMut(Place, NodeId)) {
    let tree = &analysis.tree;
    let Kind::Map { entries, .. } = &tree.node(map).kind else { return };
    visit(place, map);
    for entry in entries {
        let Some(known) = tree.key_text(entry).and_then(|key| keys::find(place, key)) else { continue };
        let Some(inner) = known.shape.place() else { continue };
        let Kind::List { items, .. } = &tree.node(entry.value).kind else {
            walk_map(analysis, inner, entry.value, visit);
            continue;
        };
        for item in items {
            let is_wait = inner == Place::Step && is_barrier(tree, *item);
            walk_map(analysis, if is_wait { Place::Wait } else { inner }, *item, visit);
        }
    }
}

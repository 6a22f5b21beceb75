//! The mappings of a document with the place each one is.

use crate::analysis::Analysis;
use crate::keys::{self, Place};
use crate::lower::{DocumentKind, authored::is_barrier, document_kind, root_place};
use crate::syntax::tree::{Kind, NodeId};

/// Visits every mapping whose keys the vocabulary knows.
pub(crate) fn walk(analysis: &Analysis, visit: &mut impl FnMut(Place, NodeId)) {
    // Following aliases that expand to too much for a pipeline would take too long.
    if analysis.pipelines.is_empty() && analysis.tree.has_aliases {
        return;
    }
    for root in analysis.tree.documents.iter().copied() {
        let kind =
            if analysis.is_settings { Some(DocumentKind::Settings) } else { document_kind(&analysis.tree, root) };
        let kind = kind.unwrap_or(DocumentKind::Authored);
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

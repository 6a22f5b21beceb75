//! Tree → `Pipeline`. Takes what has the right shape and leaves the rest out: findings are made elsewhere.

pub(crate) mod authored;
mod fields;
pub(crate) mod plan;

use crate::keys::Place;
use crate::model::{Pipeline, Spelling};
use crate::syntax::tree::{NodeId, Tree};

/// What a document is, by its telling key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DocumentKind {
    Authored,
    Plan,
    Envelope,
}

/// Recognises a document; `None` when it has none of the telling keys.
pub(crate) fn document_kind(tree: &Tree, root: NodeId) -> Option<DocumentKind> {
    if tree.get(root, "steps").is_some() {
        return Some(DocumentKind::Authored);
    }
    if tree.get(root, "graph").is_some() {
        return Some(DocumentKind::Plan);
    }
    tree.get(root, "pipelines").map(|_| DocumentKind::Envelope)
}

/// Returns the place a document's root mapping is.
pub(crate) fn root_place(kind: DocumentKind) -> Place {
    match kind {
        DocumentKind::Authored => Place::Pipeline,
        DocumentKind::Plan => Place::Plan,
        DocumentKind::Envelope => Place::Envelope,
    }
}

/// Returns the pipelines of a document: one, or as many as an envelope holds.
pub(crate) fn pipelines(tree: &Tree, root: NodeId, kind: DocumentKind, is_json: bool) -> Vec<Pipeline> {
    match kind {
        DocumentKind::Authored => {
            let spelling = if is_json { Spelling::AuthoredJson } else { Spelling::AuthoredYaml };
            vec![authored::pipeline(tree, root, spelling)]
        }
        DocumentKind::Plan => vec![plan::pipeline(tree, root, Spelling::Plan)],
        DocumentKind::Envelope => plan::envelope(tree, root),
    }
}

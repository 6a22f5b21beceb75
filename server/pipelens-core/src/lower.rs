//! Tree → `Pipeline`. Takes what has the right shape and ignores the rest: findings are made elsewhere.

pub(crate) mod authored;
mod fields;
pub(crate) mod plan;

use crate::keys::Place;
use crate::model::{Pipeline, Spelling};
use crate::syntax::tree::{NodeId, Tree};

/// What a document is, by its distinguishing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DocumentKind {
    Authored,
    Plan,
    Envelope,
    /// The settings of a project. Only the name of the file says so.
    Settings,
}

/// Recognises a document; `None` if it has none of the distinguishing keys.
pub(crate) fn document_kind(tree: &Tree, root: NodeId) -> Option<DocumentKind> {
    if tree.get(root, "steps").is_some() {
        return Some(DocumentKind::Authored);
    }
    if tree.get(root, "graph").is_some() {
        return Some(DocumentKind::Plan);
    }
    tree.get(root, "pipelines").map(|_| DocumentKind::Envelope)
}

/// Returns the kind of mapping a document's root is.
pub(crate) fn root_place(kind: DocumentKind) -> Place {
    match kind {
        DocumentKind::Authored => Place::Pipeline,
        DocumentKind::Plan => Place::Plan,
        DocumentKind::Envelope => Place::Envelope,
        DocumentKind::Settings => Place::Settings,
    }
}

/// Returns the pipelines of a document: one, or all those in an envelope.
pub(crate) fn pipelines(tree: &Tree, root: NodeId, kind: DocumentKind, is_json: bool) -> Vec<Pipeline> {
    match kind {
        DocumentKind::Authored => {
            let spelling = if is_json { Spelling::AuthoredJson } else { Spelling::AuthoredYaml };
            vec![authored::pipeline(tree, root, spelling)]
        }
        DocumentKind::Plan => vec![plan::pipeline(tree, root, Spelling::Plan)],
        DocumentKind::Envelope => plan::envelope(tree, root),
        DocumentKind::Settings => Vec::new(),
    }
}

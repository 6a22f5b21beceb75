//! The one way from text to `Analysis`: read, lower, check.

use crate::lower;
use crate::syntax::patch::Patch;
use crate::syntax::tree::Tree;
use crate::text::LineIndex;
use crate::{Analysis, Format};

pub(crate) fn analyze(text: &str, format: Format) -> Analysis {
    let (tree, error) = Tree::build(text, &Patch::default());
    let mut pipelines = Vec::new();
    for root in &tree.documents {
        if let Some(kind) = lower::document_kind(&tree, *root) {
            pipelines.extend(lower::pipelines(&tree, *root, kind, format == Format::Json));
        }
    }
    Analysis {
        line_index: LineIndex::new(text),
        pipelines,
        diagnostics: Vec::new(),
        is_repaired: error.is_some(),
        text: text.to_owned(),
        tree,
    }
}

//! Inlay hints.

use lsp_types::{InlayHint, InlayHintLabel, InlayHintParams, InlayHintTooltip};
use pipelens_core::ide;

use super::replies::markdown;
use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

pub(crate) fn inlay_hint(_: &Server, documents: &Documents, params: InlayHintParams) -> Option<Vec<InlayHint>> {
    let document = documents.written_pipeline(&params.text_document.uri)?;
    let map = document.map();
    let hints = ide::hints(&document.analysis, map.offsets(params.range)).into_iter();
    let hints = hints.map(|hint| InlayHint {
        position: map.position(hint.offset),
        label: InlayHintLabel::String(hint.label),
        kind: None,
        text_edits: None,
        tooltip: Some(InlayHintTooltip::MarkupContent(markdown(hint.tooltip))),
        padding_left: Some(true),
        padding_right: None,
        data: None,
    });
    Some(hints.collect())
}

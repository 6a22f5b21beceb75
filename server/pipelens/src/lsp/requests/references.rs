//! Where a name is used: as a list, and marked in the text.

use lsp_types::{DocumentHighlight, DocumentHighlightKind, DocumentHighlightParams, Location, ReferenceParams};
use pipelens_core::ide;

use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

pub(crate) fn references(_: &Server, documents: &Documents, params: ReferenceParams) -> Option<Vec<Location>> {
    let at = params.text_document_position;
    let document = documents.pipeline(&at.text_document.uri)?;
    let places = ide::references(&document.analysis, document.map().offset(at.position)).into_iter();
    // The definition comes first.
    let wanted = places.skip(usize::from(!params.context.include_declaration));
    Some(wanted.filter_map(|place| document.files().location(place)).collect())
}

pub(crate) fn document_highlight(
    _: &Server,
    documents: &Documents,
    params: DocumentHighlightParams,
) -> Option<Vec<DocumentHighlight>> {
    let at = params.text_document_position_params;
    let document = documents.pipeline(&at.text_document.uri)?;
    let map = document.map();
    let places = ide::highlights(&document.analysis, map.offset(at.position)).into_iter();
    let highlights = places.map(|place| DocumentHighlight {
        range: map.range(place.range),
        kind: Some(if place.is_definition { DocumentHighlightKind::WRITE } else { DocumentHighlightKind::READ }),
    });
    Some(highlights.collect())
}

//! Where a name is used: as a list, and marked in the text.

use lsp_types::{DocumentHighlight, DocumentHighlightKind, DocumentHighlightParams, Location, ReferenceParams};
use pipelens_core::ide;

use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

pub(crate) fn references(_: &Server, documents: &Documents, params: ReferenceParams) -> Option<Vec<Location>> {
    let at = params.text_document_position;
    let document = documents.written_pipeline(&at.text_document.uri)?;
    let (analysis, offset) = (&document.analysis, document.map().offset(at.position));
    let places = if params.context.include_declaration {
        ide::references(analysis, offset)
    } else {
        ide::uses(analysis, offset)
    };
    Some(places.into_iter().filter_map(|place| document.files().location(place)).collect())
}

pub(crate) fn document_highlight(
    _: &Server,
    documents: &Documents,
    params: DocumentHighlightParams,
) -> Option<Vec<DocumentHighlight>> {
    let at = params.text_document_position_params;
    let document = documents.written_pipeline(&at.text_document.uri)?;
    let map = document.map();
    let places = ide::highlights(&document.analysis, map.offset(at.position)).into_iter();
    let highlights = places.map(|place| DocumentHighlight {
        range: map.range(place.range),
        kind: Some(if place.is_definition { DocumentHighlightKind::WRITE } else { DocumentHighlightKind::READ }),
    });
    Some(highlights.collect())
}

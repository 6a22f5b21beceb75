//! Where a name is defined.

use lsp_types::{GotoDefinitionParams, GotoDefinitionResponse, Location};
use pipelens_core::ide;

use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

pub(crate) fn definition(
    _: &Server,
    documents: &Documents,
    params: GotoDefinitionParams,
) -> Option<GotoDefinitionResponse> {
    let at = params.text_document_position_params;
    let document = documents.pipeline(&at.text_document.uri)?;
    let places = ide::definition(&document.analysis, document.map().offset(at.position)).into_iter();
    let mut locations: Vec<Location> = places.filter_map(|place| document.files().location(place)).collect();
    if locations.len() > 1 {
        return Some(GotoDefinitionResponse::Array(locations));
    }
    locations.pop().map(GotoDefinitionResponse::Scalar)
}

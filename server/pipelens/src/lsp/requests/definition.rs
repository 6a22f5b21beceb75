//! Where a step is defined.

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
    let map = document.map();
    let range = ide::definition(&document.analysis, map.offset(at.position))?;
    Some(GotoDefinitionResponse::Scalar(Location::new(document.uri.clone(), map.range(range))))
}

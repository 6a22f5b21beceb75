//! Where a step is defined.

use lsp_types::{GotoDefinitionParams, GotoDefinitionResponse};
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
    let place = ide::definition(&document.analysis, document.map().offset(at.position))?;
    document.files().location(place).map(GotoDefinitionResponse::Scalar)
}

//! The outline.

use lsp_types::{DocumentSymbolParams, DocumentSymbolResponse};
use pipelens_core::ide;

use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

pub(crate) fn document_symbol(
    _: &Server,
    documents: &Documents,
    params: DocumentSymbolParams,
) -> Option<DocumentSymbolResponse> {
    let document = documents.pipeline(&params.text_document.uri)?;
    let map = document.map();
    let symbols = ide::symbols(&document.analysis);
    Some(DocumentSymbolResponse::Nested(symbols.iter().map(|symbol| map.symbol(symbol)).collect()))
}

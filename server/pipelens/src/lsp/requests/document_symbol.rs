//! The outline.

use lsp_types::{DocumentSymbol, DocumentSymbolParams, DocumentSymbolResponse, Location, SymbolInformation, Uri};
use pipelens_core::ide;

use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

pub(crate) fn document_symbol(
    server: &Server,
    documents: &Documents,
    params: DocumentSymbolParams,
) -> Option<DocumentSymbolResponse> {
    let document = documents.pipeline(&params.text_document.uri)?;
    let map = document.map();
    let symbols = ide::symbols(&document.analysis);
    let nested: Vec<DocumentSymbol> = symbols.iter().map(|symbol| map.symbol(symbol)).collect();
    if server.settings.client().shown.nested_symbols {
        return Some(DocumentSymbolResponse::Nested(nested));
    }
    let mut flat = Vec::new();
    flatten(&mut flat, &document.uri, None, nested);
    Some(DocumentSymbolResponse::Flat(flat))
}

/// Returns the outline for a client that shows a list.
fn flatten(flat: &mut Vec<SymbolInformation>, uri: &Uri, container: Option<&str>, symbols: Vec<DocumentSymbol>) {
    for symbol in symbols {
        #[expect(deprecated, reason = "the protocol's type still has the field it deprecates")]
        flat.push(SymbolInformation {
            name: symbol.name.clone(),
            kind: symbol.kind,
            tags: None,
            deprecated: None,
            location: Location::new(uri.clone(), symbol.range),
            container_name: container.map(str::to_owned),
        });
        flatten(flat, uri, Some(&symbol.name), symbol.children.unwrap_or_default());
    }
}

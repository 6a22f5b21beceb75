//! Requests whose answers are as long as the file. Their answers become text at once: the framework makes a tree of values of
//! every answer first, which for the lenses of ten thousand lines takes five times as long as all the rest.

use lsp_types::{
    CodeLensParams, DocumentLinkParams, DocumentSymbolParams, FoldingRangeParams, InlayHintParams, SemanticTokensParams,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower_lsp::jsonrpc::{Error, Id, Response};

use super::{Shared, handlers, pipeline, writer};

/// The methods that are answered here. Of files that are not pipelines they say `null`, as all others do.
pub(super) const METHODS: [&str; 6] = [
    "textDocument/codeLens",
    "textDocument/documentLink",
    "textDocument/documentSymbol",
    "textDocument/foldingRange",
    "textDocument/inlayHint",
    "textDocument/semanticTokens/full",
];

/// Returns the frame of the answer.
pub(super) fn answer(shared: &Shared, method: &str, id: Id, params: Value) -> Vec<u8> {
    match method {
        "textDocument/codeLens" => framed(id, params, |params: CodeLensParams| {
            Some(handlers::code_lens(shared, &*pipeline(&params.text_document.uri)?))
        }),
        "textDocument/documentLink" => framed(id, params, |params: DocumentLinkParams| {
            Some(handlers::document_link(shared, &*pipeline(&params.text_document.uri)?))
        }),
        "textDocument/documentSymbol" => framed(id, params, |params: DocumentSymbolParams| {
            Some(handlers::document_symbol(shared, &*pipeline(&params.text_document.uri)?))
        }),
        "textDocument/foldingRange" => framed(id, params, |params: FoldingRangeParams| {
            Some(handlers::folding_range(&*pipeline(&params.text_document.uri)?))
        }),
        "textDocument/inlayHint" => framed(id, params, |params: InlayHintParams| {
            Some(handlers::inlay_hint(shared, &*pipeline(&params.text_document.uri)?, params.range))
        }),
        "textDocument/semanticTokens/full" => framed(id, params, |params: SemanticTokensParams| {
            Some(handlers::semantic_tokens(shared, &*pipeline(&params.text_document.uri)?, None))
        }),
        _ => writer::frame(&Response::from_error(id, Error::method_not_found())),
    }
}

#[derive(Serialize)]
struct Answer<R> {
    jsonrpc: &'static str,
    id: Id,
    result: Option<R>,
}

fn framed<P: DeserializeOwned, R: Serialize>(id: Id, params: Value, handle: impl FnOnce(P) -> Option<R>) -> Vec<u8> {
    match serde_json::from_value(params) {
        Ok(params) => writer::frame(&Answer { jsonrpc: "2.0", id, result: handle(params) }),
        Err(error) => writer::frame(&Response::from_error(id, Error::invalid_params(error.to_string()))),
    }
}

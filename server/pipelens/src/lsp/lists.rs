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

/// Makes the frame of an answer.
pub(super) type Handler = fn(&Shared, Id, Value) -> Vec<u8>;

/// Returns the handler of a method that is answered here. Of files that are not pipelines it says `null`, as all others do.
pub(super) fn handler(method: &str) -> Option<Handler> {
    Some(match method {
        "textDocument/codeLens" => |shared, id, params| {
            framed(id, params, |params: CodeLensParams| {
                Some(handlers::code_lens(shared, &*pipeline(&params.text_document.uri)?))
            })
        },
        "textDocument/documentLink" => |shared, id, params| {
            framed(id, params, |params: DocumentLinkParams| {
                Some(handlers::document_link(shared, &*pipeline(&params.text_document.uri)?))
            })
        },
        "textDocument/documentSymbol" => |shared, id, params| {
            framed(id, params, |params: DocumentSymbolParams| {
                Some(handlers::document_symbol(shared, &*pipeline(&params.text_document.uri)?))
            })
        },
        "textDocument/foldingRange" => |_, id, params| {
            framed(id, params, |params: FoldingRangeParams| {
                Some(handlers::folding_range(&*pipeline(&params.text_document.uri)?))
            })
        },
        "textDocument/inlayHint" => |shared, id, params| {
            framed(id, params, |params: InlayHintParams| {
                Some(handlers::inlay_hint(shared, &*pipeline(&params.text_document.uri)?, params.range))
            })
        },
        "textDocument/semanticTokens/full" => |shared, id, params| {
            framed(id, params, |params: SemanticTokensParams| {
                Some(handlers::semantic_tokens(shared, &*pipeline(&params.text_document.uri)?, None))
            })
        },
        _ => return None,
    })
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

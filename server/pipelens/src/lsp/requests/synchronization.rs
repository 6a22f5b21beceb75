//! Documents are opened, changed, saved and closed.

use lsp_types::{
    DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, DidSaveTextDocumentParams,
};

use crate::lsp::server::Server;

pub(crate) fn did_open(server: &Server, params: DidOpenTextDocumentParams) {
    if let Some(complaint) = server.documents.open(params) {
        server.warn(complaint);
    }
}

pub(crate) fn did_change(server: &Server, params: DidChangeTextDocumentParams) {
    server.documents.change(params);
}

pub(crate) fn did_save(server: &Server, params: DidSaveTextDocumentParams) {
    server.documents.saved(&params.text_document.uri);
}

pub(crate) fn did_close(server: &Server, params: DidCloseTextDocumentParams) {
    server.documents.close(&params);
}

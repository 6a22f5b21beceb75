//! Documents are opened, changed, saved and closed.

use lsp_types::{
    DidChangeTextDocumentParams, DidChangeWatchedFilesParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams,
    DidSaveTextDocumentParams,
};

use crate::lsp::server::Server;
use crate::lsp::session::watching;

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
    server.runs.log_documents.closed(&params.text_document.uri);
    server.documents.close(&params);
}

pub(crate) fn did_change_watched_files(server: &Server, params: DidChangeWatchedFilesParams) {
    server.workspace.forget();
    watching::changed(&server.documents, &params.changes);
}

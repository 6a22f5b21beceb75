//! The user changes settings, decides about trust, or cancels a run by its progress.

use lsp_types::{
    DidChangeConfigurationParams, DidChangeWorkspaceFoldersParams, SetTraceParams, WorkDoneProgressCancelParams,
};
use serde_json::Value;

use crate::lsp::protocol::commands;
use crate::lsp::server::Server;

pub(crate) fn did_change_configuration(server: &Server, params: DidChangeConfigurationParams) {
    if let Err(complaint) = server.settings.set(params.settings) {
        return server.warn(complaint);
    }
    server.documents.reanalyse();
    server.lenses.want();
    server.configure_folders();
}

pub(crate) fn did_change_workspace_folders(server: &Server, params: DidChangeWorkspaceFoldersParams) {
    server.settings.change_folders(&params.event);
    server.documents.reanalyse();
    server.configure_folders();
}

pub(crate) fn set_trace(server: &Server, params: SetTraceParams) {
    server.trace.set(params.value);
}

pub(crate) fn did_change_trust(server: &Server, params: Value) {
    server.settings.trust(commands::is_trusted(&params));
    server.documents.look_again();
    server.runs.stop_without_trust();
}

pub(crate) fn work_done_progress_cancel(server: &Server, params: WorkDoneProgressCancelParams) {
    server.runs.registry.cancel_token(&params.token);
}

//! Renames a step, a variable or an anchor everywhere.

use lsp_types::{PrepareRenameResponse, RenameParams, TextDocumentPositionParams, WorkspaceEdit};
use pipelens_core::ide;
use tower_lsp::jsonrpc::Result;

use super::replies::refused;
use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

pub(crate) fn prepare_rename(
    _: &Server,
    documents: &Documents,
    at: TextDocumentPositionParams,
) -> Option<PrepareRenameResponse> {
    let document = documents.written_pipeline(&at.text_document.uri)?;
    let map = document.map();
    let found = ide::prepare_rename(&document.analysis, map.offset(at.position))?;
    Some(PrepareRenameResponse::RangeWithPlaceholder { range: map.range(found.range), placeholder: found.name })
}

/// Returns the edits, or an error that explains why it cannot have that name.
pub(crate) fn rename(_: &Server, documents: &Documents, params: RenameParams) -> Result<Option<WorkspaceEdit>> {
    let at = params.text_document_position;
    let Some(document) = documents.written_pipeline(&at.text_document.uri) else { return Ok(None) };
    let offset = document.map().offset(at.position);
    let edits = ide::rename(&document.analysis, offset, &params.new_name).map_err(refused)?;
    Ok(Some(document.files().workspace_edit(&edits)))
}

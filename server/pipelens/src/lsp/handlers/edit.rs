//! Changes of the whole file: rename and formatting.

use lsp_types::{Position, PrepareRenameResponse, TextEdit, WorkspaceEdit};
use pipelens_core::ide::{self, FormatStyle};

use crate::lsp::Shared;
use crate::lsp::state::Document;

pub(crate) fn prepare_rename(
    shared: &Shared,
    document: &Document,
    position: Position,
) -> Option<PrepareRenameResponse> {
    let map = document.map(shared.config.encoding());
    let found = ide::prepare_rename(&document.analysis, map.offset(position))?;
    Some(PrepareRenameResponse::RangeWithPlaceholder { range: map.range(found.range), placeholder: found.name })
}

/// Returns the edits, or a sentence that says why the step cannot have that key.
pub(crate) fn rename(
    shared: &Shared,
    document: &Document,
    position: Position,
    new_name: &str,
) -> Result<WorkspaceEdit, String> {
    let encoding = shared.config.encoding();
    let edits = ide::rename(&document.analysis, document.map(encoding).offset(position), new_name)?;
    Ok(document.files(encoding).workspace_edit(&edits))
}

/// Returns the edits, or a sentence that says why the file stays as it is.
pub(crate) fn formatting(shared: &Shared, document: &Document, tab_size: u32) -> Result<Vec<TextEdit>, String> {
    let map = document.map(shared.config.encoding());
    let style = FormatStyle { indent: tab_size as usize };
    let format = document.path().map_or(pipelens_core::Format::Yaml, pipelens_core::Format::of);
    let edits = ide::format(&document.analysis, format, style)?;
    Ok(edits.iter().map(|edit| map.text_edit(edit)).collect())
}

//! What several requests answer with.

use lsp_types::{MarkupContent, MarkupKind};
use tower_lsp::jsonrpc::{Error, ErrorCode};

pub(super) fn markdown(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}

/// The argument is right, but what it asks for cannot be done now. Clients show this text.
pub(super) fn refused(message: impl Into<String>) -> Error {
    Error { code: ErrorCode::ServerError(-32803), message: message.into().into(), data: None }
}

/// The argument is wrong.
pub(super) fn invalid(message: String) -> Error {
    Error::invalid_params(message)
}

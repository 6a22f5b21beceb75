//! Formats the whole document.

use lsp_types::{DocumentFormattingParams, MessageType, TextEdit};
use pipelens_core::ide::{self, FormatStyle};

use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

pub(crate) fn formatting(
    server: &Server,
    documents: &Documents,
    params: DocumentFormattingParams,
) -> Option<Vec<TextEdit>> {
    let document = documents.written(&params.text_document.uri)?;
    let style = FormatStyle { indent: params.options.tab_size as usize };
    match ide::format(&document.analysis, document.format(), style) {
        Ok(edits) => {
            let map = document.map();
            Some(edits.iter().map(|edit| map.text_edit(edit)).collect())
        }
        Err(why) => {
            // Not an error: editors format at every save, of a half-written file too.
            server.log(MessageType::INFO, why);
            None
        }
    }
}

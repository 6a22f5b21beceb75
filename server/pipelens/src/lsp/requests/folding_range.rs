//! What can be folded.

use lsp_types::{FoldingRange, FoldingRangeKind, FoldingRangeParams};
use pipelens_core::ide::{self, FoldKind};

use super::log;
use crate::lsp::protocol::positions::to_u32;
use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

pub(crate) fn folding_range(
    server: &Server,
    documents: &Documents,
    params: FoldingRangeParams,
) -> Option<Vec<FoldingRange>> {
    let Some(document) = documents.written(&params.text_document.uri) else {
        return log::folds(server, documents, &params.text_document.uri);
    };
    let folds = ide::folds(&document.analysis).into_iter();
    let folds = folds.map(|fold| FoldingRange {
        start_line: to_u32(fold.start_line),
        end_line: to_u32(fold.end_line),
        kind: Some(match fold.kind {
            FoldKind::Region => FoldingRangeKind::Region,
            FoldKind::Comment => FoldingRangeKind::Comment,
        }),
        ..FoldingRange::default()
    });
    Some(folds.collect())
}

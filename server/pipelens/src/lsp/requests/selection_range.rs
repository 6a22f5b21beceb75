//! Expand selection.

use lsp_types::{Position, Range, SelectionRange, SelectionRangeParams};
use pipelens_core::ide;

use crate::lsp::server::Server;
use crate::lsp::session::documents::Documents;

pub(crate) fn selection_range(
    _: &Server,
    documents: &Documents,
    params: SelectionRangeParams,
) -> Option<Vec<SelectionRange>> {
    let document = documents.written(&params.text_document.uri)?;
    let map = document.map();
    let at = |position: &Position| {
        let ranges = ide::selection(&document.analysis, map.offset(*position));
        let outermost_first = ranges.into_iter().rev();
        let chain = outermost_first.fold(None, |parent: Option<SelectionRange>, range| {
            Some(SelectionRange { range: map.range(range), parent: parent.map(Box::new) })
        });
        chain.unwrap_or(SelectionRange { range: Range::new(*position, *position), parent: None })
    };
    Some(params.positions.iter().map(at).collect())
}

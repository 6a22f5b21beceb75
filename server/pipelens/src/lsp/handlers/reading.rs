//! What helps reading: hover, outline, hints, folding, growing selections.

use lsp_types::{
    DocumentSymbolResponse, FoldingRange, FoldingRangeKind, Hover, HoverContents, InlayHint, InlayHintLabel,
    InlayHintTooltip, Position, Range, SelectionRange,
};
use pipelens_core::ide::{self, FoldKind, StepPlace};

use super::markdown;
use crate::lsp::Shared;
use crate::lsp::convert::to_u32;
use crate::lsp::runs::StepView;
use crate::lsp::state::Document;
use crate::present;

pub(crate) fn hover(shared: &Shared, document: &Document, position: Position) -> Option<Hover> {
    let map = document.map(shared.config.encoding());
    let hover = ide::hover(&document.analysis, map.offset(position))?;
    let mut text = hover.text;
    if let Some(StepPlace { pipeline, key }) = &hover.step {
        shared.predictions.want_if_old(document.uri.as_str());
        let prospect = shared.predictions.of_step(document.uri.as_str(), *pipeline, key);
        let past = shared.runs.of_step(&document.uri, *pipeline, key).map(|(_, view)| view);
        for line in
            [prospect.as_ref().and_then(present::prospect), past.as_ref().and_then(last_run)].into_iter().flatten()
        {
            text.push_str("\n\n");
            text.push_str(&line);
        }
    }
    Some(Hover { contents: HoverContents::Markup(markdown(text)), range: Some(map.range(hover.range)) })
}

fn last_run(view: &StepView) -> Option<String> {
    match view {
        StepView::Done { outcome, took, .. } => Some(format!("Last run: {}.", present::step_outcome(outcome, *took))),
        StepView::Queued | StepView::Running { .. } => None,
    }
}

pub(crate) fn document_symbol(shared: &Shared, document: &Document) -> DocumentSymbolResponse {
    let map = document.map(shared.config.encoding());
    DocumentSymbolResponse::Nested(ide::symbols(&document.analysis).iter().map(|symbol| map.symbol(symbol)).collect())
}

pub(crate) fn inlay_hint(shared: &Shared, document: &Document, range: Range) -> Vec<InlayHint> {
    let map = document.map(shared.config.encoding());
    let hints = ide::hints(&document.analysis, map.offsets(range)).into_iter();
    hints
        .map(|hint| InlayHint {
            position: map.position(hint.offset),
            label: InlayHintLabel::String(hint.label),
            kind: None,
            text_edits: None,
            tooltip: Some(InlayHintTooltip::MarkupContent(markdown(hint.tooltip))),
            padding_left: Some(true),
            padding_right: None,
            data: None,
        })
        .collect()
}

pub(crate) fn folding_range(document: &Document) -> Vec<FoldingRange> {
    let folds = ide::folds(&document.analysis).into_iter();
    folds
        .map(|fold| FoldingRange {
            start_line: to_u32(fold.start_line),
            end_line: to_u32(fold.end_line),
            kind: Some(match fold.kind {
                FoldKind::Region => FoldingRangeKind::Region,
                FoldKind::Comment => FoldingRangeKind::Comment,
            }),
            ..FoldingRange::default()
        })
        .collect()
}

pub(crate) fn selection_range(shared: &Shared, document: &Document, positions: &[Position]) -> Vec<SelectionRange> {
    let map = document.map(shared.config.encoding());
    let at = |position: &Position| {
        let ranges = ide::selection(&document.analysis, map.offset(*position));
        let outermost_first = ranges.into_iter().rev();
        let chain = outermost_first.fold(None, |parent: Option<SelectionRange>, range| {
            Some(SelectionRange { range: map.range(range), parent: parent.map(Box::new) })
        });
        chain.unwrap_or(SelectionRange { range: Range::new(*position, *position), parent: None })
    };
    positions.iter().map(at).collect()
}

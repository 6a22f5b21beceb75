//! The graph of steps as a call hierarchy.

use lsp_types::{CallHierarchyIncomingCall, CallHierarchyItem, CallHierarchyOutgoingCall, Position, Range, SymbolKind};
use pipelens_core::ide::{self, Call, Symbol};

use crate::lsp::Shared;
use crate::lsp::convert::TextMap;
use crate::lsp::state::Document;

pub(crate) fn prepare_call_hierarchy(
    shared: &Shared,
    document: &Document,
    position: Position,
) -> Option<Vec<CallHierarchyItem>> {
    let map = document.map(shared.config.encoding());
    let symbol = ide::call_item(&document.analysis, map.offset(position))?;
    Some(vec![item(document, map, &symbol)])
}

pub(crate) fn incoming_calls(
    shared: &Shared,
    document: &Document,
    called: &CallHierarchyItem,
) -> Vec<CallHierarchyIncomingCall> {
    let map = document.map(shared.config.encoding());
    let calls = ide::incoming_calls(&document.analysis, map.offset(called.selection_range.start)).into_iter();
    calls
        .map(|call| CallHierarchyIncomingCall {
            from: item(document, map, &call.step),
            from_ranges: ranges(map, &call),
        })
        .collect()
}

pub(crate) fn outgoing_calls(
    shared: &Shared,
    document: &Document,
    caller: &CallHierarchyItem,
) -> Vec<CallHierarchyOutgoingCall> {
    let map = document.map(shared.config.encoding());
    let calls = ide::outgoing_calls(&document.analysis, map.offset(caller.selection_range.start)).into_iter();
    calls
        .map(|call| CallHierarchyOutgoingCall { to: item(document, map, &call.step), from_ranges: ranges(map, &call) })
        .collect()
}

fn ranges(map: TextMap<'_>, call: &Call) -> Vec<Range> {
    call.places.iter().map(|place| map.range(*place)).collect()
}

fn item(document: &Document, map: TextMap<'_>, symbol: &Symbol) -> CallHierarchyItem {
    CallHierarchyItem {
        name: symbol.name.clone(),
        kind: SymbolKind::FUNCTION,
        tags: None,
        detail: (!symbol.detail.is_empty()).then(|| symbol.detail.clone()),
        uri: document.uri.clone(),
        range: map.range(symbol.range),
        selection_range: map.range(symbol.selection),
        data: None,
    }
}

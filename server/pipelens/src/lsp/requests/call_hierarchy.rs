//! The graph of steps as a call hierarchy.

use lsp_types::{
    CallHierarchyIncomingCall, CallHierarchyIncomingCallsParams, CallHierarchyItem, CallHierarchyOutgoingCall,
    CallHierarchyOutgoingCallsParams, CallHierarchyPrepareParams, Range, SymbolKind,
};
use pipelens_core::ide::{self, Call, Symbol};

use crate::lsp::protocol::positions::TextMap;
use crate::lsp::server::Server;
use crate::lsp::session::documents::{Document, Documents};

pub(crate) fn prepare(
    _: &Server,
    documents: &Documents,
    params: CallHierarchyPrepareParams,
) -> Option<Vec<CallHierarchyItem>> {
    let at = params.text_document_position_params;
    let document = documents.pipeline(&at.text_document.uri)?;
    let map = document.map();
    let symbol = ide::call_item(&document.analysis, map.offset(at.position))?;
    Some(vec![item(&document, map, &symbol)])
}

pub(crate) fn incoming(
    _: &Server,
    documents: &Documents,
    params: CallHierarchyIncomingCallsParams,
) -> Option<Vec<CallHierarchyIncomingCall>> {
    let document = documents.pipeline(&params.item.uri)?;
    let map = document.map();
    let calls = ide::incoming_calls(&document.analysis, map.offset(params.item.selection_range.start)).into_iter();
    let calls = calls.map(|call| CallHierarchyIncomingCall {
        from: item(&document, map, &call.step),
        from_ranges: ranges(map, &call),
    });
    Some(calls.collect())
}

pub(crate) fn outgoing(
    _: &Server,
    documents: &Documents,
    params: CallHierarchyOutgoingCallsParams,
) -> Option<Vec<CallHierarchyOutgoingCall>> {
    let document = documents.pipeline(&params.item.uri)?;
    let map = document.map();
    let calls = ide::outgoing_calls(&document.analysis, map.offset(params.item.selection_range.start)).into_iter();
    let calls = calls.map(|call| CallHierarchyOutgoingCall {
        to: item(&document, map, &call.step),
        from_ranges: ranges(map, &call),
    });
    Some(calls.collect())
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

//! Read requests: a document as of the request's arrival goes in, the answer comes out. No state is changed, nothing is awaited.

mod action;
mod calls;
mod completion;
mod edit;
mod lens;
mod navigation;
mod reading;
mod tokens;

pub(crate) use action::{FIX_ALL_KIND, RUN_KIND, code_action};
pub(crate) use calls::{incoming_calls, outgoing_calls, prepare_call_hierarchy};
pub(crate) use completion::completion;
pub(crate) use edit::{formatting, prepare_rename, rename};
pub(crate) use lens::code_lens;
pub(crate) use navigation::{definition, document_link, highlight, references, workspace_symbol};
pub(crate) use reading::{document_symbol, folding_range, hover, inlay_hint, selection_range};
pub(crate) use tokens::{LEGEND, semantic_tokens};

use lsp_types::{MarkupContent, MarkupKind};
use pipelens_core::text::TextRange;

fn markdown(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}

fn touches(range: TextRange, wanted: TextRange) -> bool {
    range.start <= wanted.end && wanted.start <= range.end
}

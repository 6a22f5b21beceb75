//! The handlers, one file per feature. Most are pure functions of the parameters and the documents at the request's arrival.

pub(super) mod call_hierarchy;
pub(super) mod capabilities;
pub(super) mod code_action;
pub(super) mod code_lens;
mod combinations;
pub(super) mod completion;
pub(super) mod configuration;
pub(super) mod definition;
pub(super) mod diagnostic;
pub(super) mod document_link;
pub(super) mod document_symbol;
pub(super) mod execute_command;
#[cfg(debug_assertions)]
pub(super) mod faults;
pub(super) mod folding_range;
pub(super) mod formatting;
mod graph;
pub(super) mod hover;
pub(super) mod inlay_hint;
pub(super) mod lifecycle;
pub(super) mod log;
pub(super) mod references;
pub(super) mod rename;
mod replies;
pub(super) mod runs;
mod secrets;
pub(super) mod selection_range;
pub(super) mod semantic_tokens;
pub(super) mod synchronization;
mod watch;
pub(super) mod workspace_symbol;

//! The one table of methods, and how a message gets to its handler.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lsp_types::notification::{
    DidChangeConfiguration, DidChangeTextDocument, DidChangeWatchedFiles, DidChangeWorkspaceFolders,
    DidCloseTextDocument, DidOpenTextDocument, DidSaveTextDocument, Notification, SetTrace, WorkDoneProgressCancel,
};
use lsp_types::request::{
    CallHierarchyIncomingCalls, CallHierarchyOutgoingCalls, CallHierarchyPrepare, CodeActionRequest, CodeLensRequest,
    Completion, DocumentDiagnosticRequest, DocumentHighlightRequest, DocumentLinkRequest, DocumentSymbolRequest,
    ExecuteCommand, FoldingRangeRequest, Formatting, GotoDefinition, HoverRequest, InlayHintRequest,
    PrepareRenameRequest, References, Rename, Request as RequestType, SelectionRangeRequest, SemanticTokensFullRequest,
    SemanticTokensRangeRequest, WorkspaceDiagnosticRequest, WorkspaceSymbolRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::Service as _;
use tower_lsp::LspService;
use tower_lsp::jsonrpc::{Error, ErrorCode, Id, Request, Response, Result};

use super::protocol::commands::DidChangeTrust;
use super::protocol::log_content::ContentRequest;
use super::protocol::tree::RunsRequest;
use super::requests::lifecycle::Session;
use super::requests::{
    call_hierarchy, capabilities, code_action, code_lens, completion, configuration, definition, diagnostic,
    document_link, document_symbol, execute_command, folding_range, formatting, hover, inlay_hint, log, references,
    rename, runs, selection_range, semantic_tokens, synchronization, workspace_symbol,
};
use super::server::Server;
use super::session::documents::Documents;
use super::transport::in_flight::{Task, guarded};
use super::transport::message_loop::{Service, Taken};
use super::transport::writer::frame;

/// What is done with a message.
#[derive(Clone, Copy)]
enum Route {
    /// Changes documents, settings or trust, before the next message is read.
    Apply(fn(&Server, Value)),
    /// Answers from the documents as of its arrival and awaits nothing. The answer is serialized at once, because building a tree of values for the lenses of
    /// ten thousand lines would take five times as long as everything else.
    Read(ReadFn),
    /// As `Read`, but looks at files, and so runs where that holds up no other request.
    ReadFiles(ReadFn),
    /// Starts something. It may await, its answer is short, and it works even when the client reads nothing.
    Act(fn(Arc<Server>, Documents, Id, Value) -> BoxFuture<'static, Vec<u8>>),
}

type ReadFn = fn(&Server, &Documents, Id, Value) -> Vec<u8>;

macro_rules! apply {
    ($method:ty, $handler:path) => {
        (<$method>::METHOD, Route::Apply(|server, params| applied(server, <$method>::METHOD, params, $handler)))
    };
}

macro_rules! read {
    ($method:ty, $handler:path) => {
        read!($method, $handler, Read, Ok)
    };
    ($method:ty, $handler:path, $route:ident, $wrap:expr) => {
        (
            <$method>::METHOD,
            Route::$route(|server, documents, id, params| {
                let handle = |params| $wrap($handler(server, documents, params));
                answered::<$method>(id, params, handle)
            }),
        )
    };
}

/// The one table.
const ROUTES: &[(&str, Route)] = &[
    apply!(DidOpenTextDocument, synchronization::did_open),
    apply!(DidChangeTextDocument, synchronization::did_change),
    apply!(DidSaveTextDocument, synchronization::did_save),
    apply!(DidCloseTextDocument, synchronization::did_close),
    apply!(DidChangeWatchedFiles, synchronization::did_change_watched_files),
    apply!(DidChangeConfiguration, configuration::did_change_configuration),
    apply!(DidChangeWorkspaceFolders, configuration::did_change_workspace_folders),
    apply!(DidChangeTrust, configuration::did_change_trust),
    apply!(SetTrace, configuration::set_trace),
    apply!(WorkDoneProgressCancel, configuration::work_done_progress_cancel),
    read!(HoverRequest, hover::hover),
    read!(Completion, completion::completion),
    read!(GotoDefinition, definition::definition),
    read!(References, references::references),
    read!(DocumentHighlightRequest, references::document_highlight),
    read!(DocumentSymbolRequest, document_symbol::document_symbol),
    read!(WorkspaceSymbolRequest, workspace_symbol::workspace_symbol),
    read!(FoldingRangeRequest, folding_range::folding_range, ReadFiles, Ok),
    read!(SelectionRangeRequest, selection_range::selection_range),
    read!(DocumentLinkRequest, document_link::document_link, ReadFiles, Ok),
    read!(SemanticTokensFullRequest, semantic_tokens::full),
    read!(SemanticTokensRangeRequest, semantic_tokens::range),
    read!(InlayHintRequest, inlay_hint::inlay_hint),
    read!(CallHierarchyPrepare, call_hierarchy::prepare),
    read!(CallHierarchyIncomingCalls, call_hierarchy::incoming),
    read!(CallHierarchyOutgoingCalls, call_hierarchy::outgoing),
    read!(Formatting, formatting::formatting),
    read!(PrepareRenameRequest, rename::prepare_rename),
    read!(Rename, rename::rename, Read, std::convert::identity),
    read!(CodeLensRequest, code_lens::code_lens),
    read!(CodeActionRequest, code_action::code_action),
    read!(DocumentDiagnosticRequest, diagnostic::diagnostic),
    read!(WorkspaceDiagnosticRequest, diagnostic::workspace, ReadFiles, Ok),
    read!(RunsRequest, runs::runs, ReadFiles, Ok),
    read!(ContentRequest, log::content, ReadFiles, std::convert::identity),
    (
        ExecuteCommand::METHOD,
        Route::Act(|server, documents, id, params| {
            async move {
                let handle = |params| execute_command::execute_command(server, documents, params);
                acted::<ExecuteCommand, _>(id, params, handle).await
            }
            .boxed()
        }),
    ),
];

/// Dispatches messages: `initialize` and `shutdown` go to the framework, everything else goes through the table.
pub(super) struct Router {
    service: LspService<Session>,
    server: Arc<Server>,
    stage: Stage,
}

/// The state of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Running,
    ShutDown,
}

impl Router {
    pub(super) fn new(service: LspService<Session>) -> Self {
        let server = service.inner().0.clone();
        Self { service, server, stage: Stage::New }
    }

    /// Whether the client has sent `shutdown`.
    pub(super) fn is_shut_down(&self) -> bool {
        self.stage == Stage::ShutDown
    }

    /// Has the framework answer a message before the next one is read.
    async fn pass_on(&mut self, request: Request) -> Taken {
        let id = request.id().cloned();
        let response = match guarded(self.service.call(request)).await {
            Ok(response) => response.ok().flatten(),
            Err(fault) => id.map(|id| Response::from_error(id, fault)),
        };
        response.map_or(Taken::Done, Taken::Answered)
    }

    /// Answers a message that is not handled.
    fn refuse(id: Option<Id>, error: Error) -> Taken {
        id.map_or(Taken::Done, |id| Taken::Answered(Response::from_error(id, error)))
    }
}

impl Service for Router {
    fn is_notification(&self, method: &str) -> bool {
        is_notification(method)
    }

    async fn take_in(&mut self, request: Request) -> Taken {
        match request.method() {
            "exit" => return Taken::Exit,
            "initialize" => {
                if self.stage == Stage::New {
                    self.server.settings.read_sent(request.params().unwrap_or(&Value::Null));
                }
                let taken = self.pass_on(request).await;
                let Taken::Answered(response) = taken else { return taken };
                let (id, result) = response.into_parts();
                let result = result.map(|mut answer| {
                    self.stage = Stage::Running;
                    capabilities::add_newer(&mut answer, self.server.settings.client());
                    answer
                });
                return Taken::Answered(Response::from_parts(id, result));
            }
            "initialized" => {
                if self.stage == Stage::Running {
                    self.server.findings.set_client_ready();
                }
                return self.pass_on(request).await;
            }
            // `exit` may follow at once, and does not wait for this answer.
            "shutdown" => {
                if self.stage == Stage::Running {
                    self.stage = Stage::ShutDown;
                }
                return self.pass_on(request).await;
            }
            "$/cancelRequest" => {
                let id = request.params().and_then(|params| params.get("id"));
                return match id.and_then(|id| serde_json::from_value(id.clone()).ok()) {
                    Some(id) => Taken::Cancel(id),
                    None => Taken::Done,
                };
            }
            _ => {}
        }
        let (method, id, params) = request.into_parts();
        match self.stage {
            Stage::New => return Self::refuse(id, not_initialized()),
            Stage::ShutDown => return Self::refuse(id, Error::invalid_request()),
            Stage::Running => self.server.findings.set_client_ready(),
        }
        let params = params.unwrap_or_default();
        match (route(&method), id) {
            (Some(Route::Apply(apply)), _) => {
                // A bug in the analysis costs one edit, not the session; the error is in the log.
                drop(guarded(async { apply(&self.server, params) }).await);
                Taken::Done
            }
            (Some(Route::Read(read)), Some(id)) => {
                let (server, documents) = (self.server.clone(), self.server.documents.now());
                let held_bytes = held_bytes(&documents, &params);
                let answer = async move { Some(read(&server, &documents, id, params)) }.boxed();
                Taken::Start(Task { answer, held_bytes, waits_for_room: true })
            }
            (Some(Route::ReadFiles(read)), Some(id)) => {
                let (server, documents) = (self.server.clone(), self.server.documents.now());
                let held_bytes = held_bytes(&documents, &params);
                let answer = async move {
                    let failed = id.clone();
                    let read = tokio::task::spawn_blocking(move || read(&server, &documents, id, params));
                    Some(read.await.unwrap_or_else(|_| frame(&Response::from_error(failed, Error::internal_error()))))
                };
                Taken::Start(Task { answer: answer.boxed(), held_bytes, waits_for_room: true })
            }
            (Some(Route::Act(act)), Some(id)) => {
                let act = act(self.server.clone(), self.server.documents.now(), id, params);
                Taken::Start(Task { answer: act.map(Some).boxed(), held_bytes: 0, waits_for_room: false })
            }
            #[cfg(debug_assertions)]
            (None, Some(id)) if method.starts_with("pipelens/fault/") => {
                let server = self.server.clone();
                let answer = async move {
                    let name = method.trim_start_matches("pipelens/fault/");
                    let made = super::requests::faults::fault(server, name, params).await;
                    Some(frame(&Response::from_parts(id, made)))
                };
                Taken::Start(Task { answer: answer.boxed(), held_bytes: 0, waits_for_room: false })
            }
            (_, id) => Self::refuse(id, Error::method_not_found()),
        }
    }
}

fn route(method: &str) -> Option<Route> {
    ROUTES.iter().find(|(name, _)| *name == method).map(|(_, route)| *route)
}

/// Whether a method is one that is never answered. `$/` is for what either side may ignore.
fn is_notification(method: &str) -> bool {
    let name = method.rsplit('/').next().unwrap_or_default();
    let is_did =
        name.strip_prefix("did").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()));
    is_did || method.starts_with("$/") || matches!(method, "exit" | "initialized" | WorkDoneProgressCancel::METHOD)
}

fn not_initialized() -> Error {
    let message = "the server is not initialized: the first request must be `initialize`";
    Error { code: ErrorCode::ServerError(-32002), message: message.into(), data: None }
}

/// Returns the size of the document that a request names.
fn held_bytes(documents: &Documents, params: &Value) -> usize {
    let uri = params.pointer("/textDocument/uri").and_then(Value::as_str);
    uri.and_then(|uri| documents.named(uri)).map_or(0, |document| document.text.len())
}

/// Reads the parameters of a notification and applies it. What cannot be read is logged, never fatal.
fn applied<P: DeserializeOwned>(server: &Server, method: &str, params: Value, apply: fn(&Server, P)) {
    match serde_json::from_value(params) {
        Ok(params) => apply(server, params),
        Err(error) => tracing::error!("{method} was not understood and is ignored: {error}"),
    }
}

#[derive(Serialize)]
struct Answer<R> {
    jsonrpc: &'static str,
    id: Id,
    result: R,
}

fn answered<R: RequestType>(id: Id, params: Value, handle: impl FnOnce(R::Params) -> Result<R::Result>) -> Vec<u8> {
    let params = serde_json::from_value(params).map_err(|error| Error::invalid_params(error.to_string()));
    made(id, params.and_then(handle))
}

async fn acted<R: RequestType, F: Future<Output = Result<R::Result>>>(
    id: Id,
    params: Value,
    handle: impl FnOnce(R::Params) -> F,
) -> Vec<u8> {
    match serde_json::from_value(params) {
        Ok(params) => made(id, handle(params).await),
        Err(error) => made::<R::Result>(id, Err(Error::invalid_params(error.to_string()))),
    }
}

fn made<R: Serialize>(id: Id, result: Result<R>) -> Vec<u8> {
    match result {
        Ok(result) => frame(&Answer { jsonrpc: "2.0", id, result }),
        Err(error) => frame(&Response::from_error(id, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lsp::requests::capabilities::offer;
    use crate::lsp::session::client::ClientFeatures;

    #[test]
    fn a_method_is_listed_once() {
        let methods: BTreeSet<&str> = ROUTES.iter().map(|(method, _)| *method).collect();
        assert_eq!(methods.len(), ROUTES.len());
    }

    /// Returns the methods that belong to a capability.
    fn methods_of(capability: &str, offered: &Value) -> Vec<String> {
        let is_offered = |option: &str| offered.get(option).is_some_and(|value| *value != Value::Bool(false));
        match capability {
            "positionEncoding" => Vec::new(),
            "textDocumentSync" => {
                ["didOpen", "didClose", "didChange", "didSave"].map(|name| format!("textDocument/{name}")).to_vec()
            }
            "callHierarchyProvider" => vec![
                "textDocument/prepareCallHierarchy".to_owned(),
                "callHierarchy/incomingCalls".to_owned(),
                "callHierarchy/outgoingCalls".to_owned(),
            ],
            "semanticTokensProvider" => ["full", "range"]
                .into_iter()
                .filter(|part| is_offered(part))
                .map(|part| format!("textDocument/semanticTokens/{part}"))
                .collect(),
            "renameProvider" if is_offered("prepareProvider") => {
                vec!["textDocument/rename".to_owned(), "textDocument/prepareRename".to_owned()]
            }
            "executeCommandProvider" => vec!["workspace/executeCommand".to_owned()],
            "diagnosticProvider" => {
                vec!["textDocument/diagnostic".to_owned(), "workspace/diagnostic".to_owned()]
            }
            "workspace" => {
                ["didChangeWorkspaceFolders", "textDocumentContent"].map(|name| format!("workspace/{name}")).to_vec()
            }
            "workspaceSymbolProvider" => vec!["workspace/symbol".to_owned()],
            "documentFormattingProvider" => vec!["textDocument/formatting".to_owned()],
            other => vec![format!("textDocument/{}", other.trim_end_matches("Provider"))],
        }
    }

    #[test]
    fn every_offered_capability_has_its_route() {
        let client = ClientFeatures { pulls_diagnostics: true, log_documents: true, ..ClientFeatures::default() };
        let mut offered = serde_json::to_value(offer(client)).unwrap();
        capabilities::add_newer(&mut offered, client);
        assert_eq!(
            offered["capabilities"]["workspace"]["textDocumentContent"]["schemes"],
            serde_json::json!(["pipelens-log"])
        );
        let offered =
            offered["capabilities"].as_object().unwrap().iter().flat_map(|(name, value)| methods_of(name, value));
        // A client needs no capability for these: they follow from what it does itself, or are registered later.
        let unasked = [
            DidChangeConfiguration::METHOD,
            DidChangeWatchedFiles::METHOD,
            WorkDoneProgressCancel::METHOD,
            SetTrace::METHOD,
            DidChangeTrust::METHOD,
            RunsRequest::METHOD,
        ];
        let offered: BTreeSet<String> = offered.chain(unasked.map(str::to_owned)).collect();
        let routed: BTreeSet<String> = ROUTES.iter().map(|(method, _)| (*method).to_owned()).collect();
        assert_eq!(offered, routed);
    }

    #[test]
    fn notifications_are_known_by_their_names() {
        for method in ["textDocument/didOpen", "exit", "initialized", "$/cancelRequest", "pipelens/didChangeTrust"] {
            assert!(is_notification(method), "{method}");
        }
        for method in ["textDocument/hover", "shutdown", "initialize", "workspace/executeCommand", "no/dideldum"] {
            assert!(!is_notification(method), "{method}");
        }
        for (method, route) in ROUTES {
            assert_eq!(is_notification(method), matches!(route, Route::Apply(_)), "{method}");
        }
    }
}

//! The language server: one short method a message. The transport is in `ingress` and `writer`, the documents in `state`.

mod capabilities;
mod commands;
mod config;
mod convert;
mod edits;
mod ext;
#[cfg(debug_assertions)]
mod faults;
mod feed;
mod frames;
mod handlers;
mod images;
mod ingress;
mod lists;
mod outbox;
mod past;
mod picture;
mod predictions;
mod progress;
mod report;
mod runs;
mod secrets;
mod state;
mod surrogates;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use lsp_types::{
    CallHierarchyIncomingCall, CallHierarchyIncomingCallsParams, CallHierarchyItem, CallHierarchyOutgoingCall,
    CallHierarchyOutgoingCallsParams, CallHierarchyPrepareParams, CodeActionParams, CodeActionResponse,
    CompletionParams, CompletionResponse, DidChangeConfigurationParams, DidChangeTextDocumentParams,
    DidCloseTextDocumentParams, DidOpenTextDocumentParams, DidSaveTextDocumentParams, DocumentFormattingParams,
    DocumentHighlight, DocumentHighlightParams, ExecuteCommandParams, GotoDefinitionParams, GotoDefinitionResponse,
    Hover, HoverParams, InitializeParams, InitializeResult, InitializedParams, Location, MessageType, OneOf,
    PrepareRenameResponse, ReferenceParams, RenameParams, SelectionRange, SelectionRangeParams,
    SemanticTokensRangeParams, SemanticTokensRangeResult, SymbolInformation, TextDocumentPositionParams, TextEdit, Uri,
    WorkDoneProgressCancelParams, WorkspaceEdit, WorkspaceSymbol, WorkspaceSymbolParams,
};
use serde_json::Value;
use tower_lsp::jsonrpc::{Error, Result};
use tower_lsp::{Client, LanguageServer, LspService};

use config::Config;
use ext::CancelArgs;
use images::KnownImages;
use outbox::Outbox;
use predictions::Predictions;
use runs::Runs;
use state::{Document, State};

/// How long the containers of a run may take to go when the editor is gone.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
/// How long the last answers may take to be written.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);
/// A dead editor is noticed within this time, even if its pipes live on in a child of it.
const PARENT_INTERVAL: Duration = Duration::from_secs(1);

/// What every handler may reach.
#[derive(Debug)]
pub(crate) struct Shared {
    client: Client,
    config: Arc<Config>,
    state: Arc<State>,
    outbox: Arc<Outbox>,
    runs: Arc<Runs>,
    images: Arc<KnownImages>,
    predictions: Arc<Predictions>,
}

impl Shared {
    /// Sends a document's diagnostics again: a run changed what there is to say.
    fn republish(&self, uri: &Uri) {
        if let Some(document) = self.state.snapshot().get(uri.as_str()) {
            self.outbox.publish_diagnostics(document.clone());
        }
    }
}

/// The handlers.
#[derive(Debug)]
pub(crate) struct Server {
    shared: Arc<Shared>,
}

/// Serves one editor over standard input and output, and returns the process's exit code.
pub(crate) async fn serve() -> u8 {
    let config = Arc::new(Config::default());
    let outbox = Arc::new(Outbox::default());
    let predictions = Arc::new(Predictions::default());
    let state = Arc::new(State::new(config.clone(), outbox.clone(), predictions.clone()));
    let runs = Arc::new(Runs::new(config.clone()));
    let service = LspService::build(|client| Server {
        shared: Arc::new(Shared {
            client,
            config: config.clone(),
            state: state.clone(),
            outbox: outbox.clone(),
            runs: runs.clone(),
            images: Arc::default(),
            predictions: predictions.clone(),
        }),
    })
    .custom_method("window/workDoneProgress/cancel", Server::work_done_progress_cancel);
    #[cfg(debug_assertions)]
    let service = faults::register(service);
    let (service, socket) = service.finish();
    let client = service.inner().shared.client.clone();
    tokio::spawn({
        let (outbox, client, config, runs) = (outbox.clone(), client.clone(), config.clone(), runs.clone());
        async move { outbox.send_diagnostics(client, config, runs).await }
    });
    tokio::spawn({
        let (outbox, config) = (outbox.clone(), config.clone());
        async move { outbox.send_refreshes(client, config).await }
    });
    tokio::spawn({
        let state = state.clone();
        async move { state.lint().await }
    });
    tokio::spawn({
        let state = state.clone();
        async move { state.watch_files().await }
    });
    tokio::spawn({
        let (state, config) = (state.clone(), config.clone());
        async move { predictions.look(|| state.snapshot(), config, outbox).await }
    });

    let mut writer = writer::spawn();
    let code = tokio::select! {
        end = ingress::serve(service, socket, state, writer.responses.clone(), writer.requests.clone()) => match end {
            ingress::End::Exit { after_shutdown } | ingress::End::InputClosed { after_shutdown } => u8::from(!after_shutdown),
        },
        _ = &mut writer.ended => 1,
        () = parent_died(&config) => 1,
        code = crate::signals::terminated() => code,
    };
    runs.stop(STOP_DEADLINE).await;
    // A client that no longer reads does not keep the process.
    drop(tokio::time::timeout(FLUSH_DEADLINE, writer.flush()).await);
    code
}

/// Resolves when the editor's process is gone. Its pipes may be held open by a child it left.
async fn parent_died(config: &Config) {
    let mut interval = tokio::time::interval(PARENT_INTERVAL);
    let mut was_seen = false;
    loop {
        interval.tick().await;
        let Some(process_id) = config.client().process_id else { continue };
        let lives = crate::signals::process_lives(process_id);
        // In a container the editor's process may be invisible from the start: then it says nothing.
        if was_seen && !lives {
            return;
        }
        was_seen |= lives;
    }
}

impl LanguageServer for Server {
    async fn initialize(&self, params: InitializeParams) -> Result<InitializeResult> {
        if let Err(why) = self.shared.config.initialize(&params) {
            self.shared.client.show_message(MessageType::WARNING, why).await;
        }
        Ok(capabilities::offer(self.shared.config.encoding()))
    }

    async fn initialized(&self, _: InitializedParams) {
        self.shared.images.refresh(&self.shared.config);
    }

    async fn shutdown(&self) -> Result<()> {
        // The containers go while the editor gets ready to say `exit`; the end of the process waits for them.
        self.shared.runs.cancel(&CancelArgs::default());
        Ok(())
    }

    // What changes documents, settings or trust is applied by `ingress`, in order; it never comes here. Nor do the requests of
    // `lists`, whose answers are as long as the file.
    async fn did_open(&self, _: DidOpenTextDocumentParams) {}
    async fn did_change(&self, _: DidChangeTextDocumentParams) {}
    async fn did_close(&self, _: DidCloseTextDocumentParams) {}
    async fn did_change_configuration(&self, _: DidChangeConfigurationParams) {}
    async fn did_save(&self, _: DidSaveTextDocumentParams) {}

    async fn hover(&self, params: HoverParams) -> Result<Option<Hover>> {
        let at = params.text_document_position_params;
        Ok(pipeline(&at.text_document.uri).and_then(|document| handlers::hover(&self.shared, &document, at.position)))
    }

    async fn completion(&self, params: CompletionParams) -> Result<Option<CompletionResponse>> {
        let at = params.text_document_position;
        self.shared.images.refresh(&self.shared.config);
        Ok(pipeline(&at.text_document.uri).map(|document| handlers::completion(&self.shared, &document, at.position)))
    }

    async fn goto_definition(&self, params: GotoDefinitionParams) -> Result<Option<GotoDefinitionResponse>> {
        let at = params.text_document_position_params;
        Ok(pipeline(&at.text_document.uri)
            .and_then(|document| handlers::definition(&self.shared, &document, at.position)))
    }

    async fn references(&self, params: ReferenceParams) -> Result<Option<Vec<Location>>> {
        let at = params.text_document_position;
        let with_definition = params.context.include_declaration;
        Ok(pipeline(&at.text_document.uri)
            .map(|document| handlers::references(&self.shared, &document, at.position, with_definition)))
    }

    async fn document_highlight(&self, params: DocumentHighlightParams) -> Result<Option<Vec<DocumentHighlight>>> {
        let at = params.text_document_position_params;
        Ok(pipeline(&at.text_document.uri).map(|document| handlers::highlight(&self.shared, &document, at.position)))
    }

    async fn prepare_rename(&self, at: TextDocumentPositionParams) -> Result<Option<PrepareRenameResponse>> {
        Ok(pipeline(&at.text_document.uri)
            .and_then(|document| handlers::prepare_rename(&self.shared, &document, at.position)))
    }

    async fn rename(&self, params: RenameParams) -> Result<Option<WorkspaceEdit>> {
        let at = params.text_document_position;
        let Some(document) = pipeline(&at.text_document.uri) else { return Ok(None) };
        handlers::rename(&self.shared, &document, at.position, &params.new_name).map(Some).map_err(refused)
    }

    async fn formatting(&self, params: DocumentFormattingParams) -> Result<Option<Vec<TextEdit>>> {
        let Some(document) = pipeline(&params.text_document.uri) else { return Ok(None) };
        match handlers::formatting(&self.shared, &document, params.options.tab_size) {
            Ok(edits) => Ok(Some(edits)),
            Err(why) => {
                // Not an error: editors format at every save, of a half-written file too.
                self.shared.client.log_message(MessageType::INFO, why).await;
                Ok(None)
            }
        }
    }

    async fn selection_range(&self, params: SelectionRangeParams) -> Result<Option<Vec<SelectionRange>>> {
        Ok(pipeline(&params.text_document.uri)
            .map(|document| handlers::selection_range(&self.shared, &document, &params.positions)))
    }

    async fn semantic_tokens_range(
        &self,
        params: SemanticTokensRangeParams,
    ) -> Result<Option<SemanticTokensRangeResult>> {
        Ok(pipeline(&params.text_document.uri)
            .map(|document| handlers::semantic_tokens(&self.shared, &document, Some(params.range)).into()))
    }

    async fn prepare_call_hierarchy(
        &self,
        params: CallHierarchyPrepareParams,
    ) -> Result<Option<Vec<CallHierarchyItem>>> {
        let at = params.text_document_position_params;
        Ok(pipeline(&at.text_document.uri)
            .and_then(|document| handlers::prepare_call_hierarchy(&self.shared, &document, at.position)))
    }

    async fn incoming_calls(
        &self,
        params: CallHierarchyIncomingCallsParams,
    ) -> Result<Option<Vec<CallHierarchyIncomingCall>>> {
        Ok(pipeline(&params.item.uri).map(|document| handlers::incoming_calls(&self.shared, &document, &params.item)))
    }

    async fn outgoing_calls(
        &self,
        params: CallHierarchyOutgoingCallsParams,
    ) -> Result<Option<Vec<CallHierarchyOutgoingCall>>> {
        Ok(pipeline(&params.item.uri).map(|document| handlers::outgoing_calls(&self.shared, &document, &params.item)))
    }

    async fn symbol(
        &self,
        params: WorkspaceSymbolParams,
    ) -> Result<Option<OneOf<Vec<SymbolInformation>, Vec<WorkspaceSymbol>>>> {
        Ok(Some(OneOf::Right(handlers::workspace_symbol(&self.shared, &params.query))))
    }

    async fn code_action(&self, params: CodeActionParams) -> Result<Option<CodeActionResponse>> {
        let only = params.context.only.as_deref();
        Ok(pipeline(&params.text_document.uri)
            .map(|document| handlers::code_action(&self.shared, &document, params.range, only)))
    }

    async fn execute_command(&self, params: ExecuteCommandParams) -> Result<Option<Value>> {
        self.execute(params).await
    }
}

impl Server {
    async fn work_done_progress_cancel(&self, params: WorkDoneProgressCancelParams) {
        self.shared.runs.cancel_token(&params.token);
    }
}

/// Returns the document of a read request, if it is ours to speak about.
fn pipeline(uri: &Uri) -> Option<Arc<Document>> {
    state::document(uri).filter(|document| document.is_pipeline)
}

/// The argument is right, but what it asks for cannot be done now. Clients show this text.
fn refused(message: String) -> Error {
    Error { code: tower_lsp::jsonrpc::ErrorCode::ServerError(-32803), message: message.into(), data: None }
}

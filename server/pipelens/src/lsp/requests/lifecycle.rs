//! The beginning and the end of a session, as the framework asks for them. Every other method is in `routes`.

use std::sync::Arc;

use lsp_types::{InitializeParams, InitializeResult, InitializedParams, MessageType};
use tower_lsp::LanguageServer;
use tower_lsp::jsonrpc::Result;

use super::capabilities;
use crate::lsp::server::Server;

/// The server as the framework sees it.
#[derive(Debug)]
pub(crate) struct Session(pub(crate) Arc<Server>);

impl LanguageServer for Session {
    async fn initialize(&self, params: InitializeParams) -> Result<InitializeResult> {
        if let Err(why) = self.0.settings.initialize(&params) {
            self.0.client.show_message(MessageType::WARNING, why).await;
        }
        self.0.trace.set(params.trace.unwrap_or_default());
        Ok(capabilities::offer(self.0.settings.client()))
    }

    async fn initialized(&self, _: InitializedParams) {
        self.0.images.refresh(&self.0.settings);
        self.0.watch_files();
        self.0.configure_folders();
    }

    async fn shutdown(&self) -> Result<()> {
        // The containers are removed while the editor prepares to send `exit`; the end of the process waits for them.
        self.0.runs.cancel_everything();
        Ok(())
    }
}

//! What a handler can do wrong, on demand, so that the tests of the transport can show it harms nobody else. Debug builds only.

use std::time::Duration;

use lsp_types::request::CodeLensRefresh;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_lsp::LspServiceBuilder;
use tower_lsp::jsonrpc::Result;

use super::Server;

#[derive(Debug, Deserialize)]
struct Wait {
    ms: u64,
}

pub(crate) fn register(service: LspServiceBuilder<Server>) -> LspServiceBuilder<Server> {
    service
        .custom_method("pipelens/fault/panic", Server::fault_panic)
        .custom_method("pipelens/fault/wait", Server::fault_wait)
        .custom_method("pipelens/fault/block", Server::fault_block)
        .custom_method("pipelens/fault/ask", Server::fault_ask)
        .custom_method("pipelens/fault/flood", Server::fault_flood)
}

impl Server {
    #[expect(clippy::panic, reason = "that is what it is for")]
    async fn fault_panic(&self) -> Result<Value> {
        panic!("a fault on demand");
    }

    /// Awaits a timer.
    async fn fault_wait(&self, params: Wait) -> Result<Value> {
        tokio::time::sleep(Duration::from_millis(params.ms)).await;
        Ok(json!(params.ms))
    }

    /// Blocks a thread, where blocking belongs.
    async fn fault_block(&self, params: Wait) -> Result<Value> {
        let block = move || std::thread::sleep(Duration::from_millis(params.ms));
        tokio::task::spawn_blocking(block).await.map_err(|_| tower_lsp::jsonrpc::Error::internal_error())?;
        Ok(json!(params.ms))
    }

    /// Awaits the client's answer to a request.
    async fn fault_ask(&self) -> Result<Value> {
        self.shared.client.send_request::<CodeLensRefresh>(()).await?;
        Ok(json!("answered"))
    }

    /// Sends as many log messages as the parameter says, in place of a wait.
    async fn fault_flood(&self, params: Wait) -> Result<Value> {
        for number in 0..params.ms {
            self.shared.client.log_message(lsp_types::MessageType::LOG, format!("line {number}")).await;
        }
        Ok(json!(params.ms))
    }
}

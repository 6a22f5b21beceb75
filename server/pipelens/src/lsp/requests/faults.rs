//! Faults on demand, with which the tests of the transport show that a fault affects no other request. Debug builds only.

use std::sync::Arc;
use std::time::Duration;

use lsp_types::request::CodeLensRefresh;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_lsp::jsonrpc::{Error, Result};

use crate::lsp::server::Server;

#[derive(Debug, Deserialize)]
struct Wait {
    ms: u64,
}

/// Does what is asked for by `pipelens/fault/…`.
pub(crate) async fn fault(server: Arc<Server>, name: &str, params: Value) -> Result<Value> {
    let wait = || serde_json::from_value::<Wait>(params).map_err(|error| Error::invalid_params(error.to_string()));
    match name {
        "panic" => fail(),
        // Awaits a timer.
        "wait" => {
            let ms = wait()?.ms;
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(json!(ms))
        }
        // Blocks a thread, where blocking belongs.
        "block" => {
            let ms = wait()?.ms;
            let block = move || std::thread::sleep(Duration::from_millis(ms));
            tokio::task::spawn_blocking(block).await.map_err(|_| Error::internal_error())?;
            Ok(json!(ms))
        }
        // Awaits the client's answer to a request.
        "ask" => {
            server.client.send_request::<CodeLensRefresh>(()).await?;
            Ok(json!("answered"))
        }
        // Sends that many log messages.
        "flood" => {
            let count = wait()?.ms;
            for number in 0..count {
                server.client.log_message(lsp_types::MessageType::LOG, format!("line {number}")).await;
                // Without a writer nothing waits, and the process could not end.
                tokio::task::consume_budget().await;
            }
            Ok(json!(count))
        }
        _ => Err(Error::method_not_found()),
    }
}

#[expect(clippy::panic, reason = "that is what it is for")]
fn fail() -> Result<Value> {
    panic!("a fault on demand");
}

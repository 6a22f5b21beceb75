//! Asks the user whether a project may use the secrets its pipeline names, and runs it if so.

use std::sync::Arc;

use lsp_types::{MessageActionItem, MessageType};
use pipelens_core::plan::Target;

use crate::consent::{self, Asked};
use crate::lsp::protocol::commands::{PipelineRef, UNTRUSTED};
use crate::lsp::server::Server;
use crate::lsp::session::documents::Document;
use crate::project;

const YES: &str = "Allow and Run";
const NO: &str = "Cancel";

/// Asks, remembers a yes, and then starts the run with the text as of the request.
pub(super) async fn ask(
    server: Arc<Server>,
    document: Arc<Document>,
    pipeline: Option<PipelineRef>,
    target: Target,
    asked: Vec<Asked>,
) {
    if !is_allowed(&server, &document, asked).await {
        return;
    }
    let (asking, wanted) = (server.clone(), document.clone());
    let start = move || {
        let started = asking.runs.registry.start(&wanted, pipeline.as_ref(), target);
        started.map_err(|not_started| not_started.sentence())
    };
    let started = tokio::task::spawn_blocking(start).await.unwrap_or_else(|panic| Err(panic.to_string()));
    match started {
        Ok(started) => {
            server.follow(&document.uri, started, None);
        }
        Err(why) => server.client.show_message(MessageType::ERROR, why).await,
    }
}

/// Asks whether a project may use these secrets, and remembers a yes.
pub(super) async fn is_allowed(server: &Arc<Server>, document: &Arc<Document>, asked: Vec<Asked>) -> bool {
    let question = format!(
        "The pipeline uses secrets that this project is not allowed to use yet: {}. A step that gets a secret can send it anywhere.",
        consent::listed(&asked)
    );
    let actions = [YES, NO].map(|title| MessageActionItem { title: title.to_owned(), properties: Default::default() });
    let answer = server.client.show_message_request(MessageType::WARNING, question, Some(actions.to_vec())).await;
    if !matches!(answer, Ok(Some(action)) if action.title == YES) {
        return false;
    }
    let (asking, wanted) = (server.clone(), document.clone());
    let give = move || give(&asking, &wanted, asked);
    let given = tokio::task::spawn_blocking(give).await.unwrap_or_else(|panic| Err(panic.to_string()));
    if let Err(why) = &given {
        server.client.show_message(MessageType::ERROR, why).await;
    }
    given.is_ok()
}

fn give(server: &Server, document: &Document, asked: Vec<Asked>) -> Result<(), String> {
    // The question may have been asked long ago.
    if server.settings.is_untrusted() {
        return Err(UNTRUSTED.to_owned());
    }
    let path = document.path().ok_or("This document was never saved, so it belongs to no project")?;
    let root = server.settings.root_of(&path);
    let names = asked.into_iter().map(|asked| asked.name);
    project::state_dir()
        .and_then(|state_dir| consent::give(&state_dir, &root, names))
        .map_err(|error| format!("{error:#}"))?;
    server.documents.reanalyse();
    Ok(())
}

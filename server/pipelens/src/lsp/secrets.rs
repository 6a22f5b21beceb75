//! Asks the user whether a project may have the secrets its pipeline names, and runs it if so.

use std::sync::Arc;

use lsp_types::{MessageActionItem, MessageType};
use pipelens_core::plan::Target;

use super::commands::UNTRUSTED;
use super::ext::PipelineRef;
use super::state::Document;
use super::{Shared, report};
use crate::consent::{self, Asked};
use crate::project;

const YES: &str = "Give and Run";
const NO: &str = "Cancel";

/// Asks, remembers a yes, and starts what was asked for: the text that was on screen then.
pub(super) async fn ask(
    shared: Arc<Shared>,
    document: Arc<Document>,
    pipeline: Option<PipelineRef>,
    target: Target,
    asked: Vec<Asked>,
) {
    let question = format!(
        "The pipeline asks for secrets that this project has not been given: {}. A step that gets a secret can send it anywhere.",
        consent::listed(&asked)
    );
    let actions = [YES, NO].map(|title| MessageActionItem { title: title.to_owned(), properties: Default::default() });
    let answer = shared.client.show_message_request(MessageType::WARNING, question, Some(actions.to_vec())).await;
    if !matches!(answer, Ok(Some(action)) if action.title == YES) {
        return;
    }
    if let Err(why) = give_and_run(&shared, &document, pipeline.as_ref(), target, asked) {
        shared.client.show_message(MessageType::ERROR, why).await;
    }
}

fn give_and_run(
    shared: &Arc<Shared>,
    document: &Document,
    pipeline: Option<&PipelineRef>,
    target: Target,
    asked: Vec<Asked>,
) -> Result<(), String> {
    // It may be long since the question was asked.
    if shared.config.is_untrusted() {
        return Err(UNTRUSTED.to_owned());
    }
    let path = document.path().ok_or("A text that was never saved belongs to no project")?;
    let root = shared.config.root_of(&path);
    let names = asked.into_iter().map(|asked| asked.name);
    project::state_dir()
        .and_then(|state_dir| consent::give(&state_dir, &root, names))
        .map_err(|error| format!("{error:#}"))?;
    shared.state.reanalyze();
    let started = shared.runs.start(document, pipeline, target).map_err(|not_started| not_started.sentence())?;
    shared.state.touch(document.uri.as_str());
    tokio::spawn(report::follow(shared.clone(), started, None));
    Ok(())
}

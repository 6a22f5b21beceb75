//! Lets the user choose one of many combinations of a step.

use lsp_types::{MessageActionItem, MessageType};
use pipelens_core::ide;
use pipelens_core::plan::Target;

use crate::lsp::protocol::commands::PipelineRef;
use crate::lsp::runs::registry::pipeline_index;
use crate::lsp::server::Server;
use crate::lsp::session::documents::{Document, Kind};

/// More buttons than this cannot be shown; the others can be named in a command.
const MAX_ACTIONS: usize = 30;

/// Returns the keys of a step's combinations.
pub(super) fn keys(document: &Document, pipeline: Option<&PipelineRef>, step: &str) -> Result<Vec<String>, String> {
    let index = pipeline_index(document, pipeline)?;
    if document.kind == Kind::Program {
        let together = ide::made_together(&document.analysis, index, step);
        return match together.as_slice() {
            [] => Err(format!("There is no step `{step}`")),
            keys => Ok(keys.iter().map(|key| (*key).to_owned()).collect()),
        };
    }
    let steps = document.analysis.pipelines.get(index).map(|pipeline| pipeline.steps.as_slice()).unwrap_or_default();
    let found =
        steps.iter().find(|found| found.key.value == step).ok_or_else(|| format!("There is no step `{step}`"))?;
    let keys: Vec<String> = found.combinations().iter().map(|combination| combination.key.clone()).collect();
    if keys.is_empty() { Err(format!("Step `{step}` has no combinations")) } else { Ok(keys) }
}

/// Asks which combination to run; `None`: none.
pub(super) async fn ask(server: &Server, step: &str, keys: Vec<String>) -> Option<Target> {
    let more = match keys.len().saturating_sub(MAX_ACTIONS) {
        0 => String::new(),
        more => format!(" {more} more can be named on the command line."),
    };
    let question = match keys.iter().any(|key| key == step) {
        true => format!("Which step should run?{more}"),
        false => format!("Which combination of `{step}` should run?{more}"),
    };
    let shown = keys.iter().take(MAX_ACTIONS);
    let actions = shown.map(|key| MessageActionItem { title: key.clone(), properties: Default::default() });
    let answer = server.client.show_message_request(MessageType::INFO, question, Some(actions.collect())).await;
    let chosen = answer.ok().flatten()?.title;
    keys.contains(&chosen).then_some(Target::Step(chosen))
}

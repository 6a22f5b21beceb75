//! Finished runs: what to run again, how to open a shell in a failed step, the history, and clearing the cache.

use std::path::Path;

use lsp_types::Uri;
use pipelens_core::plan::Target;
use pipelens_engine::event::Outcome;
use pipelens_engine::run::Engines;
use serde_json::{Value, json};
use uuid::Uuid;

use super::registry::Registry;
use super::run::{Run, StepView};
use crate::lsp::protocol::commands::{OpenLogArgs, PipelineRef};
use crate::project;

/// What to run again.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) uri: Uri,
    pub(crate) pipeline: PipelineRef,
    pub(crate) target: Target,
}

/// Returns the steps of a run that failed or never started, of the newest run that has any unless one is named.
pub(crate) fn failed(registry: &Registry, run_id: Option<Uuid>) -> Result<Again, String> {
    let runs = registry.newest_first();
    let mut named = runs.iter().filter(|run| run_id.is_none_or(|id| run.id == id)).peekable();
    if named.peek().is_none() {
        return Err(match run_id {
            Some(_) => "This run is no longer known".to_owned(),
            None => "Nothing has run yet".to_owned(),
        });
    }
    let (run, steps) = named
        .map(|run| (run, failed_steps(run)))
        .find(|(_, steps)| !steps.is_empty())
        .ok_or("No step has failed, so there is nothing to run again")?;
    Ok(Again {
        uri: run.uri.clone(),
        pipeline: PipelineRef::Index(run.pipeline),
        target: Target::Several { steps, from: Vec::new() },
    })
}

fn failed_steps(run: &Run) -> Vec<String> {
    let steps = run.plan.steps.iter().zip(run.steps());
    let failed = steps.filter(|(step, view)| {
        let StepView::Done { outcome, .. } = view else { return false };
        match outcome {
            Outcome::Succeeded | Outcome::Cached => false,
            Outcome::Failed(_) | Outcome::TimedOut => !step.soft_fail,
            Outcome::Cancelled | Outcome::Skipped(_) | Outcome::Errored(_) => true,
        }
    });
    failed.map(|(step, _)| step.key.clone()).collect()
}

/// Returns the command line that opens a shell in a failed step; in the newest one, unless one is named.
pub(crate) fn shell(registry: &Registry, args: &OpenLogArgs) -> Result<String, String> {
    let runs = registry.newest_first();
    let named = runs.iter().filter(|run| args.run_id.is_none_or(|id| run.id == id));
    let mut shells = named.flat_map(|run| {
        let steps = run.plan.steps.iter().enumerate();
        let wanted = steps.filter(|(_, step)| args.step.as_ref().is_none_or(|key| step.is_named(key)));
        wanted.filter_map(|(index, _)| run.shell(index)).collect::<Vec<_>>()
    });
    shells.next().ok_or_else(|| "There is no failed step whose filesystem was kept".to_owned())
}

/// Returns the remembered runs of a project, of this process and of all others.
pub(crate) fn list(root: &Path) -> Result<Value, String> {
    let state_dir = project::state_dir().map_err(|error| format!("{error:#}"))?;
    let runs = pipelens_engine::run::history(&state_dir, root).map_err(|error| error.sentence())?;
    let runs = runs.iter().map(|run| {
        let steps =
            run.steps.iter().map(|step| json!({"step": step.key, "outcome": step.outcome, "digest": step.digest}));
        json!({
            "runId": run.run_id,
            "pipeline": run.pipeline,
            "startedAt": run.started_at,
            "durationMs": run.duration_ms,
            "outcome": run.outcome,
            "steps": steps.collect::<Vec<_>>(),
        })
    });
    Ok(json!({"runs": runs.collect::<Vec<_>>()}))
}

/// Removes the cached results of a project, of one step or of all.
pub(crate) async fn clear(root: &Path, engines: &Engines, step: Option<&str>) -> Result<Value, String> {
    let state_dir = project::state_dir().map_err(|error| format!("{error:#}"))?;
    let cleaned = pipelens_engine::run::clean(&state_dir, engines, Some(root), step).await;
    let bytes = cleaned.map_err(|error| error.sentence())?;
    Ok(json!({"removedBytes": bytes}))
}

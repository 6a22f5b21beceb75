//! What is asked of runs that are over: what to run again, how to look into a failure, the history, and what to forget.

use std::path::Path;

use lsp_types::Uri;
use pipelens_core::plan::Target;
use pipelens_engine::event::Outcome;
use serde_json::{Value, json};
use uuid::Uuid;

use super::ext::{OpenLogArgs, PipelineRef};
use super::runs::{Run, Runs, StepView};
use crate::project;

/// What to run again.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) uri: Uri,
    pub(super) pipeline: PipelineRef,
    pub(super) target: Target,
}

/// Returns the steps of a run that failed or never started, of the newest run that has any unless one is named.
pub(super) fn failed(runs: &Runs, run_id: Option<Uuid>) -> Result<Again, String> {
    let runs = runs.newest_first();
    let mut named = runs.iter().filter(|run| run_id.is_none_or(|id| run.id == id)).peekable();
    if named.peek().is_none() {
        return Err(match run_id {
            Some(_) => "This run is not known any more".to_owned(),
            None => "Nothing has run yet".to_owned(),
        });
    }
    let (run, steps) = named
        .map(|run| (run, failed_steps(run)))
        .find(|(_, steps)| !steps.is_empty())
        .ok_or("No step has failed, so there is nothing to run again")?;
    Ok(Again { uri: run.uri.clone(), pipeline: PipelineRef::Index(run.pipeline), target: Target::Steps(steps) })
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

/// Returns the command line that gives a shell in what a failed step left; the newest such step unless one is named.
pub(super) fn shell(runs: &Runs, args: &OpenLogArgs) -> Result<String, String> {
    let runs = runs.newest_first();
    let named = runs.iter().filter(|run| args.run_id.is_none_or(|id| run.id == id));
    let mut shells = named.flat_map(|run| {
        let steps = run.plan.steps.iter().enumerate();
        let wanted = steps.filter(|(_, step)| args.step.as_ref().is_none_or(|key| step.key == *key));
        wanted.filter_map(|(index, _)| run.shell(index)).collect::<Vec<_>>()
    });
    shells.next().ok_or_else(|| "No failed step has left a state to look into".to_owned())
}

/// Returns the remembered runs of a project, of this process and of all others.
pub(super) fn list(root: &Path) -> Result<Value, String> {
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

/// Removes what earlier runs of a project have kept, of one step or of all.
pub(super) async fn clear(root: &Path, docker_host: Option<&str>, step: Option<&str>) -> Result<Value, String> {
    let state_dir = project::state_dir().map_err(|error| format!("{error:#}"))?;
    let cleaned = pipelens_engine::run::clean(&state_dir, docker_host, Some(root), step).await;
    let bytes = cleaned.map_err(|error| error.sentence())?;
    Ok(json!({"removedBytes": bytes}))
}

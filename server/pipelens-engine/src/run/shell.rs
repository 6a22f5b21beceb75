//! What is different in a run that ends with a shell for a person.

use crate::cache::Cache;
use crate::error::EngineError;
use crate::person::{ShellRequest, ShellStart};
use crate::run::run_request::RunRequest;
use crate::runner::OpenRunner;
use crate::step_context::Base;

/// Returns the request with a step that is taken from no earlier run, has all the time it needs, and leaves nothing.
pub(super) fn prepared(mut request: RunRequest, shell: &ShellRequest) -> RunRequest {
    request.plan.timeout_seconds = None;
    if let Some(step) = request.plan.steps.get_mut(shell.step) {
        step.is_wanted = true;
        step.cache = None;
        step.timeout_seconds = None;
        step.retry = 0;
        step.artifacts.clear();
        if shell.start != ShellStart::BeforeCommand {
            // It has them.
            step.needs_artifacts.clear();
        }
    }
    request
}

/// Returns what the shell starts from, if that is not what the step's command would start from.
pub(super) async fn base(
    request: &RunRequest,
    shell: &ShellRequest,
    cache: Option<&Cache>,
    opened: Option<&OpenRunner>,
) -> Option<Result<Base, EngineError>> {
    let step = request.plan.steps.get(shell.step).map(|step| step.key.clone()).unwrap_or_default();
    let place = match (&shell.start, cache, opened) {
        (ShellStart::BeforeCommand, _, _) => return None,
        (ShellStart::At(place), _, _) => Ok(Some(place.clone())),
        (ShellStart::AfterFailure, Some(cache), Some(opened)) => cache.failure(&step, opened.snapshots.as_ref()).await,
        (ShellStart::AfterFailure, _, _) => Ok(None),
    };
    Some(match (place, opened) {
        (Ok(Some(place)), Some(opened)) => Ok(Base::Snapshot(opened.snapshots.adopt(&place), None)),
        (Ok(_), _) => Err(EngineError::NoFailure { step }),
        (Err(error), _) => Err(error.into()),
    })
}

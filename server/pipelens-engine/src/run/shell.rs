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
        if shell.start == ShellStart::AfterFailure {
            // It has them.
            step.needs_artifacts.clear();
        }
    }
    request
}

/// Looks up what the step left when it failed last, if the shell starts from that.
pub(super) async fn failure(
    request: &RunRequest,
    shell: &ShellRequest,
    cache: Option<&Cache>,
    opened: Option<&OpenRunner>,
) -> Option<Result<Base, EngineError>> {
    if shell.start != ShellStart::AfterFailure {
        return None;
    }
    let step = request.plan.steps.get(shell.step).map(|step| step.key.clone()).unwrap_or_default();
    let place = match (cache, opened) {
        (Some(cache), Some(opened)) => cache.failure(&step, opened.snapshots.as_ref()).await,
        (None, _) | (_, None) => Ok(None),
    };
    Some(match (place, opened) {
        (Ok(Some(place)), Some(opened)) => Ok(Base::Snapshot(opened.snapshots.adopt(&place), None)),
        (Ok(_), _) => Err(EngineError::NoFailure { step }),
        (Err(error), _) => Err(error.into()),
    })
}

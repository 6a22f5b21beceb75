//! The driver of a run, from its request to its last event.

mod inspect;
mod job;
mod run_request;
mod run_tools;
mod shell;
mod steps;

use pipelens_core::plan::Plan;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, seconds_now};
use crate::error::EngineError;
use crate::event::{BuildEvent, Outcome, RunOutcome};
use crate::event_queue::{self, EventQueue};
#[cfg(feature = "kubernetes")]
pub use crate::kubernetes::kept_shell::KeptShell;
pub use crate::logs::as_shown as shown_line;
use crate::person::ShellRequest;
pub use crate::run::inspect::{
    Engines, KeptKind, KeptThing, STATE_LOCK, clean, clean_all, history, hold_state, kept, predict,
};
pub use crate::run::run_request::RunRequest;
pub use crate::run::run_tools::STATE_DIR_VARIABLE;
use crate::run::run_tools::{Rest, RunTools};
pub use crate::run_files::{
    artifact_folder, failed_artifact_folder, log_file, service_log_file, step_folder, usable_log_dir,
};
pub use crate::snapshot::shell_word;
use crate::stop::{self, Interruption};
pub use crate::store::{PastRun, PastStep};

/// Runs a plan to its end and reports everything as events, `BuildEnd` last. Cancelled by the token; cleanup is done when this returns.
/// When the channel is full, log events are dropped, counted and reported; all others wait.
///
/// Dropping the future cancels the run; its cleanup continues.
pub async fn run(request: RunRequest, events: mpsc::Sender<BuildEvent>, cancel: CancellationToken) -> RunOutcome {
    start(request, None, events, cancel).await
}

/// Like `run`, with a shell for a person in place of the command of one step, which is not part of the history. What the step starts from is made or
/// taken from earlier runs as in any run.
pub async fn shell(
    request: RunRequest,
    shell: ShellRequest,
    events: mpsc::Sender<BuildEvent>,
    cancel: CancellationToken,
) -> RunOutcome {
    start(shell::prepared(request, &shell), Some(shell), events, cancel).await
}

async fn start(
    request: RunRequest,
    shell: Option<ShellRequest>,
    events: mpsc::Sender<BuildEvent>,
    cancel: CancellationToken,
) -> RunOutcome {
    let cancel = cancel.child_token();
    let _cancel_if_dropped = cancel.clone().drop_guard();
    // A task of its own, so that the cleanup continues when this future is dropped, which cancels the token.
    match tokio::spawn(drive(request, shell, events, cancel)).await {
        Ok(outcome) => outcome,
        Err(panic) => {
            tracing::error!(%panic, "the driver of a run panicked");
            RunOutcome::Failed
        }
    }
}

async fn drive(
    request: RunRequest,
    shell: Option<ShellRequest>,
    listener: mpsc::Sender<BuildEvent>,
    cancel: CancellationToken,
) -> RunOutcome {
    let started = Instant::now();
    let (events, queued) = event_queue::open();
    let delivery = tokio::spawn(event_queue::deliver(queued, listener));
    events.send(BuildEvent::BuildStart {
        run_id: request.run_id,
        started_at: clock::now(),
        step_count: request.plan.steps.len(),
        runner: request.runner.name().to_owned(),
    });
    let mut rest = Rest::default();
    let outcome = match stop::unless_stopped(&cancel, RunTools::open(&request, &events)).await {
        Ok(tools) => {
            let (outcome, left) = run_and_close(&request, shell, tools, &events, &cancel, started).await;
            rest = left;
            outcome
        }
        Err(Interruption::Stopped) => end_without_start(
            &request.plan,
            &events,
            Outcome::Skipped("The run was cancelled before this step started.".into()),
            RunOutcome::Cancelled,
        ),
        Err(Interruption::Failed(error)) => could_not_open(&request.plan, &events, &error),
    };
    events.send(BuildEvent::BuildEnd { outcome, duration: started.elapsed() });
    drop(events);
    if let Err(panic) = delivery.await {
        tracing::error!(%panic, "the delivery of events panicked");
    }
    rest.remove().await;
    outcome
}

async fn run_and_close(
    request: &RunRequest,
    shell: Option<ShellRequest>,
    tools: RunTools,
    events: &EventQueue,
    cancel: &CancellationToken,
    started: Instant,
) -> (RunOutcome, Rest) {
    let started_at = seconds_now();
    let is_run = shell.is_none();
    let (outcome, ends) = steps::run_all(request, shell, &tools, events, cancel).await;
    if let Some(cache) = tools.cache.as_ref().filter(|_| is_run) {
        let run = PastRun {
            run_id: request.run_id.to_string(),
            pipeline: request.plan.name.clone(),
            started_at,
            duration_ms: i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX),
            outcome: outcome.word().to_owned(),
            steps: ends,
        };
        if let Err(error) = cache.record_run(run).await {
            events.notice(format!("The run could not be added to the history: {error}."));
        }
        cache.take_notices().into_iter().for_each(|notice| events.notice(notice));
    }
    (outcome, tools.close(events, request.deadlines.closing).await)
}

/// Why no step of a run started for which no engine answered.
pub const NO_ENGINE: &str = "No container engine answered.";

fn could_not_open(plan: &Plan, events: &EventQueue, error: &EngineError) -> RunOutcome {
    match error {
        EngineError::Unreachable { .. } => {
            events.notice(error.sentence());
            let why = Outcome::Skipped(NO_ENGINE.into());
            end_without_start(plan, events, why, RunOutcome::EngineUnreachable)
        }
        other => end_without_start(plan, events, Outcome::Errored(other.sentence()), RunOutcome::Failed),
    }
}

fn end_without_start(plan: &Plan, events: &EventQueue, outcome: Outcome, run_outcome: RunOutcome) -> RunOutcome {
    for step in 0..plan.steps.len() {
        events.send(BuildEvent::StepEnd {
            step,
            outcome: outcome.clone(),
            duration: Default::default(),
            tail: Vec::new(),
        });
    }
    run_outcome
}

//! Follows one run and tells the client about it: log messages, progress, run events, the outcome. It always takes events at once and
//! lets only the sending wait, so that neither the engine nor a step is ever held back by a slow client.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lsp_types::{MessageType, ProgressToken};
use pipelens_engine::event::{BuildEvent, RunOutcome};
use tokio::sync::mpsc;

use super::context::Runs;
use super::feed::Feed;
use super::progress::Progress;
use super::registry::Started;
use super::run::Run;
use super::{failures, messages, problems};
use crate::lsp::findings::store::Source;
use crate::lsp::protocol::files::path_of;
use crate::present;
use crate::record::Recorder;

/// Events between the engine and this task; it only moves them on, so few are ever in it.
const EVENT_QUEUE: usize = 1024;
/// Lines are joined for this long, or up to `BATCH_BYTES`.
const BATCH_INTERVAL: Duration = Duration::from_millis(30);
/// The clock on a lens moves once a second.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// Runs what was started and reports it to its end.
#[tracing::instrument(level = "debug", name = "run", skip_all, fields(id = %started.run.id, title = started.run.title))]
pub(crate) async fn follow(runs: Arc<Runs>, started: Started, client_token: Option<ProgressToken>) {
    let Started { run, request, forgotten } = started;
    let _ended = run.ended.clone().drop_guard();
    for run in forgotten {
        runs.findings.clear(Source::Run(run));
        runs.problems.forget(run).into_iter().for_each(|source| runs.findings.clear(source));
    }
    let (events, mut incoming) = mpsc::channel(EVENT_QUEUE);
    let file = path_of(&run.uri).unwrap_or_default();
    let mut recorder = Recorder::begin(&request.log_dir, &file, run.pipeline, &run.target, &request.plan);
    let (mut problems, showing) = problems::watch(&runs, &run, &request);
    // The end of the process waits for the engine's clean-up, not for what this client still has to read.
    let engine = runs.engines.spawn(pipelens_engine::run::run(request, events, run.cancel.clone()));
    let feed = Arc::new(Feed::default());
    let sender = runs.reports.spawn(send(runs.clone(), run.clone(), feed.clone(), client_token));
    runs.lenses.want();
    // A new run removes the failures of the one before.
    failures::report(&runs.registry, &runs.findings, runs.settings.client(), &run.uri);
    let mut clock = tokio::time::interval(CLOCK_INTERVAL);
    loop {
        tokio::select! {
            event = incoming.recv() => {
                let Some(event) = event else { break };
                run.apply(&event);
                recorder.see(&event);
                problems.see(&event).await;
                runs.log_documents.see(&run, &event);
                match &event {
                    BuildEvent::StepStart { .. } | BuildEvent::StepQueued { .. } => runs.lenses.want(),
                    BuildEvent::StepEnd { step, outcome, duration, .. } => {
                        let key = run.plan.steps.get(*step).map_or("?", |step| step.key.as_str());
                        tracing::debug!(step = key, outcome = outcome.word(), took = ?duration, "step ended");
                        runs.lenses.want();
                        if run.has_failed(*step) {
                            failures::report(&runs.registry, &runs.findings, runs.settings.client(), &run.uri);
                        }
                    }
                    BuildEvent::BuildEnd { .. } => runs.lenses.want(),
                    BuildEvent::BuildStart { .. }
                    | BuildEvent::Notice { .. }
                    | BuildEvent::ImageResolved { .. }
                    | BuildEvent::StepPhase { .. }
                    | BuildEvent::StepLog { .. }
                    | BuildEvent::StepLogSkipped { .. }
                    | BuildEvent::StepCacheHit { .. }
                    | BuildEvent::StepArtifacts { .. }
                    | BuildEvent::StepKept { .. } => {}
                }
                feed.push(event);
            }
            _ = clock.tick() => {
                runs.lenses.want();
                feed.wake.notify_one();
            }
        }
    }
    drop(recorder);
    drop(problems);
    if let Err(error) = showing.await {
        tracing::error!("problems are no longer shown because of a bug: {error}");
    }
    match engine.await {
        Ok(outcome) => run.end(outcome),
        Err(error) => {
            tracing::error!("the run has ended because of a bug: {error}");
            run.end(RunOutcome::Failed);
        }
    }
    run.ended.cancel();
    runs.lenses.want();
    // The next run may use what this one has cached.
    runs.predictions.want(run.uri.as_str());
    feed.end();
    if let Err(error) = sender.await {
        tracing::error!("the report of a run has ended because of a bug: {error}");
    }
}

/// Sends what the feed holds until it ends, at the client's pace.
async fn send(runs: Arc<Runs>, run: Arc<Run>, feed: Arc<Feed>, client_token: Option<ProgressToken>) {
    let mut progress = Progress::begin(&runs, &run, client_token).await;
    loop {
        let is_due = async {
            match &progress {
                Some(progress) => progress.due().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = feed.wake.notified() => {}
            () = is_due => {}
        }
        if !feed.is_full() {
            tokio::time::sleep(BATCH_INTERVAL).await;
        }
        let (events, is_ended) = feed.take();
        messages::send(&runs, &run, events).await;
        if is_ended {
            break;
        }
        if let Some(progress) = &mut progress {
            progress.report(&runs.client, &run).await;
        }
    }
    let (outcome, took) = run.outcome().unwrap_or((RunOutcome::Failed, run.started.elapsed()));
    if let Some(progress) = progress {
        progress.end(&runs.client, present::run_outcome(outcome, took)).await;
    }
    if let Some(asked) = messages::show_outcome(&runs, &run, outcome, took).await {
        // The user may answer late or never; only this task waits, and not forever.
        let waiting = runs.clone();
        runs.questions.spawn(async move {
            if asked.await {
                run_on_host(waiting, run).await;
            }
        });
    }
}

/// Runs what a run was to run, on this machine: the user has chosen that.
fn run_on_host(runs: Arc<Runs>, run: Arc<Run>) -> BoxFuture<'static, ()> {
    async move {
        let (registry, again) = (runs.registry.clone(), run.clone());
        let start = move || registry.start_on_host(&again).map_err(|not_started| not_started.sentence());
        match tokio::task::spawn_blocking(start).await.unwrap_or_else(|panic| Err(panic.to_string())) {
            Ok(started) => {
                runs.reports.spawn(follow(runs.clone(), started, None));
            }
            Err(why) => runs.client.show_message(MessageType::ERROR, why).await,
        }
    }
    .boxed()
}

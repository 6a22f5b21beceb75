//! Tells the client about one run: log messages, progress, run events, the final word. It always takes events at once and lets
//! only the sending wait, so that neither the engine nor a step is ever held back by a slow client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use lsp_types::{MessageActionItem, MessageType, ProgressToken, ShowDocumentParams, Uri};
use pipelens_engine::event::{BuildEvent, Outcome, RunOutcome};
use pipelens_engine::run::log_file;
use tokio::sync::mpsc;
use tower_lsp::UriExt;

use super::Shared;
use super::ext::{OpenLogArgs, RunEventNotification};
use super::feed::{BATCH_BYTES, Feed};
use super::progress::Progress;
use super::runs::{Run, Started, StepView};
use crate::{present, wire};

/// Events between the engine and this task; it only moves them on, so few are ever in it.
const EVENT_QUEUE: usize = 1024;
/// Lines are joined for this long, or up to `BATCH_BYTES`.
const BATCH_INTERVAL: Duration = Duration::from_millis(30);
/// The clock on a lens moves once a second.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// A client that does not answer for this long shows no document.
const SHOW_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the final message may stand unanswered.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(600);

/// Runs what was started and reports it to its end.
pub(crate) async fn follow(shared: Arc<Shared>, started: Started, client_token: Option<ProgressToken>) {
    let Started { run, request } = started;
    let (events, mut incoming) = mpsc::channel(EVENT_QUEUE);
    // The end of the process waits for the engine's clean-up, not for what this client still has to read.
    let engine = shared.runs.tasks.spawn(pipelens_engine::run::run(request, events, run.cancel.clone()));
    let feed = Arc::new(Feed::default());
    let sender = tokio::spawn(send(shared.clone(), run.clone(), feed.clone(), client_token));
    shared.outbox.refresh_lenses();
    // A new run takes away the marks of the one before.
    shared.republish(&run.uri);
    let mut clock = tokio::time::interval(CLOCK_INTERVAL);
    loop {
        tokio::select! {
            event = incoming.recv() => {
                let Some(event) = event else { break };
                run.apply(&event);
                match &event {
                    BuildEvent::StepStart { .. } | BuildEvent::StepQueued { .. } => shared.outbox.refresh_lenses(),
                    BuildEvent::StepEnd { .. } | BuildEvent::BuildEnd { .. } => {
                        shared.outbox.refresh_lenses();
                        shared.republish(&run.uri);
                    }
                    BuildEvent::BuildStart { .. }
                    | BuildEvent::Notice { .. }
                    | BuildEvent::ImageResolved { .. }
                    | BuildEvent::StepPhase { .. }
                    | BuildEvent::StepLog { .. }
                    | BuildEvent::StepLogSkipped { .. }
                    | BuildEvent::StepCacheHit { .. }
                    | BuildEvent::StepKept { .. } => {}
                }
                feed.push(event);
            }
            _ = clock.tick() => {
                shared.outbox.refresh_lenses();
                feed.wake.notify_one();
            }
        }
    }
    match engine.await {
        Ok(outcome) => run.end(outcome),
        Err(error) => {
            tracing::error!("the run ended by a fault: {error}");
            run.end(RunOutcome::Failed);
        }
    }
    shared.outbox.refresh_lenses();
    // What it left is what the next one may take.
    shared.predictions.want(run.uri.as_str());
    feed.end();
    if let Err(error) = sender.await {
        tracing::error!("the report of a run ended by a fault: {error}");
    }
}

/// Sends what the feed holds until it ends, at the client's pace.
async fn send(shared: Arc<Shared>, run: Arc<Run>, feed: Arc<Feed>, client_token: Option<ProgressToken>) {
    let mut progress = Progress::begin(&shared, &run, client_token).await;
    loop {
        feed.wake.notified().await;
        if !feed.is_full() {
            tokio::time::sleep(BATCH_INTERVAL).await;
        }
        let (events, is_ended) = feed.take();
        send_events(&shared, &run, events).await;
        if is_ended {
            break;
        }
        if let Some(progress) = &mut progress {
            progress.report(&shared.client, &run).await;
        }
    }
    let (outcome, took) = run.outcome().unwrap_or((RunOutcome::Failed, run.started.elapsed()));
    if let Some(progress) = progress {
        progress.end(&shared.client, present::run_outcome(outcome, took)).await;
    }
    say_outcome(&shared, &run, outcome, took).await;
}

async fn send_events(shared: &Shared, run: &Run, events: VecDeque<BuildEvent>) {
    let sends_events = shared.config.client().run_events;
    let sends_log = shared.config.settings().run.log_messages;
    let mut text = String::new();
    for event in events {
        if sends_log {
            append_text(&mut text, &event, run);
            let failed =
                matches!(&event, BuildEvent::StepEnd { outcome, .. } if severity(outcome) == MessageType::ERROR);
            if text.len() >= BATCH_BYTES || failed {
                flush(shared, &mut text).await;
            }
            if let BuildEvent::StepEnd { step, outcome, duration, .. } = &event {
                append_end(&mut text, key(run, *step), outcome, *duration);
                if failed {
                    let line = std::mem::take(&mut text);
                    shared.client.log_message(MessageType::ERROR, line.trim_end()).await;
                }
            }
        }
        if sends_events {
            let kind = wire::RunEventKind::new(&event, &run.plan, &run.title, &run.log_dir);
            let event =
                wire::RunEvent { version: wire::VERSION, run_id: run.id, uri: Some(run.uri.as_str().to_owned()), kind };
            let params = serde_json::to_value(event).unwrap_or_default();
            shared.client.send_notification::<RunEventNotification>(params).await;
        }
    }
    flush(shared, &mut text).await;
}

/// Sends the joined lines as one message.
async fn flush(shared: &Shared, text: &mut String) {
    if !text.is_empty() {
        shared.client.log_message(MessageType::LOG, text.trim_end_matches('\n')).await;
        text.clear();
    }
}

fn append_text(text: &mut String, event: &BuildEvent, run: &Run) {
    match event {
        BuildEvent::StepLog { step, lines } => {
            for line in lines {
                push_line(text, key(run, *step), &crate::terminal::plain(&line.text));
            }
        }
        BuildEvent::StepLogSkipped { step, lines } => {
            let file = log_file(&run.log_dir, key(run, *step));
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            push_line(text, key(run, *step), &format!("… {} lines more in {name}", present::count(*lines)));
        }
        BuildEvent::StepStart { step, runner, image, attempt, .. } => {
            push_line(text, key(run, *step), &present::started(runner, image.as_deref(), *attempt));
        }
        BuildEvent::ImageResolved { step, image, digest } => {
            push_line(text, key(run, *step), &present::image(image, digest));
        }
        BuildEvent::StepKept { step, shell } => push_line(text, key(run, *step), &present::shell(shell)),
        BuildEvent::Notice { message } => {
            text.push_str(message);
            text.push('\n');
        }
        BuildEvent::BuildStart { .. }
        | BuildEvent::StepQueued { .. }
        | BuildEvent::StepPhase { .. }
        | BuildEvent::StepCacheHit { .. }
        | BuildEvent::StepEnd { .. }
        | BuildEvent::BuildEnd { .. } => {}
    }
}

fn append_end(text: &mut String, key: &str, outcome: &Outcome, took: Duration) {
    let why = match outcome {
        Outcome::Skipped(why) | Outcome::Errored(why) => format!(": {why}"),
        Outcome::Succeeded | Outcome::Cached | Outcome::Failed(_) | Outcome::TimedOut | Outcome::Cancelled => {
            String::new()
        }
    };
    push_line(text, key, &format!("{}{why}", present::step_outcome(outcome, took)));
}

fn push_line(text: &mut String, key: &str, line: &str) {
    text.push('[');
    text.push_str(key);
    text.push_str("] ");
    text.push_str(line);
    text.push('\n');
}

fn severity(outcome: &Outcome) -> MessageType {
    match outcome {
        Outcome::Failed(_) | Outcome::TimedOut | Outcome::Errored(_) => MessageType::ERROR,
        Outcome::Succeeded | Outcome::Cached | Outcome::Cancelled | Outcome::Skipped(_) => MessageType::LOG,
    }
}

fn key(run: &Run, step: usize) -> &str {
    run.plan.steps.get(step).map_or("?", |step| step.key.as_str())
}

/// Says the outcome once, with the log of a failure at hand where the client can offer it.
async fn say_outcome(shared: &Arc<Shared>, run: &Arc<Run>, outcome: RunOutcome, took: Duration) {
    let text = format!("{}: {}", run.title, present::run_outcome(outcome, took));
    let (kind, text) = match outcome {
        RunOutcome::Succeeded | RunOutcome::Cancelled => (MessageType::INFO, text),
        RunOutcome::EngineUnreachable => (MessageType::ERROR, format!("{text}. {}", present::WITHOUT_ENGINE)),
        RunOutcome::Failed | RunOutcome::TimedOut => {
            (MessageType::ERROR, first_failure(run).map_or(text.clone(), |failure| format!("{text}. {failure}")))
        }
    };
    shared.client.log_message(if kind == MessageType::ERROR { kind } else { MessageType::LOG }, &text).await;
    if !shared.config.settings().run.end_message {
        return;
    }
    if kind != MessageType::ERROR || !shared.config.client().message_actions {
        shared.client.show_message(kind, text).await;
        return;
    }
    // The person may answer late or never; nobody waits for it but this task, and not for ever.
    let (shared, run_id) = (shared.clone(), run.id);
    tokio::spawn(async move {
        let open = MessageActionItem { title: "Open log".to_owned(), properties: Default::default() };
        let asked = shared.client.show_message_request(kind, text, Some(vec![open]));
        if let Ok(Ok(Some(_))) = tokio::time::timeout(MESSAGE_TIMEOUT, asked).await {
            match shared.runs.log(&OpenLogArgs { run_id: Some(run_id), step: None }) {
                Ok(path) => show_document(&shared, &path).await,
                Err(why) => shared.client.show_message(MessageType::INFO, why).await,
            }
        }
    });
}

fn first_failure(run: &Run) -> Option<String> {
    let steps = run.steps();
    run.plan.steps.iter().zip(&steps).find_map(|(step, view)| {
        let StepView::Done { outcome, .. } = view else { return None };
        match outcome {
            Outcome::Failed(code) => Some(format!("Step `{}` failed: exit {code}", step.key)),
            Outcome::TimedOut => Some(format!("Step `{}` timed out", step.key)),
            Outcome::Errored(why) => Some(format!("Step `{}` could not run: {why}", step.key)),
            Outcome::Succeeded | Outcome::Cached | Outcome::Cancelled | Outcome::Skipped(_) => None,
        }
    })
}

/// Opens a file in the client, or says where it is.
pub(crate) async fn show_document(shared: &Shared, path: &std::path::Path) {
    show(shared, path, None).await;
}

/// Opens a file in the program that the user's system has for it, or says where it is.
pub(crate) async fn show_picture(shared: &Shared, path: &std::path::Path) {
    show(shared, path, Some(true)).await;
}

async fn show(shared: &Shared, path: &std::path::Path, external: Option<bool>) {
    let uri = Uri::from_file_path(path);
    let shown = match uri {
        Some(uri) if shared.config.client().show_document => {
            let params = ShowDocumentParams { uri, external, take_focus: Some(true), selection: None };
            matches!(tokio::time::timeout(SHOW_TIMEOUT, shared.client.show_document(params)).await, Ok(Ok(true)))
        }
        Some(_) | None => false,
    };
    if !shown {
        shared.client.show_message(MessageType::INFO, format!("It is in {}", path.display())).await;
    }
}

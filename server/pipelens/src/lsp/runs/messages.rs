//! A run's messages to the user: its log, line by line, and its outcome.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lsp_types::{MessageActionItem, MessageType};
use pipelens_engine::event::{BuildEvent, Outcome, RunOutcome};
use pipelens_engine::run::log_file;

use super::context::Runs;
use super::feed::BATCH_BYTES;
use super::run::Run;
use super::show::{Viewer, show, show_log};
use super::{artifacts, logs};
use crate::artifacts::Artifacts;
use crate::lsp::protocol::commands::{OpenArtifactsArgs, OpenLogArgs, RunEventNotification};
use crate::settings::Settings;
use crate::{present, terminal, wire};

/// How long the final message may be left unanswered.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(600);
const OPEN_LOG: &str = "Open log";
const OPEN_ARTIFACTS: &str = "Open artifacts";
const RUN_ON_HOST: &str = "Run on Host";
const SETTINGS: &str = "Settings";
/// What a new file of settings says.
const TEMPLATE: &str = "# Your settings of pipelens, for every editor and the command line. An editor's own settings take precedence.\n# runner: host\n# dockerHost: unix:///run/user/1000/docker.sock\n";

/// Sends events in both forms: as log messages, and as they are to a client that knows them.
pub(crate) async fn send(runs: &Runs, run: &Run, events: VecDeque<BuildEvent>) {
    let sends_events = runs.settings.client().run_events;
    let sends_log = settings(runs, run).run.log_messages;
    let mut text = String::new();
    for event in events {
        if sends_log {
            append_text(&mut text, &event, run);
            let failed =
                matches!(&event, BuildEvent::StepEnd { outcome, .. } if severity(outcome) == MessageType::ERROR);
            if text.len() >= BATCH_BYTES || failed {
                flush(runs, &mut text).await;
            }
            if let BuildEvent::StepEnd { step, outcome, duration, .. } = &event {
                append_end(&mut text, key(run, *step), outcome, *duration);
                if failed {
                    let line = std::mem::take(&mut text);
                    runs.client.log_message(MessageType::ERROR, line.trim_end()).await;
                }
            }
        }
        if sends_events {
            let kind = wire::RunEventKind::new(&event, &run.plan, &run.title, &run.log_dir);
            let event =
                wire::RunEvent { version: wire::VERSION, run_id: run.id, uri: Some(run.uri.as_str().to_owned()), kind };
            let params = serde_json::to_value(event).unwrap_or_default();
            runs.client.send_notification::<RunEventNotification>(params).await;
        }
    }
    flush(runs, &mut text).await;
}

/// Returns the settings for the pipeline of a run.
fn settings(runs: &Runs, run: &Run) -> Arc<Settings> {
    runs.settings.settings_of(&run.uri)
}

/// Sends the joined lines as one message.
async fn flush(runs: &Runs, text: &mut String) {
    if !text.is_empty() {
        runs.client.log_message(MessageType::LOG, text.trim_end_matches('\n')).await;
        text.clear();
    }
}

fn append_text(text: &mut String, event: &BuildEvent, run: &Run) {
    match event {
        BuildEvent::StepLog { step, lines } => {
            for line in lines {
                push_line(text, key(run, *step), &terminal::plain(&line.text));
            }
        }
        BuildEvent::StepLogSkipped { step, lines } => {
            let file = log_file(&run.log_dir, key(run, *step));
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            push_line(text, key(run, *step), &format!("… {} more lines in {name}", present::count(*lines)));
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
        | BuildEvent::StepArtifacts { .. }
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

/// Shows the outcome once, with buttons that open the log of a failure and the artifacts where the client supports that.
/// Returns what waits for the user's answer: whether to run the same on this machine.
pub(crate) async fn show_outcome(
    runs: &Arc<Runs>,
    run: &Arc<Run>,
    outcome: RunOutcome,
    took: Duration,
) -> Option<impl Future<Output = bool> + Send + 'static> {
    let text = format!("{}: {}", run.title, present::run_outcome(outcome, took));
    let (kind, text) = match outcome {
        RunOutcome::Succeeded | RunOutcome::Cancelled => (MessageType::INFO, text),
        RunOutcome::EngineUnreachable => {
            // It names what was tried.
            let tried = run.notice().unwrap_or_else(|| text.clone());
            (MessageType::ERROR, format!("{}: {tried}", run.title))
        }
        RunOutcome::Failed | RunOutcome::TimedOut => {
            (MessageType::ERROR, first_failure(run).map_or(text.clone(), |failure| format!("{text}. {failure}")))
        }
    };
    let artifacts = run.artifacts(Artifacts::sentence);
    let text = artifacts.as_ref().map_or(text.clone(), |artifacts| format!("{text}. {artifacts}"));
    let settings = settings(runs, run);
    if settings.run.log_messages {
        runs.client.log_message(if kind == MessageType::ERROR { kind } else { MessageType::LOG }, &text).await;
    }
    if !settings.run.end_message {
        return None;
    }
    let is_unreachable = outcome == RunOutcome::EngineUnreachable;
    let buttons: Vec<&str> = if is_unreachable {
        // No step has started, so there is no log.
        vec![RUN_ON_HOST, SETTINGS]
    } else {
        let log = (kind == MessageType::ERROR && has_log(run)).then_some(OPEN_LOG);
        log.into_iter().chain(artifacts.map(|_| OPEN_ARTIFACTS)).collect()
    };
    let can_ask = runs.settings.client().message_actions;
    if buttons.is_empty() || !can_ask {
        let text = if is_unreachable { format!("{text} {}", present::WITHOUT_ENGINE) } else { text };
        runs.client.show_message(kind, text).await;
        return None;
    }
    // The user may answer late or never; only this task waits, and not forever.
    let (waiting, run_id) = (runs.clone(), run.id);
    Some(async move {
        let button = |title: &str| MessageActionItem { title: title.to_owned(), properties: Default::default() };
        let buttons = buttons.into_iter().map(button).collect();
        let asked = waiting.client.show_message_request(kind, text, Some(buttons));
        let Ok(Ok(Some(pressed))) = tokio::time::timeout(MESSAGE_TIMEOUT, asked).await else { return false };
        if pressed.title == RUN_ON_HOST {
            return true;
        }
        let (found, viewer) = if pressed.title == SETTINGS {
            (settings_file(), Viewer::Editor)
        } else if pressed.title == OPEN_ARTIFACTS {
            let args = OpenArtifactsArgs { run_id: Some(run_id), ..OpenArtifactsArgs::default() };
            (artifacts::folder(&waiting.registry, &args), Viewer::Files)
        } else {
            let args = OpenLogArgs { run_id: Some(run_id), ..OpenLogArgs::default() };
            match logs::log(&waiting.registry, &args) {
                Ok(log) => show_log(&waiting.client, waiting.settings.client(), log).await,
                Err(why) => waiting.client.show_message(MessageType::INFO, why).await,
            }
            return false;
        };
        match found {
            Ok(path) => show(&waiting.client, waiting.settings.client(), &path, viewer).await,
            Err(why) => waiting.client.show_message(MessageType::INFO, why).await,
        }
        false
    })
}

/// Whether a step has left a log.
fn has_log(run: &Run) -> bool {
    run.plan.steps.iter().any(|step| log_file(&run.log_dir, &step.key).exists())
}

/// Returns the user's settings for all editors; a file that is missing is made.
fn settings_file() -> Result<PathBuf, String> {
    let file = Settings::user_file().ok_or("This user has no folder for settings")?;
    if !file.exists() {
        let made = file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&file, TEMPLATE));
        made.map_err(|error| format!("Cannot write `{}`: {error}", file.display()))?;
    }
    Ok(file)
}

fn first_failure(run: &Run) -> Option<String> {
    let steps = run.steps();
    run.plan.steps.iter().zip(&steps).find_map(|(step, view)| {
        let (outcome, _) = view.failure()?;
        present::step_failure(&step.key, outcome)
    })
}

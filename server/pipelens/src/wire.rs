//! Run events as they cross a wire: `pipelens/runEvent` to an editor, and a JSON line each from `pipelens run --format json`.
//! Versioned; fields are added, never changed. `tests/fixtures/protocol` holds one sample of each kind.

use std::path::Path;

use chrono::{DateTime, Utc};
use pipelens_core::plan::Plan;
use pipelens_engine::event::{BuildEvent, LogLine, Outcome, Phase, RunOutcome, StdStream};
use pipelens_engine::run::log_file;
use serde::Serialize;
use uuid::Uuid;

use crate::present;

/// The version of everything here.
pub(crate) const VERSION: u32 = 1;

/// One event of one run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunEvent {
    pub(crate) version: u32,
    pub(crate) run_id: Uuid,
    /// The pipeline file; absent on the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uri: Option<String>,
    #[serde(flatten)]
    pub(crate) kind: RunEventKind,
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum RunEventKind {
    RunStart {
        title: String,
        runner: String,
        started_at: DateTime<Utc>,
        steps: Vec<StepName>,
    },
    /// A sentence that belongs to no step.
    Notice {
        message: String,
    },
    StepQueued {
        step: String,
    },
    StepStart {
        step: String,
        runner: String,
        image: Option<String>,
        attempt: u64,
        started_at: DateTime<Utc>,
    },
    /// What the step is busy with before and after its command.
    StepPhase {
        step: String,
        message: String,
    },
    StepLog {
        step: String,
        lines: Vec<Line>,
    },
    /// Lines that are in the log file alone.
    StepLogSkipped {
        step: String,
        lines: u64,
        log_file: String,
    },
    StepEnd {
        step: String,
        outcome: OutcomeKind,
        exit_code: Option<i64>,
        reason: Option<String>,
        duration_ms: u64,
        log_file: String,
    },
    RunEnd {
        outcome: RunOutcomeKind,
        exit_code: u8,
        duration_ms: u64,
    },
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct StepName {
    pub(crate) key: String,
    pub(crate) label: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) stream: Stream,
    pub(crate) time: DateTime<Utc>,
    /// Without its line end; ANSI sequences are kept, secrets are masked.
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum OutcomeKind {
    Succeeded,
    Cached,
    Failed,
    TimedOut,
    Cancelled,
    Skipped,
    Errored,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RunOutcomeKind {
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
    EngineUnreachable,
}

impl RunEventKind {
    /// Puts an engine's event into the wire's words. `title` names the run.
    pub(crate) fn new(event: &BuildEvent, plan: &Plan, title: &str, log_dir: &Path) -> Self {
        let key = |step: usize| plan.steps.get(step).map(|step| step.key.clone()).unwrap_or_default();
        let log = |step: usize| log_file(log_dir, &key(step)).to_string_lossy().into_owned();
        match event {
            BuildEvent::BuildStart { started_at, runner, .. } => Self::RunStart {
                title: title.to_owned(),
                runner: runner.clone(),
                started_at: *started_at,
                steps: plan
                    .steps
                    .iter()
                    .map(|step| StepName { key: step.key.clone(), label: step.label.clone() })
                    .collect(),
            },
            BuildEvent::Notice { message } => Self::Notice { message: message.clone() },
            BuildEvent::StepQueued { step } => Self::StepQueued { step: key(*step) },
            BuildEvent::StepStart { step, started_at, runner, image, attempt } => Self::StepStart {
                step: key(*step),
                runner: runner.clone(),
                image: image.clone(),
                attempt: *attempt,
                started_at: *started_at,
            },
            BuildEvent::StepPhase { step, phase } => Self::StepPhase { step: key(*step), message: phase_text(phase) },
            BuildEvent::StepLog { step, lines } => {
                Self::StepLog { step: key(*step), lines: lines.iter().map(Line::new).collect() }
            }
            BuildEvent::StepLogSkipped { step, lines } => {
                Self::StepLogSkipped { step: key(*step), lines: *lines, log_file: log(*step) }
            }
            BuildEvent::StepCacheHit { step, key: cache_key } => {
                Self::StepPhase { step: key(*step), message: format!("found in the cache as {cache_key}") }
            }
            BuildEvent::StepEnd { step, outcome, duration, .. } => Self::StepEnd {
                step: key(*step),
                outcome: OutcomeKind::new(outcome),
                exit_code: match outcome {
                    Outcome::Succeeded | Outcome::Cached => Some(0),
                    Outcome::Failed(code) => Some(*code),
                    Outcome::TimedOut | Outcome::Cancelled | Outcome::Skipped(_) | Outcome::Errored(_) => None,
                },
                reason: match outcome {
                    Outcome::Skipped(why) | Outcome::Errored(why) => Some(why.clone()),
                    Outcome::Succeeded
                    | Outcome::Cached
                    | Outcome::Failed(_)
                    | Outcome::TimedOut
                    | Outcome::Cancelled => None,
                },
                duration_ms: present::millis(*duration),
                log_file: log(*step),
            },
            BuildEvent::BuildEnd { outcome, duration } => Self::RunEnd {
                outcome: RunOutcomeKind::new(*outcome),
                exit_code: outcome.exit_code(),
                duration_ms: present::millis(*duration),
            },
        }
    }
}

impl Line {
    fn new(line: &LogLine) -> Self {
        let stream = match line.stream {
            StdStream::Stdout => Stream::Stdout,
            StdStream::Stderr => Stream::Stderr,
        };
        Self { stream, time: line.time, text: line.text.to_string() }
    }
}

impl OutcomeKind {
    pub(crate) fn new(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Succeeded,
            Outcome::Cached => Self::Cached,
            Outcome::Failed(_) => Self::Failed,
            Outcome::TimedOut => Self::TimedOut,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Skipped(_) => Self::Skipped,
            Outcome::Errored(_) => Self::Errored,
        }
    }
}

impl RunOutcomeKind {
    pub(crate) fn new(outcome: RunOutcome) -> Self {
        match outcome {
            RunOutcome::Succeeded => Self::Succeeded,
            RunOutcome::Failed => Self::Failed,
            RunOutcome::Cancelled => Self::Cancelled,
            RunOutcome::TimedOut => Self::TimedOut,
            RunOutcome::EngineUnreachable => Self::EngineUnreachable,
        }
    }
}

/// Returns what a step is busy with, in a few words.
pub(crate) fn phase_text(phase: &Phase) -> String {
    match phase {
        Phase::Pulling { image, done_bytes, layers_done, layers, .. } => {
            format!("pulling {image}: {}, {layers_done}/{layers} layers", present::bytes(*done_bytes))
        }
        Phase::SendingSources { files, bytes } => format!("sending {files} files, {}", present::bytes(*bytes)),
        Phase::Snapshotting => "keeping a snapshot".to_owned(),
    }
}

//! Run events as they cross a wire: `pipelens/runEvent` to an editor, and a JSON line each from `pipelens run --format json`.
//! Versioned; fields are added, never changed. `tests/fixtures/protocol` holds one sample of each kind.

use std::path::Path;

use chrono::{DateTime, Utc};
use pipelens_core::plan::Plan;
use pipelens_engine::event::{BuildEvent, LogLine, Outcome, Phase, RunOutcome, StdStream};
use pipelens_engine::run::log_file;
use pipelens_engine::runners;
use serde::Serialize;
use uuid::Uuid;

use crate::{present, terminal};

/// The version of everything here.
pub(crate) const VERSION: u32 = 1;

/// One event of one run.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunEvent {
    pub(crate) version: u32,
    #[cfg_attr(test, ts(type = "string"))]
    pub(crate) run_id: Uuid,
    /// The pipeline file; absent on the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub(crate) uri: Option<String>,
    #[serde(flatten)]
    pub(crate) kind: RunEventKind,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum RunEventKind {
    RunStart {
        title: String,
        runner: String,
        #[cfg_attr(test, ts(type = "string"))]
        started_at: DateTime<Utc>,
        steps: Vec<StepName>,
    },
    /// A message that is about no particular step.
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
        #[cfg_attr(test, ts(type = "string"))]
        started_at: DateTime<Utc>,
    },
    /// What an image name resolves to in this run.
    ImageResolved {
        step: String,
        image: String,
        digest: String,
    },
    /// What the step is doing before and after its command.
    StepPhase {
        step: String,
        message: String,
    },
    StepLog {
        step: String,
        lines: Vec<Line>,
    },
    /// Lines that are only in the log file.
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
    /// Files of the step have been copied to this machine.
    StepArtifacts {
        step: String,
        folder: String,
        files: u64,
        /// Not counting holes.
        bytes: u64,
    },
    /// The filesystem of a failed step is kept; `shell` is the command line that opens a shell in it.
    StepKept {
        step: String,
        shell: String,
    },
    RunEnd {
        outcome: RunOutcomeKind,
        exit_code: u8,
        duration_ms: u64,
    },
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct StepName {
    pub(crate) key: String,
    pub(crate) label: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct Line {
    pub(crate) stream: Stream,
    /// RFC 3339.
    #[cfg_attr(test, ts(type = "string"))]
    pub(crate) time: DateTime<Utc>,
    /// Without its line end and without control sequences other than colours and text style; secrets are masked.
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
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
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub(crate) enum RunOutcomeKind {
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
    EngineUnreachable,
}

impl RunEventKind {
    /// Converts an event of the engine, with what steps printed unchanged. `title` names the run.
    pub(crate) fn unfiltered(event: &BuildEvent, plan: &Plan, title: &str, log_dir: &Path) -> Self {
        match (event, Self::new(event, plan, title, log_dir)) {
            (BuildEvent::StepLog { lines, .. }, Self::StepLog { step, .. }) => {
                Self::StepLog { step, lines: lines.iter().map(|line| Line::new(line, line.text.to_string())).collect() }
            }
            (_, kind) => kind,
        }
    }

    /// Converts an event of the engine. `title` names the run.
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
                // A step on this machine is in no container, whatever its image is elsewhere.
                image: image
                    .clone()
                    .filter(|_| runners::find(runner).is_none_or(|runner| !runner.is_on_this_machine())),
                attempt: *attempt,
                started_at: *started_at,
            },
            BuildEvent::StepPhase { step, phase } => Self::StepPhase { step: key(*step), message: phase_text(phase) },
            BuildEvent::StepLog { step, lines } => {
                let line = |line: &LogLine| Line::new(line, terminal::without_commands(&line.text).into_owned());
                Self::StepLog { step: key(*step), lines: lines.iter().map(line).collect() }
            }
            BuildEvent::StepLogSkipped { step, lines } => {
                Self::StepLogSkipped { step: key(*step), lines: *lines, log_file: log(*step) }
            }
            BuildEvent::ImageResolved { step, image, digest } => {
                Self::ImageResolved { step: key(*step), image: image.clone(), digest: digest.clone() }
            }
            BuildEvent::StepArtifacts { step, folder, files, bytes } => Self::StepArtifacts {
                step: key(*step),
                folder: folder.to_string_lossy().into_owned(),
                files: *files,
                bytes: *bytes,
            },
            BuildEvent::StepKept { step, shell } => {
                Self::StepKept { step: key(*step), shell: present::startable(shell) }
            }
            BuildEvent::StepCacheHit { step, key: cache_key } => {
                Self::StepPhase { step: key(*step), message: format!("found in the cache as {cache_key}") }
            }
            BuildEvent::StepEnd { step, outcome, duration, .. } => Self::StepEnd {
                step: key(*step),
                outcome: OutcomeKind::new(outcome),
                exit_code: outcome.exit_code(),
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
    fn new(line: &LogLine, text: String) -> Self {
        let stream = match line.stream {
            StdStream::Stdout => Stream::Stdout,
            StdStream::Stderr => Stream::Stderr,
        };
        Self { stream, time: line.time, text }
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

/// Returns in a few words what a step is doing.
pub(crate) fn phase_text(phase: &Phase) -> String {
    match phase {
        Phase::Pulling { image, done_bytes, layers_done, layers, .. } => {
            format!("pulling {image}: {}, {layers_done}/{layers} layers", present::bytes(*done_bytes))
        }
        Phase::SendingSources { files, bytes } => format!("sending {files} files, {}", present::bytes(*bytes)),
        Phase::WaitingForServices { services } => format!("waiting for {}", services.join(", ")),
        Phase::Running => "running".to_owned(),
        Phase::Snapshotting => "saving a snapshot".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    /// One event of each kind, as the engine has it.
    fn events() -> Vec<BuildEvent> {
        let time = DateTime::UNIX_EPOCH;
        let line = LogLine { stream: StdStream::Stderr, time, text: "src/main.rs:10:5: error".into() };
        let phase = Phase::Pulling {
            image: "alpine:3".to_owned(),
            done_bytes: 3_100_000,
            total_bytes: 0,
            layers_done: 1,
            layers: 2,
        };
        let second = Duration::from_secs(1);
        vec![
            BuildEvent::BuildStart {
                run_id: Uuid::nil(),
                started_at: time,
                step_count: 1,
                runner: "docker".to_owned(),
            },
            BuildEvent::Notice { message: "Sources: 1 file, 108 bytes.".to_owned() },
            BuildEvent::StepQueued { step: 0 },
            BuildEvent::StepStart {
                step: 0,
                started_at: time,
                runner: "docker".to_owned(),
                image: Some("alpine:3".to_owned()),
                attempt: 1,
            },
            BuildEvent::ImageResolved {
                step: 0,
                image: "alpine:3".to_owned(),
                digest: format!("alpine@sha256:{}", "0".repeat(64)),
            },
            BuildEvent::StepPhase { step: 0, phase },
            BuildEvent::StepLog { step: 0, lines: vec![line.clone()] },
            BuildEvent::StepLogSkipped { step: 0, lines: 12_345 },
            BuildEvent::StepEnd { step: 0, outcome: Outcome::Failed(3), duration: second, tail: vec![line] },
            BuildEvent::StepEnd {
                step: 0,
                outcome: Outcome::Skipped("Needs `a`, which failed.".to_owned()),
                duration: Duration::ZERO,
                tail: Vec::new(),
            },
            BuildEvent::StepArtifacts { step: 0, folder: "/logs/artifacts/build".into(), files: 2, bytes: 3_100_000 },
            BuildEvent::StepKept { step: 0, shell: "docker run --rm -it --entrypoint sh sha256:0".to_owned() },
            BuildEvent::BuildEnd { outcome: RunOutcome::Failed, duration: second },
        ]
    }

    #[test]
    fn the_samples_in_the_repository_are_what_is_sent() {
        let text = r"name: ci
steps:
  - key: build
    label: Build it
    cmd: make
    image: alpine:3
";
        let analysis = pipelens_core::analyze(text, pipelens_core::Format::Yaml);
        let plan = pipelens_core::plan::plan(&analysis, 0, &pipelens_core::plan::Target::Pipeline, "ci").unwrap();
        let sample = |event: &BuildEvent| {
            let kind = RunEventKind::new(event, &plan, "ci", Path::new("/logs"));
            let uri = Some("file:///project/pipeline.yml".to_owned());
            let event = RunEvent { version: VERSION, run_id: Uuid::nil(), uri, kind };
            serde_json::to_string(&event).unwrap() + "\n"
        };
        let samples: String = events().iter().map(sample).collect();
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/protocol/run-event.jsonl");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&file, &samples).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            samples,
            "a wire type changed; is the version still right?"
        );
    }
}

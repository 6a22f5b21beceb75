//! Everything that leaves the engine. Does not know the listener, which may be an editor, a terminal or a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// One fact about a run. Steps are named by their index in the plan.
#[derive(Debug, Clone)]
pub enum BuildEvent {
    BuildStart {
        run_id: Uuid,
        started_at: DateTime<Utc>,
        step_count: usize,
        runner: String,
    },
    /// One sentence that is not about a particular step: what was sent, which leftovers were removed, what could not be removed.
    Notice {
        message: String,
    },
    /// The step is ready but has no permit yet.
    StepQueued {
        step: usize,
    },
    StepStart {
        step: usize,
        started_at: DateTime<Utc>,
        runner: String,
        image: Option<String>,
        attempt: u64,
    },
    /// What an image's name resolves to; reported by the first step of a run that needs it.
    ImageResolved {
        step: usize,
        image: String,
        /// `repository@sha256:…`, or the image's id if it comes from no registry. Either can be used in a pipeline.
        digest: String,
    },
    /// What a step does before its command runs, such as pulling an image or sending the sources.
    StepPhase {
        step: usize,
        phase: Phase,
    },
    /// Complete lines, in order within each stream.
    StepLog {
        step: usize,
        lines: Vec<LogLine>,
    },
    /// The listener was slower than the step, so these lines are only in the log file.
    StepLogSkipped {
        step: usize,
        lines: u64,
    },
    StepCacheHit {
        step: usize,
        key: String,
    },
    /// Exactly one for each step of the plan, skipped steps included.
    StepEnd {
        step: usize,
        outcome: Outcome,
        duration: Duration,
        /// The last lines of output, to be shown with a failure.
        tail: Vec<LogLine>,
    },
    /// Files of the step have been copied to this machine.
    StepArtifacts {
        step: usize,
        folder: PathBuf,
        files: u64,
        /// Not counting holes.
        bytes: u64,
    },
    /// The state of a failed step is kept: the command line that opens a shell in it.
    StepKept {
        step: usize,
        shell: String,
    },
    /// Exactly one; always the last event.
    BuildEnd {
        outcome: RunOutcome,
        duration: Duration,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StdStream {
    Stdout,
    Stderr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub stream: StdStream,
    pub time: DateTime<Utc>,
    /// Without its line end, and as a terminal finally shows it. Control sequences are kept: whoever shows it decides which of them to
    /// obey. Secrets are masked.
    pub text: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Bytes and layers: a total is unknown until every layer has started.
    Pulling {
        image: String,
        done_bytes: u64,
        total_bytes: u64,
        layers_done: usize,
        layers: usize,
    },
    SendingSources {
        files: u64,
        bytes: u64,
    },
    /// The services run; the step's command starts when all of them are ready.
    WaitingForServices {
        services: Vec<String>,
    },
    /// Its command has started.
    Running,
    Snapshotting,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    /// Taken from an earlier run.
    Cached,
    /// The command's exit code, never 0.
    Failed(i64),
    TimedOut,
    Cancelled,
    /// Never started; the sentence says which step blocked it.
    Skipped(String),
    /// It could not be run; the sentence says why and what to do.
    Errored(String),
}

/// How a run ended. In order of precedence: timed out, cancelled, failed, succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunOutcome {
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
    /// No engine answered; nothing ran.
    EngineUnreachable,
}

impl Outcome {
    /// Returns the word a machine reads.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Cached => "cached",
            Self::Failed(_) => "failed",
            Self::TimedOut => "timedOut",
            Self::Cancelled => "cancelled",
            Self::Skipped(_) => "skipped",
            Self::Errored(_) => "errored",
        }
    }

    /// Returns the exit code of the step's command, if it ended with one. That of a cached step was 0.
    pub fn exit_code(&self) -> Option<i64> {
        match self {
            Self::Succeeded | Self::Cached => Some(0),
            Self::Failed(code) => Some(*code),
            Self::TimedOut | Self::Cancelled | Self::Skipped(_) | Self::Errored(_) => None,
        }
    }
}

impl RunOutcome {
    /// Returns the word a machine reads.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timedOut",
            Self::EngineUnreachable => "engineUnreachable",
        }
    }

    /// Returns the exit code for the command line.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => 1,
            Self::EngineUnreachable => 4,
            Self::TimedOut => 124,
            Self::Cancelled => 130,
        }
    }
}

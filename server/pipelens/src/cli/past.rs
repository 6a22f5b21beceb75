//! The runs of a project that are remembered: which one the command line refers to, and how each step ended last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use pipelens_engine::clock;
use pipelens_engine::run::{PastRun, history};

use crate::project;

/// The remembered runs of a project, newest first.
pub(super) struct Past {
    pub(super) runs: Vec<PastRun>,
    state_dir: PathBuf,
}

impl Past {
    pub(super) fn of(root: &Path) -> anyhow::Result<Self> {
        let state_dir = project::state_dir()?;
        let runs = history(&state_dir, root).map_err(|error| anyhow::Error::msg(error.sentence()))?;
        Ok(Self { runs, state_dir })
    }

    /// Returns the run with this id, or with an id that begins so, or the one with this number, counted from the newest, which is 1.
    pub(super) fn find(&self, wanted: &str) -> anyhow::Result<Option<&PastRun>> {
        if let Some(number) = number(wanted) {
            return Ok(number.checked_sub(1).and_then(|index| self.runs.get(index)));
        }
        if wanted.len() < SHORTEST_ID {
            return Ok(None);
        }
        let mut found = self.runs.iter().filter(|run| run.run_id.starts_with(wanted));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => {
                bail!("Several runs have an id that begins with `{wanted}`; `pipelens list --runs` shows all ids")
            }
            (found, _) => Ok(found),
        }
    }

    /// Returns the folder with the logs of a run, which may be gone.
    pub(super) fn log_dir(&self, run: &PastRun) -> PathBuf {
        self.state_dir.join("runs").join(&run.run_id)
    }

    /// Returns how each step of a pipeline ended when it ran last, and when that run started, by the step's key.
    pub(super) fn last(&self, pipeline: &str) -> BTreeMap<&str, (&str, i64)> {
        let mut last = BTreeMap::new();
        for run in self.runs.iter().filter(|run| run.pipeline == pipeline) {
            for step in &run.steps {
                last.entry(step.key.as_str()).or_insert((step.outcome.as_str(), run.started_at));
            }
        }
        last
    }
}

/// A shorter word is more likely the key of a step.
const SHORTEST_ID: usize = 4;

/// Reads a number of at most three digits. Ids are longer.
fn number(wanted: &str) -> Option<usize> {
    wanted.parse().ok().filter(|_| wanted.len() <= 3 && !wanted.starts_with('+'))
}

/// Returns `12 s ago`, `3 min ago`, `2 h ago`, `5 days ago`.
pub(super) fn ago(started_at: i64) -> String {
    let now = clock::since_epoch();
    let seconds = now.saturating_sub(Duration::from_secs(u64::try_from(started_at).unwrap_or_default())).as_secs();
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Returns the outcome of a step or a run in the words a person reads.
pub(super) fn words(outcome: &str) -> &str {
    match outcome {
        "succeeded" => "✓ succeeded",
        "cached" => "✓ cached",
        "failed" => "✗ failed",
        "timedOut" => "⧖ timed out",
        "cancelled" => "■ cancelled",
        "skipped" => "⊘ skipped",
        "errored" => "✗ could not run",
        "engineUnreachable" => "✗ no container engine",
        other => other,
    }
}

/// Whether a step that ended so has to run again.
pub(super) fn is_failure(outcome: &str) -> bool {
    !matches!(outcome, "succeeded" | "cached")
}

//! Whose problems are shown for each step: those of the newest run in which it has started.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::lsp::findings::store::Source;

/// A step of a pipeline, whichever run it is part of: the file, the pipeline, the key.
type StepId = (String, usize, String);

/// Which run's problems are shown for each step.
#[derive(Debug, Default)]
pub(crate) struct ShownProblems(Mutex<BTreeMap<StepId, Source>>);

impl ShownProblems {
    /// Remembers whose problems are shown for a step; returns whose are not any more.
    pub(super) fn replace(&self, step: StepId, by: Source) -> Option<Source> {
        self.0.lock().insert(step, by)
    }

    /// Forgets a run, and returns what it shows.
    pub(crate) fn forget(&self, run: Uuid) -> Vec<Source> {
        let mut gone = Vec::new();
        self.0.lock().retain(|_, source| {
            let is_its = matches!(source, Source::Problems { run: own, .. } if *own == run);
            if is_its {
                gone.push(*source);
            }
            !is_its
        });
        gone
    }
}

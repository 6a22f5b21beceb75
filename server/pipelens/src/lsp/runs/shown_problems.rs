//! Whose problems are shown for each step: those of the newest run in which it has started.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::lsp::findings::store::Source;

/// A step of a pipeline, whichever run it is part of: the file, the pipeline, the key.
pub(super) type StepId = (String, usize, String);

/// The problems of another run are shown, which is not older.
#[derive(Debug)]
pub(super) struct IsNewer;

/// Which run's problems are shown for each step.
#[derive(Debug, Default)]
pub(crate) struct ShownProblems(Mutex<BTreeMap<StepId, Source>>);

impl ShownProblems {
    /// Remembers whose problems are shown for a step; returns whose are not any more.
    pub(super) fn replace(&self, step: StepId, by: Source) -> Option<Source> {
        self.0.lock().insert(step, by)
    }

    /// Remembers that a run that was recorded shows the problems of a step, and returns whose are not shown any more. Returns an error if they are
    /// those of this run or a newer one: the ids of runs are in the order in which they began.
    pub(super) fn offer(&self, step: StepId, run: Uuid, by: Source) -> Result<Option<Source>, IsNewer> {
        let mut shown = self.0.lock();
        match shown.get(&step) {
            Some(Source::Problems { run: own, .. }) if *own >= run => Err(IsNewer),
            Some(_) | None => Ok(shown.insert(step, by)),
        }
    }

    /// Whether the problems of a step are those of this source.
    pub(super) fn shows(&self, step: &StepId, source: Source) -> bool {
        self.0.lock().get(step) == Some(&source)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_run_shows_the_problems_of_a_step_unless_a_newer_one_does() {
        let shown = ShownProblems::default();
        let step = || ("file:///ci.yml".to_owned(), 0, "a".to_owned());
        let (old, new) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let by = |run| Source::Problems { run, step: 0 };
        assert_eq!(shown.offer(step(), old, by(old)).unwrap(), None);
        assert!(shown.offer(step(), old, by(old)).is_err());
        assert_eq!(shown.offer(step(), new, by(new)).unwrap(), Some(by(old)));
        assert!(shown.offer(step(), old, by(old)).is_err());
        assert!(shown.shows(&step(), by(new)) && !shown.shows(&step(), by(old)));
    }
}

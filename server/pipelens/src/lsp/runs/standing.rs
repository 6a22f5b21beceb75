//! Where a pipeline stands after runs of some of its steps: the newest result of every step, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lsp_types::Uri;
use pipelens_core::plan::PlanStep;
use pipelens_engine::event::Outcome;
use uuid::Uuid;

use super::registry::Registry;
use super::run::{Run, StepView};

/// The newest results of a pipeline's steps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) steps: usize,
    /// The first step that failed, with its run.
    pub(crate) first_failure: Option<(Uuid, String)>,
}

/// Returns the newest state of each of these steps, with its run.
pub(crate) fn newest(
    registry: &Registry,
    uri: &Uri,
    pipeline: usize,
    keys: &[&str],
) -> Vec<Option<(Arc<Run>, StepView)>> {
    let places: BTreeMap<&str, usize> = keys.iter().enumerate().map(|(index, key)| (*key, index)).collect();
    let mut found = vec![None; keys.len()];
    each_newest(registry, uri, pipeline, keys.iter().copied().collect(), |run, step, view| {
        let place = places.get(step.key.as_str()).and_then(|index| found.get_mut(*index));
        if let Some(place) = place {
            *place = Some((run.clone(), view.clone()));
        }
    });
    found
}

/// Counts the newest results of the steps with these keys. A step that was skipped or cancelled since has none.
pub(crate) fn standing<'a>(
    registry: &Registry,
    uri: &Uri,
    pipeline: usize,
    keys: impl Iterator<Item = &'a str>,
) -> Standing {
    let keys: BTreeSet<&str> = keys.collect();
    let mut standing = Standing { steps: keys.len(), ..Standing::default() };
    each_newest(registry, uri, pipeline, keys, |run, step, view| match result(view, step.soft_fail) {
        Some(Passed(true)) => standing.passed += 1,
        Some(Passed(false)) => {
            standing.failed += 1;
            standing.first_failure.get_or_insert_with(|| (run.id, step.key.clone()));
        }
        None => {}
    });
    standing
}

/// Passes on the newest state of each of these steps, those of the newest run first.
fn each_newest(
    registry: &Registry,
    uri: &Uri,
    pipeline: usize,
    mut left: BTreeSet<&str>,
    mut see: impl FnMut(&Arc<Run>, &PlanStep, &StepView),
) {
    for run in registry.newest_first().iter().filter(|run| run.is_of(uri, pipeline)) {
        if left.is_empty() {
            return;
        }
        run.each_step(|step, view| {
            if left.remove(step.key.as_str()) {
                see(run, step, view);
            }
        });
    }
}

struct Passed(bool);

/// Returns whether a step did what it should, if it was run to its end.
fn result(view: &StepView, is_forgiven: bool) -> Option<Passed> {
    let StepView::Done { outcome, .. } = view else { return None };
    match outcome {
        Outcome::Succeeded | Outcome::Cached => Some(Passed(true)),
        Outcome::Failed(_) | Outcome::TimedOut => Some(Passed(is_forgiven)),
        Outcome::Errored(_) => Some(Passed(false)),
        Outcome::Cancelled | Outcome::Skipped(_) => None,
    }
}

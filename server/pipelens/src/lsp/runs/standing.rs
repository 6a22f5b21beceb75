//! Where a pipeline stands after runs of some of its steps: the newest result of every step, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pipelens_core::plan::PlanStep;
use pipelens_engine::event::Outcome;
use uuid::Uuid;

use super::registry::Registry;
use super::run::{Run, StepView};
use crate::lsp::session::documents::Document;

/// The newest results of a pipeline's steps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) steps: usize,
    /// The first step that failed, with its run.
    pub(crate) first_failure: Option<(Uuid, String)>,
}

/// Returns the newest state of each of these steps, with its run. A step that has been edited since has none.
pub(crate) fn newest(
    registry: &Registry,
    document: &Document,
    pipeline: usize,
    keys: &[&str],
) -> Vec<Option<(Arc<Run>, StepView)>> {
    let places: BTreeMap<&str, usize> = keys.iter().enumerate().map(|(index, key)| (*key, index)).collect();
    let mut found = vec![None; keys.len()];
    each_newest(registry, document, pipeline, keys.iter().copied().collect(), |run, step, view| {
        let place = places.get(step.key.as_str()).and_then(|index| found.get_mut(*index));
        if let Some(place) = place {
            *place = Some((run.clone(), view.clone()));
        }
    });
    found
}

/// Counts the newest results of the steps with these keys. A step that was skipped, cancelled or edited since has none.
pub(crate) fn standing<'a>(
    registry: &Registry,
    document: &Document,
    pipeline: usize,
    keys: impl Iterator<Item = &'a str>,
) -> Standing {
    let keys: BTreeSet<&str> = keys.collect();
    let mut standing = Standing { steps: keys.len(), ..Standing::default() };
    each_newest(registry, document, pipeline, keys, |run, step, view| match result(view, step.soft_fail) {
        Some(Passed(true)) => standing.passed += 1,
        Some(Passed(false)) => {
            standing.failed += 1;
            standing.first_failure.get_or_insert_with(|| (run.id, step.key.clone()));
        }
        None => {}
    });
    standing
}

/// Returns the newest run of a step, with the step's state in it; `None` also if the step has been edited since.
pub(crate) fn of_step(
    registry: &Registry,
    document: &Document,
    pipeline: usize,
    key: &str,
) -> Option<(Arc<Run>, StepView)> {
    let (run, view, ran) = registry.of_step(&document.uri, pipeline, key)?;
    let is_outdated = run.is_outdated(&view, ran, document.would_run(pipeline, key));
    (!is_outdated).then_some((run, view))
}

/// Whether a pipeline still consists of what a run of all of it ran.
pub(crate) fn is_as_it_ran(run: &Run, document: &Document, keys: &[&str]) -> bool {
    let mut is_current = run.plan.steps.len() == keys.len() || !run.is_remembered;
    run.each_step(|step, view, ran| {
        is_current &= !run.is_outdated(view, ran, document.would_run(run.pipeline, &step.key));
    });
    is_current
}

/// Passes on the newest state of each of these steps, those of the newest run first.
fn each_newest(
    registry: &Registry,
    document: &Document,
    pipeline: usize,
    mut left: BTreeSet<&str>,
    mut see: impl FnMut(&Arc<Run>, &PlanStep, &StepView),
) {
    for run in registry.newest_first().iter().filter(|run| run.is_of(&document.uri, pipeline)) {
        if left.is_empty() {
            return;
        }
        run.each_step(|step, view, ran| {
            let is_newest = left.remove(step.key.as_str());
            if is_newest && !run.is_outdated(view, ran, document.would_run(pipeline, &step.key)) {
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

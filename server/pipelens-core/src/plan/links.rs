//! What each step of a pipeline waits for, by position. Tolerates everything: what cannot be resolved is no link.

use std::collections::HashMap;

use super::Dependency;
use crate::model::Pipeline;

/// The connections of a pipeline's steps; every number is a position in `Pipeline::steps`.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// The step each step boots from.
    pub(crate) parents: Vec<Option<usize>>,
    /// What each step names in `depends_on`.
    pub(crate) named: Vec<Vec<usize>>,
    /// What each step waits for because of a barrier.
    pub(crate) barriers: Vec<Option<Segment>>,
}

/// The steps between two barriers, as seen from behind the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) must_succeed: bool,
}

/// Returns the position of each key; of two equal keys, the first.
pub(crate) fn positions(pipeline: &Pipeline) -> HashMap<&str, usize> {
    let mut positions = HashMap::with_capacity(pipeline.steps.len());
    for (position, step) in pipeline.steps.iter().enumerate() {
        positions.entry(step.key.value.as_str()).or_insert(position);
    }
    positions
}

impl Links {
    pub(crate) fn new(pipeline: &Pipeline) -> Self {
        let positions = positions(pipeline);
        let position = |key: &str| positions.get(key).copied();
        Self {
            parents: pipeline.steps.iter().map(|step| position(&step.builds_in.as_ref()?.value)).collect(),
            named: pipeline
                .steps
                .iter()
                .map(|step| step.depends_on.iter().filter_map(|name| position(&name.value)).collect())
                .collect(),
            barriers: segments(pipeline),
        }
    }

    /// Returns everything a step waits for, sorted, each once.
    pub(crate) fn dependencies(&self, step: usize) -> Vec<Dependency> {
        let mut result: Vec<Dependency> = Vec::new();
        let parent = self.parents.get(step).copied().flatten();
        let named = self.named.get(step).into_iter().flatten().copied();
        result.extend(parent.into_iter().chain(named).map(|step| Dependency { step, must_succeed: true }));
        if let Some(segment) = self.barriers.get(step).copied().flatten() {
            let waited = segment.start..segment.end;
            result.extend(waited.map(|step| Dependency { step, must_succeed: segment.must_succeed }));
        }
        // `true` sorts first, so the stricter of two equal steps is the one that stays.
        result.sort_by_key(|dependency| (dependency.step, !dependency.must_succeed));
        result.dedup_by_key(|dependency| dependency.step);
        result
    }

    /// Tells whether a step waits for another, by whatever way.
    pub(crate) fn waits_for(&self, step: usize, other: usize) -> bool {
        let mut seen = vec![false; self.parents.len()];
        let mut open = vec![step];
        while let Some(step) = open.pop() {
            if step == other {
                return true;
            }
            if seen.get_mut(step).is_some_and(|seen| !std::mem::replace(seen, true)) {
                open.extend(self.dependencies(step).into_iter().map(|dependency| dependency.step));
            }
        }
        false
    }

    /// Tells for each step whether any other waits for it.
    pub(crate) fn has_dependants(&self) -> Vec<bool> {
        let mut result = vec![false; self.parents.len()];
        let named = self.named.iter().flatten().copied();
        for step in self.parents.iter().flatten().copied().chain(named) {
            if let Some(flag) = result.get_mut(step) {
                *flag = true;
            }
        }
        let mut seen = None;
        for segment in self.barriers.iter().flatten() {
            // Neighbours share their segment: once is enough.
            if seen.replace(segment.start) != Some(segment.start) {
                result.iter_mut().take(segment.end).skip(segment.start).for_each(|flag| *flag = true);
            }
        }
        result
    }
}

/// Returns the nearest non-empty segment before each step. What stands before that one is waited for through it.
fn segments(pipeline: &Pipeline) -> Vec<Option<Segment>> {
    let mut result = Vec::with_capacity(pipeline.steps.len());
    let mut barriers = pipeline.barriers.iter().peekable();
    let mut current: Option<Segment> = None;
    let mut start = 0;
    for step in 0..pipeline.steps.len() {
        while let Some(barrier) = barriers.next_if(|barrier| barrier.after_steps <= step) {
            if barrier.after_steps > start {
                current = Some(Segment { start, end: barrier.after_steps, must_succeed: true });
                start = barrier.after_steps;
            }
            if let (true, Some(segment)) = (barrier.continue_on_failure, current.as_mut()) {
                segment.must_succeed = false;
            }
        }
        result.push(current);
    }
    result
}

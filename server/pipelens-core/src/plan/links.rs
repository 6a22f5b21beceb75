//! What each step of a pipeline waits for, by position. Tolerates everything: a name that cannot be resolved gives no link.

use std::collections::{HashMap, HashSet};

use super::names::Names;
use crate::model::Pipeline;
use crate::text::Spanned;

/// A thousand steps that wait for a thousand others: ten times the largest ever seen.
pub(crate) const MAX_CONNECTIONS: usize = 1_000_000;

/// Something a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    pub step: usize,
    /// `false` after a `wait` with `continue_on_failure`: any outcome will do.
    pub must_succeed: bool,
}

/// The connections of a pipeline's steps; every number is a position in `Pipeline::steps`.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// The step each step builds in.
    pub(crate) parents: Vec<Option<usize>>,
    /// What each step names in `depends_on` and `needs_artifacts`.
    pub(crate) named: Vec<Vec<usize>>,
    /// The steps whose artifacts a step gets, for each that gets some.
    pub(crate) providers: HashMap<usize, Vec<usize>>,
    /// What each step waits for because of a barrier.
    pub(crate) barriers: Vec<Option<Segment>>,
}

/// The steps between two barriers, as seen from a step after the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) must_succeed: bool,
}

impl Links {
    pub(crate) fn new(pipeline: &Pipeline) -> Self {
        let names = Names::new(pipeline);
        let position = |key: &str| names.get(key);
        let found = |names: &[Spanned<String>]| -> Vec<usize> {
            names.iter().filter_map(|name| position(&name.value)).collect()
        };
        let getting = pipeline.steps.iter().enumerate().filter(|(_, step)| !step.needs_artifacts.is_empty());
        let providers: HashMap<usize, Vec<usize>> =
            getting.map(|(index, step)| (index, found(&step.needs_artifacts))).collect();
        let mut named: Vec<Vec<usize>> = pipeline.steps.iter().map(|step| found(&step.depends_on)).collect();
        for (step, providers) in &providers {
            if let Some(named) = named.get_mut(*step) {
                named.extend(providers);
            }
        }
        Self {
            parents: pipeline.steps.iter().map(|step| position(&step.builds_in.as_ref()?.value)).collect(),
            named,
            providers,
            barriers: segments(pipeline),
        }
    }

    /// Returns what each step waits for because of a barrier.
    pub(crate) fn barriers(pipeline: &Pipeline) -> Vec<Option<Segment>> {
        segments(pipeline)
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

    /// Returns the oldest ancestor of a step. If parents form a cycle, that is any of them.
    pub(crate) fn root(&self, step: usize) -> usize {
        let mut seen = HashSet::new();
        let mut root = step;
        while let Some(parent) = self.parents.get(root).copied().flatten().filter(|parent| seen.insert(*parent)) {
            root = parent;
        }
        root
    }

    /// Returns the oldest ancestor of each step. If parents form a cycle, that is any of them.
    pub(crate) fn roots(&self) -> Vec<usize> {
        let mut roots: Vec<Option<usize>> = vec![None; self.parents.len()];
        for step in 0..roots.len() {
            let mut line = vec![step];
            let mut seen = HashSet::new();
            let mut last = step;
            let root = loop {
                if let Some(root) = roots.get(last).copied().flatten() {
                    break root;
                }
                match self.parents.get(last).copied().flatten().filter(|parent| seen.insert(*parent)) {
                    Some(parent) => {
                        line.push(parent);
                        last = parent;
                    }
                    None => break last,
                }
            };
            for step in line {
                if let Some(known) = roots.get_mut(step) {
                    *known = Some(root);
                }
            }
        }
        roots.into_iter().enumerate().map(|(step, root)| root.unwrap_or(step)).collect()
    }

    /// Tells whether a step waits for another, directly or not.
    pub(crate) fn waits_for(&self, step: usize, other: usize) -> bool {
        let mut seen = vec![false; self.parents.len()];
        // Steps after the same barrier wait for the same steps: once is enough.
        let mut seen_segments = HashSet::new();
        let mut open = vec![step];
        while let Some(step) = open.pop() {
            if step == other {
                return true;
            }
            if seen.get_mut(step).is_some_and(|seen| !std::mem::replace(seen, true)) {
                open.extend(self.parents.get(step).copied().flatten());
                open.extend(self.named.get(step).into_iter().flatten().copied());
                let segment = self.barriers.get(step).copied().flatten();
                if let Some(segment) = segment.filter(|segment| seen_segments.insert(segment.start)) {
                    open.extend(segment.start..segment.end);
                }
            }
        }
        false
    }

    /// Tells whether a step waits for another directly, not through a third.
    pub(crate) fn needs(&self, step: usize, other: usize) -> bool {
        let segment = self.barriers.get(step).copied().flatten();
        self.parents.get(step).copied().flatten() == Some(other)
            || self.named.get(step).is_some_and(|named| named.contains(&other))
            || segment.is_some_and(|segment| (segment.start..segment.end).contains(&other))
    }

    /// Returns how many connections there are once every barrier is written out.
    pub(crate) fn count(&self) -> usize {
        let named: usize = self.named.iter().map(Vec::len).sum();
        let segments = self.barriers.iter().flatten().map(|segment| segment.end - segment.start);
        segments.fold(named + self.parents.len(), usize::saturating_add)
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

/// Returns the nearest non-empty segment before each step. What comes before that segment is waited for through it.
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

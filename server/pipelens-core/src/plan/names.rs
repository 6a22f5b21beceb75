//! The names by which steps can be referred to.

use std::collections::HashMap;

use crate::model::{Combination, Pipeline};

/// The position of each step by its key, and of each combination of a matrix by its own.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    steps: HashMap<&'a str, usize>,
    combinations: HashMap<&'a str, (usize, &'a Combination)>,
}

impl<'a> Names<'a> {
    /// Of two equal keys, the first counts.
    pub(crate) fn new(pipeline: &'a Pipeline) -> Self {
        let mut steps = HashMap::with_capacity(pipeline.steps.len());
        let mut combinations = HashMap::new();
        for (position, step) in pipeline.steps.iter().enumerate() {
            steps.entry(step.key.value.as_str()).or_insert(position);
            for combination in step.combinations() {
                combinations.entry(combination.key.as_str()).or_insert((position, combination));
            }
        }
        Self { steps, combinations }
    }

    /// Returns the position of the step that is named, by its own key or that of one of its combinations.
    pub(crate) fn get(&self, name: &str) -> Option<usize> {
        let step = self.steps.get(name).copied();
        step.or_else(|| self.combination(name).map(|(position, _)| position))
    }

    /// Returns the combination that is named, with the position of its step.
    pub(crate) fn combination(&self, name: &str) -> Option<(usize, &'a Combination)> {
        if self.combinations.is_empty() || self.steps.contains_key(name) {
            return None;
        }
        self.combinations.get(name).copied()
    }
}

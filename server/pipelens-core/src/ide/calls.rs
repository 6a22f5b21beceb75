//! The graph as a call hierarchy: a step calls what it needs, and is called by what needs it.

use super::names::step_at;
use super::outline::{Symbol, step_symbol};
use crate::analysis::Analysis;
use crate::model::Pipeline;
use crate::plan::links::Links;
use crate::text::TextRange;

/// A step at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub step: Symbol,
    /// Where the connection is written, in the step that needs the other.
    pub places: Vec<TextRange>,
}

/// Returns the step that is defined or named at an offset.
pub fn call_item(analysis: &Analysis, offset: usize) -> Option<Symbol> {
    let (pipeline, position, _) = step_at(analysis, offset)?;
    pipeline.steps.get(position).map(step_symbol)
}

/// Returns the steps that wait for the one at an offset.
pub fn incoming_calls(analysis: &Analysis, offset: usize) -> Vec<Call> {
    let Some((pipeline, position, _)) = step_at(analysis, offset) else { return Vec::new() };
    let links = Links::new(pipeline);
    let waiting = (0..pipeline.steps.len()).filter(|step| links.needs(*step, position));
    waiting.filter_map(|step| call(pipeline, step, step, position)).collect()
}

/// Returns the steps that the one at an offset waits for.
pub fn outgoing_calls(analysis: &Analysis, offset: usize) -> Vec<Call> {
    let Some((pipeline, position, _)) = step_at(analysis, offset) else { return Vec::new() };
    let needed = Links::new(pipeline).dependencies(position);
    needed.iter().filter_map(|needed| call(pipeline, needed.step, position, needed.step)).collect()
}

/// Describes `shown`, with the places in `waiting` that name `needed`; or the barrier, if that is why the step waits.
fn call(pipeline: &Pipeline, shown: usize, waiting: usize, needed: usize) -> Option<Call> {
    let needed = pipeline.steps.get(needed)?;
    let step = pipeline.steps.get(waiting)?;
    let is_needed = |name: &str| {
        name == needed.key.value || needed.combinations().iter().any(|combination| combination.key == name)
    };
    let named = step.named_steps().filter(|name| is_needed(&name.value));
    let mut places: Vec<TextRange> = named.map(|name| name.range).collect();
    if places.is_empty() {
        let barrier = pipeline.barriers.iter().rfind(|barrier| barrier.after_steps <= waiting);
        places.push(barrier.map_or(step.key.range, |barrier| barrier.range));
    }
    Some(Call { step: step_symbol(pipeline.steps.get(shown)?), places })
}

//! How much the matrices of a pipeline add up to, counted before anything is expanded.

use crate::expand::references::{Match, matches};
use crate::model::{Pipeline, Step};
use crate::plan::links::{Links, MAX_CONNECTIONS};
use crate::plan::names::Names;

/// How much text the steps of all combinations may have: a hundred copies of a long script.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What a pipeline adds up to once every combination is a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) connections: usize,
    pub(crate) bytes: usize,
}

impl Size {
    pub(crate) fn is_too_large(self) -> bool {
        self.has_too_many_connections() || self.has_too_much_text()
    }

    pub(crate) fn has_too_many_connections(self) -> bool {
        self.connections > MAX_CONNECTIONS
    }

    pub(crate) fn has_too_much_text(self) -> bool {
        self.bytes > MAX_BYTES
    }
}

/// Counts the connections and the text of all combinations.
pub(crate) fn size(pipeline: &Pipeline) -> Size {
    let names = Names::new(pipeline);
    let counts: Vec<usize> = pipeline.steps.iter().map(count).collect();
    let mut size = Size { connections: 0, bytes: 0 };
    for (step, count) in pipeline.steps.iter().zip(&counts) {
        let named = step.named_steps().map(|name| match matches(pipeline, &names, step, &name.value) {
            Match::One | Match::Same => 1,
            Match::All => names.get(&name.value).and_then(|position| counts.get(position)).copied().unwrap_or(1),
        });
        size.connections = size.connections.saturating_add(named.sum::<usize>().saturating_mul(*count));
        if step.matrix.is_some() {
            size.bytes = size.bytes.saturating_add(bytes(step).saturating_mul(*count));
        }
    }
    let mut until = Vec::with_capacity(counts.len() + 1);
    until.push(0);
    until.extend(counts.iter().scan(0, |sum: &mut usize, count| {
        *sum += count;
        Some(*sum)
    }));
    let before = |position: usize| until.get(position).copied().unwrap_or_default();
    for (segment, count) in Links::barriers(pipeline).into_iter().zip(&counts) {
        let waited = segment.map_or(0, |segment| before(segment.end) - before(segment.start));
        size.connections = size.connections.saturating_add(waited.saturating_mul(*count));
    }
    size
}

fn count(step: &Step) -> usize {
    if step.matrix.is_some() { step.combinations().len() } else { 1 }
}

/// Returns roughly how much text a step has, apart from its matrix.
fn bytes(step: &Step) -> usize {
    let texts = step.cmd.iter().chain(&step.label).chain(&step.image).chain(&step.workdir).chain(step.named_steps());
    let texts = texts.chain(&step.artifacts).chain(&step.secrets).map(|text| text.value.len());
    let env = step.env.iter().map(|variable| variable.name.value.len() + variable.value.value.len());
    let values = step.matrix.iter().flat_map(|matrix| matrix.longest_values());
    // Whatever is written in `cache` and `runner_args` is in their place, or comes from an alias of limited size.
    let ranges = step.cache.iter().map(|cache| cache.range).chain(step.runner_args.iter().map(|args| args.range));
    texts.chain(env).chain(values).chain(ranges.map(|range| range.end - range.start)).fold(0, usize::saturating_add)
}

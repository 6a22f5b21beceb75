//! The places where a run can be started, and the file's outline.

use crate::analysis::Analysis;
use crate::model::{Combination, Pipeline, Step};
use crate::plan::links::Links;
use crate::printable::printable;
use crate::programs::stale::HEADING;
use crate::text::TextRange;

/// A place where something can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlace {
    /// The line to click on: a pipeline's heading, a step's first line.
    pub range: TextRange,
    /// Index into `Analysis::pipelines`.
    pub pipeline: usize,
    /// `None`: the whole pipeline.
    pub step: Option<String>,
    /// Whether other steps depend on this one, so that *run from here* is more than *run step*.
    pub has_dependants: bool,
    /// The combinations of the step's matrix, each of which can be run on its own.
    pub combinations: Vec<CombinationPlace>,
}

/// One combination of a step, as a place where it can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CombinationPlace {
    /// The first line of the matrix.
    pub range: TextRange,
    pub key: String,
    /// What tells it apart from the others: `1.90, alpine`.
    pub name: String,
}

/// Returns every place a run can be started at, in text order.
pub fn run_places(analysis: &Analysis) -> Vec<RunPlace> {
    let mut places = Vec::new();
    for (index, pipeline) in analysis.pipelines.iter().enumerate() {
        // What a program makes is known only when it runs.
        if pipeline.steps.is_empty() && analysis.language.is_none() {
            continue;
        }
        let whole = RunPlace {
            range: pipeline.heading,
            pipeline: index,
            step: None,
            has_dependants: false,
            combinations: Vec::new(),
        };
        places.extend(Some(whole).filter(|_| !analysis.unplaced.contains(&(index, HEADING))));
        let has_dependants = Links::new(pipeline).has_dependants();
        let steps = pipeline.steps.iter().zip(has_dependants).enumerate();
        let placed = steps.filter(|(position, _)| !analysis.unplaced.contains(&(index, *position)));
        places.extend(placed.map(|(_, (step, has_dependants))| RunPlace {
            range: first_line(analysis, step.range),
            pipeline: index,
            step: Some(step.key.value.clone()),
            has_dependants,
            combinations: combinations(analysis, step),
        }));
    }
    places.sort_by_key(|place| place.range.start);
    places
}

/// So many steps that one expression of a program has made are shown at it.
pub const SHOWN_AT_ONE_PLACE: usize = 8;

/// Returns the keys of the steps that the same expression of a program has made.
pub fn made_together<'a>(analysis: &'a Analysis, pipeline: usize, step: &str) -> Vec<&'a str> {
    let steps = analysis.pipelines.get(pipeline).map(|pipeline| pipeline.steps.as_slice()).unwrap_or_default();
    let place = steps.iter().find(|other| other.key.value == step).map(|step| step.range);
    let together = steps.iter().filter(|other| Some(other.range) == place);
    together.map(|step| step.key.value.as_str()).collect()
}

fn combinations(analysis: &Analysis, step: &Step) -> Vec<CombinationPlace> {
    let Some(matrix) = &step.matrix else { return Vec::new() };
    let range = if step.range.contains_range(matrix.range) { matrix.range } else { step.range };
    let range = first_line(analysis, range);
    let place = |combination: &Combination| CombinationPlace {
        range,
        key: combination.key.clone(),
        name: combination.name(&step.key.value).to_owned(),
    };
    matrix.combinations().iter().map(place).collect()
}

/// More combinations than this make an outline hard to read.
const MAX_OUTLINED: usize = 50;

/// One entry of a file's outline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    pub name: String,
    pub detail: String,
    pub range: TextRange,
    /// The part to select: the name itself.
    pub selection: TextRange,
    pub children: Vec<Symbol>,
}

/// Returns the outline: pipelines with their steps.
pub fn symbols(analysis: &Analysis) -> Vec<Symbol> {
    analysis.pipelines.iter().map(pipeline_symbol).collect()
}

fn pipeline_symbol(pipeline: &Pipeline) -> Symbol {
    let count = pipeline.steps.len();
    Symbol {
        name: pipeline.name.as_ref().map_or_else(|| "pipeline".to_owned(), |name| printable(&name.value).into_owned()),
        detail: if count == 1 { "1 step".to_owned() } else { format!("{count} steps") },
        range: pipeline.range.cover(pipeline.heading),
        selection: pipeline.name.as_ref().map_or(pipeline.heading, |name| name.range),
        children: pipeline.steps.iter().map(step_symbol).collect(),
    }
}

pub(super) fn step_symbol(step: &Step) -> Symbol {
    let is_inside = step.range.contains_range(step.key.range);
    Symbol {
        name: printable(&step.key.value).into_owned(),
        detail: printable(&first_words(step)).into_owned(),
        range: step.range,
        // The key of an aliased step is elsewhere; editors refuse a selection outside the range.
        selection: if is_inside { step.key.range } else { TextRange::at(step.range.start) },
        children: combination_symbols(step),
    }
}

fn combination_symbols(step: &Step) -> Vec<Symbol> {
    let Some(matrix) = &step.matrix else { return Vec::new() };
    let is_inside = step.range.contains_range(matrix.range);
    let range = if is_inside { matrix.range } else { TextRange::at(step.range.start) };
    let symbol = |combination: &Combination| Symbol {
        name: printable(&combination.key).into_owned(),
        detail: String::new(),
        range,
        selection: range,
        children: Vec::new(),
    };
    matrix.combinations().iter().take(MAX_OUTLINED).map(symbol).collect()
}

/// Returns the label, or else the first line of the command.
pub(crate) fn first_words(step: &Step) -> String {
    let label = step.label.as_ref().map(|label| label.value.trim()).filter(|label| !label.is_empty());
    let cmd = step.cmd.as_ref().map(|cmd| cmd.value.trim());
    label.or(cmd).and_then(|text| text.lines().next()).unwrap_or_default().to_owned()
}

pub(super) fn first_line(analysis: &Analysis, range: TextRange) -> TextRange {
    let line = analysis.line_index.line_range(analysis.line_index.line(range.start));
    let content = line.of(&analysis.text).trim_end();
    TextRange::new(range.start, range.end.min(line.start + content.len()))
}

//! What an editor asks about a text, in the core's own words.

use crate::Analysis;
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
}

/// Returns every place a run can be started at, in text order.
pub fn run_places(_analysis: &Analysis) -> Vec<RunPlace> {
    Vec::new()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hover {
    pub range: TextRange,
    /// Markdown.
    pub text: String,
}

/// Returns what there is to say about the key, step or reference at an offset.
pub fn hover(_analysis: &Analysis, _offset: usize) -> Option<Hover> {
    None
}

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
pub fn symbols(_analysis: &Analysis) -> Vec<Symbol> {
    Vec::new()
}

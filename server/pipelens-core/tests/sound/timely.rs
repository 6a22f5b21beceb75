//! How long each answer takes for the text; the fuzz target decides what is too long.

use std::time::Duration;

use pipelens_core::{Format, analyze};

use super::asks::ASKS;
use super::processor::cost;

pub(crate) struct Slow {
    pub(crate) what: &'static str,
    pub(crate) took: Duration,
}

/// Repeats the middle part, numbered where it has a `#`, until the text has so many bytes.
pub(crate) fn repeated((start, part, end): (&str, &str, &str), bytes: usize) -> String {
    let mut text = start.to_owned();
    let mut count = 0;
    while !part.is_empty() && text.len() + end.len() < bytes {
        text.push_str(&part.replace('#', &count.to_string()));
        count += 1;
    }
    text.push_str(end);
    text
}

/// How often most questions are asked about the text.
const PLACES: u32 = 4;

/// Asks everything and returns what took longest, for one question in one place.
pub(crate) fn slowest(text: &str, format: Format) -> Option<Slow> {
    let mut analysis = None;
    let first = Slow { what: "analyze", took: cost(|| analysis = Some(analyze(text, format))) };
    let analysis = analysis?;
    let answers = ASKS.iter().map(|(what, ask)| Slow { what, took: cost(|| ask(&analysis, text, format)) / PLACES });
    std::iter::once(first).chain(answers).max_by_key(|slow| slow.took)
}

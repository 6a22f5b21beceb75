//! What a hover shows about a key, a step, or a value.

use super::combined;
use super::described;
use super::mappings::walk;
use super::names::{combination_at, step_at};
use super::resolved::{describe, describe_value};
use crate::analysis::Analysis;
use crate::keys::{self, Place};
use crate::text::TextRange;

/// Text about something in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hover {
    pub range: TextRange,
    /// Markdown.
    pub text: String,
    /// The step it is about, if it is about one.
    pub step: Option<StepPlace>,
}

/// A step of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPlace {
    /// Index into the file's pipelines.
    pub pipeline: usize,
    pub key: String,
}

/// Describes what is at an offset: a step, a reference, a variable, an anchor, or a key.
pub fn hover(analysis: &Analysis, offset: usize) -> Option<Hover> {
    if let Some((pipeline, position, range)) = step_at(analysis, offset) {
        let index = analysis.pipelines.iter().position(|other| std::ptr::eq(other, pipeline))?;
        let step = pipeline.steps.get(position)?;
        let named = combination_at(pipeline, step, range);
        let place = |key: &str| Some(StepPlace { pipeline: index, key: key.to_owned() });
        if let Some(combination) = named {
            let text = combined::one(pipeline, combination)?;
            return Some(Hover { range, text, step: place(&combination.key) });
        }
        let mut text = describe(pipeline, position);
        if let Some(combinations) = combined::all(pipeline, step) {
            text.push_str("\n\n");
            text.push_str(&combinations);
        }
        return Some(Hover { range, text, step: place(&step.key.value) });
    }
    if let Some((range, text)) = describe_value(analysis, offset) {
        return Some(Hover { range, text, step: None });
    }
    if let Some((range, text)) = described::describe(analysis, offset) {
        return Some(Hover { range, text, step: None });
    }
    let (place, key) = key_at(analysis, offset)?;
    let text = analysis.text.get(key.start..key.end)?.trim_matches(['"', '\'']);
    let known = keys::find(place, text)?;
    let required = if known.is_required { " (required)" } else { "" };
    Some(Hover { range: key, text: format!("`{}`{required}\n\n{}", known.name, known.doc), step: None })
}

/// Returns the key at an offset and the place it is in.
fn key_at(analysis: &Analysis, offset: usize) -> Option<(Place, TextRange)> {
    let mut found = None;
    walk(analysis, &mut |place, map| {
        let entries = analysis.tree.own_entries(map).unwrap_or_default();
        let keys = entries.iter().map(|entry| analysis.tree.node(entry.key).range);
        found = found.or_else(|| Some((place, keys.clone().find(|key| key.touches(offset))?)));
    });
    found
}

//! What was made from an earlier text, at the places of the current one.

use super::declared::Declared;
use super::rendering::{Rendering, moved};
use crate::diagnostic::Diagnostic;
use crate::model::Pipeline;
use crate::text::TextRange;

pub(super) struct Placed {
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The steps, by pipeline and position, whose text has changed since.
    pub(super) unplaced: Vec<(usize, usize)>,
}

/// The one part of a text that differs from another.
struct Change {
    start: usize,
    old_end: usize,
    new_end: usize,
}

impl Change {
    fn between(old: &str, new: &str) -> Self {
        let common = |one: &mut dyn Iterator<Item = (u8, u8)>| one.take_while(|(a, b)| a == b).count();
        let start = common(&mut old.bytes().zip(new.bytes()));
        let rest = (old.len() - start).min(new.len() - start);
        let end = common(&mut old.bytes().rev().zip(new.bytes().rev()).take(rest));
        Self { start, old_end: old.len() - end, new_end: new.len() - end }
    }

    /// Returns where a range is now; `None` if its text has changed.
    fn moved(&self, range: TextRange) -> Option<TextRange> {
        if range.end <= self.start {
            return Some(range);
        }
        let shift = |offset: usize| offset - self.old_end + self.new_end;
        (range.start >= self.old_end).then(|| TextRange::new(shift(range.start), shift(range.end)))
    }
}

/// Puts what was made from an earlier text at the places of the current one.
pub(super) fn placed(text: &str, rendering: &Rendering, declared: &[Declared]) -> Placed {
    let mut pipelines = rendering.pipelines.clone();
    let mut unplaced = Vec::new();
    let is_same = rendering.is_of(text);
    let change = Change::between(&rendering.text, text);
    let shifted = |range| if is_same { Some(range) } else { change.moved(range) };
    for (index, pipeline) in pipelines.iter_mut().enumerate() {
        let heading = shifted(pipeline.heading);
        for (position, step) in pipeline.steps.iter_mut().enumerate() {
            match shifted(step.range) {
                Some(range) if !is_same => {
                    let at = step.range.start;
                    *step = moved(step, |old| {
                        TextRange::new(old.start - at + range.start, old.end - at + range.start)
                    });
                }
                Some(_) => {}
                None => {
                    unplaced.push((index, position));
                    *step = moved(step, |_| heading.unwrap_or(TextRange::at(0)));
                }
            }
        }
        let own = declared.iter().find(|one| pipeline.is_named(&one.slug.value));
        let steps = pipeline.steps.len();
        let at = heading.unwrap_or(TextRange::at(0));
        if !is_same {
            pipeline.place(at);
        }
        if let Some(own) = own {
            (pipeline.range, pipeline.heading) = (own.range, own.heading);
            pipeline.name = Some(own.slug.clone());
        } else if heading.is_none() {
            unplaced.extend((0..steps).map(|position| (index, position)));
        }
    }
    let moved = |finding: &Diagnostic| {
        let mut finding = finding.clone();
        finding.range = shifted(finding.range)?;
        for related in &mut finding.related {
            related.place.range = shifted(related.place.range).unwrap_or(finding.range);
        }
        Some(finding)
    };
    let diagnostics = rendering.diagnostics.iter().filter_map(moved).collect();
    Placed { pipelines, diagnostics, unplaced }
}

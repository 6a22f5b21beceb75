//! What was made from an earlier text, at the places of the current one.

use super::declared::Declared;
use super::made::Rendering;
use crate::diagnostic::Diagnostic;
use crate::model::Pipeline;
use crate::text::{Change, TextRange};

pub(super) struct Placed {
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The steps, by pipeline and position, whose text has changed since.
    pub(super) unplaced: Vec<(usize, usize)>,
}

/// The position of what is not a step: the pipeline as a whole.
pub(crate) const HEADING: usize = usize::MAX;

/// The parts of a text that differ from another, in text order.
struct Changes(Vec<Moved>);

#[derive(Debug)]
struct Moved {
    start: usize,
    old_end: usize,
    new_end: usize,
}

impl Changes {
    fn between(old: &str, new: &str) -> Self {
        let (old_lines, new_lines): (Vec<&str>, Vec<&str>) =
            (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
        let (old_starts, new_starts) = (starts(&old_lines), starts(&new_lines));
        let at = |starts: &[usize], line: usize| starts.get(line).copied().unwrap_or_default();
        let mut changes = Vec::new();
        for operation in similar::capture_diff_slices(similar::Algorithm::Patience, &old_lines, &new_lines) {
            if operation.tag() == similar::DiffTag::Equal {
                continue;
            }
            let (before, after) = (operation.old_range(), operation.new_range());
            let before = TextRange::new(at(&old_starts, before.start), at(&old_starts, before.end));
            let after = TextRange::new(at(&new_starts, after.start), at(&new_starts, after.end));
            let change = Change::between(before.of(old), after.of(new));
            changes.push(Moved {
                start: before.start + change.old.start,
                old_end: before.start + change.old.end,
                new_end: after.start + change.new_end(),
            });
        }
        Self(changes)
    }

    /// Returns where a range is now; `None` if its text has changed.
    fn moved(&self, range: TextRange) -> Option<TextRange> {
        let mut shift = (0, 0);
        for change in &self.0 {
            if change.start >= range.end {
                break;
            }
            if change.old_end > range.start {
                return None;
            }
            shift = (change.old_end, change.new_end);
        }
        let moved = |offset: usize| offset - shift.0 + shift.1;
        Some(TextRange::new(moved(range.start), moved(range.end)))
    }
}

/// Returns where each line starts, and the end of the last.
fn starts(lines: &[&str]) -> Vec<usize> {
    let mut at = 0;
    let ends = lines.iter().map(|line| {
        at += line.len();
        at
    });
    [0].into_iter().chain(ends).collect()
}

/// Puts what was made from an earlier text at the places of the current one.
pub(super) fn placed(text: &str, rendering: &Rendering, declared: &[Declared]) -> Placed {
    let mut pipelines = rendering.pipelines.clone();
    let mut unplaced = rendering.unplaced.clone();
    let changes = if rendering.is_of(text) { Changes(Vec::new()) } else { Changes::between(&rendering.text, text) };
    let shifted = |range| changes.moved(range);
    for (index, pipeline) in pipelines.iter_mut().enumerate() {
        let heading = shifted(pipeline.heading);
        let at = heading.unwrap_or_default();
        for (position, step) in pipeline.steps.iter_mut().enumerate() {
            let before = step.range.start;
            match shifted(step.range) {
                Some(range) => {
                    step.move_to(|old| TextRange::new(old.start - before + range.start, old.end - before + range.start))
                }
                None => {
                    unplaced.push((index, position));
                    step.move_to(|_| at);
                }
            }
        }
        pipeline.place(at);
        let own = declared.iter().find(|one| pipeline.is_named(&one.slug.value));
        if let Some(own) = own {
            (pipeline.range, pipeline.heading) = (own.range, own.heading);
            pipeline.name = Some(own.slug.clone());
        } else if heading.is_none() {
            unplaced.push((index, HEADING));
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

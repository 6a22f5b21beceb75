//! Step keys and the places that refer to them: definition and references.

use crate::analysis::Analysis;
use crate::files::FileRange;
use crate::model::Pipeline;
use crate::text::TextRange;

/// Returns the key of the step that is referred to at an offset, or the anchor of the alias there.
pub fn definition(analysis: &Analysis, offset: usize) -> Option<FileRange> {
    if let Some((pipeline, position, _)) = step_at(analysis, offset) {
        return pipeline.steps.get(position).map(|step| step.key.range.into());
    }
    let alias = analysis.tree.aliases().find(|(range, _)| range.touches(offset));
    alias.and_then(|(_, target)| analysis.tree.node(target).anchor).map(FileRange::from)
}

/// Returns every place that refers to the step at an offset, its key first.
pub fn references(analysis: &Analysis, offset: usize) -> Vec<FileRange> {
    let Some((pipeline, position, _)) = step_at(analysis, offset) else { return Vec::new() };
    let Some(step) = pipeline.steps.get(position) else { return Vec::new() };
    std::iter::once(step.key.range).chain(naming(pipeline, &step.key.value)).map(FileRange::from).collect()
}

/// Returns every place that refers to a step by its key; in a plan those are edges.
pub(super) fn naming<'a>(pipeline: &'a Pipeline, key: &'a str) -> impl Iterator<Item = TextRange> + 'a {
    let names = pipeline.steps.iter().flat_map(|other| other.builds_in.iter().chain(&other.depends_on));
    names.filter(move |name| name.value == key).map(|name| name.range)
}

/// Returns the step whose key or reference is at an offset, with the range of that name.
pub(super) fn step_at(analysis: &Analysis, offset: usize) -> Option<(&Pipeline, usize, TextRange)> {
    for pipeline in analysis.pipelines.iter().filter(|pipeline| pipeline.range.touches(offset)) {
        for (position, step) in pipeline.steps.iter().enumerate() {
            if step.key.range.touches(offset) {
                return Some((pipeline, position, step.key.range));
            }
            let mut names = step.builds_in.iter().chain(&step.depends_on);
            let Some(name) = names.find(|name| name.range.touches(offset)) else { continue };
            let named = pipeline.steps.iter().position(|other| other.key.value == name.value)?;
            return Some((pipeline, named, name.range));
        }
    }
    None
}

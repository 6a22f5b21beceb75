//! What a name in `builds_in`, `depends_on` or `needs_artifacts` means for one combination.

use std::collections::{BTreeSet, HashMap};

use crate::model::{Combination, Matrix, Pipeline, Step};
use crate::plan::names::Names;
use crate::text::Spanned;

/// The names and values that tell a combination apart, sorted.
type Identity<'a> = Vec<(&'a str, &'a str)>;

/// How the combinations of one step match those of another that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// The name is that of a step without a matrix, or of one combination.
    One,
    /// Both have the same axes: each combination means the same one of the other, and all of them if there is none.
    Same,
    /// All combinations of the other.
    All,
}

/// Returns how the combinations of a step match what it names.
pub(crate) fn matches(pipeline: &Pipeline, names: &Names<'_>, step: &Step, name: &str) -> Match {
    if names.combination(name).is_some() {
        return Match::One;
    }
    let named = names.get(name).and_then(|position| pipeline.steps.get(position));
    let Some(other) = named.and_then(|named| named.matrix.as_deref()) else { return Match::One };
    match &step.matrix {
        Some(own) if axes(own) == axes(other) => Match::Same,
        Some(_) | None => Match::All,
    }
}

/// Returns the names that a combination has to have; of a matrix of nothing but `include`, all of them.
fn axes(matrix: &Matrix) -> BTreeSet<&str> {
    let axes: BTreeSet<&str> = matrix.axes.iter().map(|axis| axis.name.value.as_str()).collect();
    if axes.is_empty() { matrix.names.iter().map(|name| name.name.value.as_str()).collect() } else { axes }
}

/// The steps of a pipeline by their names, and the combinations of each by their values.
pub(super) struct References<'a> {
    pipeline: &'a Pipeline,
    names: Names<'a>,
    combinations: Vec<HashMap<Identity<'a>, &'a Combination>>,
}

impl<'a> References<'a> {
    pub(super) fn new(pipeline: &'a Pipeline) -> Self {
        let combinations = pipeline.steps.iter().map(|step| {
            let matrix = step.matrix.as_deref().into_iter();
            let all =
                matrix.flat_map(|matrix| matrix.combinations().iter().map(move |one| (identity(matrix, one), one)));
            all.collect()
        });
        Self { pipeline, names: Names::new(pipeline), combinations: combinations.collect() }
    }

    /// Returns a step whose references are to single steps. `written` is the step that it is, or of which it is a combination.
    pub(super) fn resolved(&self, written: &Step, combination: Option<&Combination>, mut step: Step) -> Step {
        if let Some(parent) = &written.builds_in
            && let [only] = self.named(written, combination, &parent.value).as_slice()
        {
            step.builds_in = Some(Spanned::new((*only).to_owned(), parent.range));
        }
        step.depends_on = self.all(written, combination, &written.depends_on);
        step.needs_artifacts = self.all(written, combination, &written.needs_artifacts);
        step
    }

    fn all(&self, written: &Step, combination: Option<&Combination>, list: &[Spanned<String>]) -> Vec<Spanned<String>> {
        let keys = list.iter().flat_map(|name| {
            let keys = self.named(written, combination, &name.value);
            keys.into_iter().map(|key| Spanned::new(key.to_owned(), name.range))
        });
        keys.collect()
    }

    /// Returns the keys of the steps that a name means.
    fn named<'n>(&'n self, written: &Step, combination: Option<&Combination>, name: &'n str) -> Vec<&'n str> {
        let how = matches(self.pipeline, &self.names, written, name);
        let position = self.names.get(name).filter(|_| how != Match::One);
        let Some(other) = position.and_then(|position| self.pipeline.steps.get(position)) else { return vec![name] };
        let same = combination.zip(written.matrix.as_deref()).filter(|_| how == Match::Same);
        let same = same.and_then(|(combination, matrix)| {
            self.combinations.get(position?)?.get(&identity(matrix, combination)).copied()
        });
        match same {
            Some(same) => vec![same.key.as_str()],
            None => other.combinations().iter().map(|combination| combination.key.as_str()).collect(),
        }
    }
}

/// Returns what tells a combination apart, in an order that does not depend on the order of the axes.
pub(crate) fn identity<'a>(matrix: &'a Matrix, combination: &Combination) -> Identity<'a> {
    let mut identity = matrix.identity(combination);
    identity.sort_unstable();
    identity
}

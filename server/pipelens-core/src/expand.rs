//! Steps with a matrix → one step for each combination. Between `Pipeline`, which has what is written, and `Plan`, which has what runs.

mod combinations;
mod expressions;
mod references;
mod size;

use std::borrow::Cow;

use crate::model::{Cache, CachePolicy, Combination, EnvVar, Matrix, Pipeline, Step};
use crate::text::Spanned;
use references::References;

pub(crate) use combinations::{MAX_COMBINATIONS, MAX_NAMES, combine, idle};
pub(crate) use expressions::{Expression, expressions, replaced};
pub(crate) use references::{Match, identity, matches};
pub(crate) use size::{Size, size};

/// Returns a pipeline in which every step is one step. It is the same one if no step has a matrix, or if there would be too many.
pub fn expand(pipeline: &Pipeline) -> Cow<'_, Pipeline> {
    if !pipeline.has_matrix() {
        return Cow::Borrowed(pipeline);
    }
    let has_too_many =
        pipeline.steps.iter().any(|step| step.matrix.as_ref().is_some_and(|matrix| matrix.combinations.is_none()));
    if has_too_many || size(pipeline).is_too_large() {
        return Cow::Borrowed(pipeline);
    }
    let mut expanded = pipeline.clone();
    let own = std::mem::take(&mut expanded.steps);
    let references = References::new(pipeline);
    // Where the steps of each position start.
    let mut starts = Vec::with_capacity(pipeline.steps.len() + 1);
    for (step, own) in pipeline.steps.iter().zip(own) {
        starts.push(expanded.steps.len());
        match &step.matrix {
            None => expanded.steps.push(references.resolved(step, None, own)),
            Some(matrix) => {
                // What is not copied for each of its combinations.
                let (depends_on, needs_artifacts) = (Vec::new(), Vec::new());
                let template = Some(step.key.value.as_str().into());
                let template = Step { matrix: None, template, depends_on, needs_artifacts, ..own };
                let combinations = matrix.combinations().iter();
                expanded.steps.extend(combinations.map(|combination| {
                    let concrete = concrete(&template, matrix, combination);
                    references.resolved(step, Some(combination), concrete)
                }));
            }
        }
    }
    starts.push(expanded.steps.len());
    for barrier in &mut expanded.barriers {
        barrier.after_steps = starts.get(barrier.after_steps).copied().unwrap_or(expanded.steps.len());
    }
    Cow::Owned(expanded)
}

/// Returns the step of one combination, with its variables and without expressions.
fn concrete(template: &Step, matrix: &Matrix, combination: &Combination) -> Step {
    let mut step = template.clone();
    step.key.value.clone_from(&combination.key);
    let replace = |text: &mut Spanned<String>| {
        if let Cow::Owned(new) = replaced(&text.value, matrix, combination) {
            text.value = new;
        }
    };
    step.label.iter_mut().for_each(replace);
    step.image.iter_mut().for_each(replace);
    step.env.iter_mut().map(|variable| &mut variable.value).for_each(replace);
    step.cache.iter_mut().for_each(|cache| texts_of_cache(&mut cache.value, &mut |text| replace(text)));
    // The step's own variables come last, so that they take precedence.
    let variables = matrix
        .assignments(combination)
        .map(|(name, value)| EnvVar { name: name.variable.clone(), value: value.clone() });
    step.env = variables.chain(step.env).collect();
    step
}

fn texts_of_cache(cache: &mut Cache, change: &mut impl FnMut(&mut Spanned<String>)) {
    cache.key.iter_mut().for_each(&mut *change);
    texts_of_policy(&mut cache.policy, change);
}

fn texts_of_policy(policy: &mut CachePolicy, change: &mut impl FnMut(&mut Spanned<String>)) {
    match policy {
        CachePolicy::None => {}
        CachePolicy::Forever { env_keys } | CachePolicy::Ttl { env_keys, .. } => env_keys.iter_mut().for_each(change),
        CachePolicy::OnChange { paths } => paths.iter_mut().for_each(change),
        CachePolicy::Compose { sub_policies } => {
            sub_policies.iter_mut().for_each(|policy| texts_of_policy(policy, change));
        }
    }
}

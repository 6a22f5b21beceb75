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
pub(crate) use references::{Match, matches};
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
    let mut expanded = without_steps(pipeline);
    let references = References::new(pipeline);
    // Where the steps of each position start.
    let mut starts = Vec::with_capacity(pipeline.steps.len() + 1);
    for step in &pipeline.steps {
        starts.push(expanded.steps.len());
        match &step.matrix {
            None => expanded.steps.push(references.resolved(step, None, step.clone())),
            Some(matrix) => {
                // The matrix is not copied for each of its combinations.
                let template = Step { template: Some(step.key.value.as_str().into()), ..without_matrix(step) };
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

fn without_steps(pipeline: &Pipeline) -> Pipeline {
    Pipeline {
        spelling: pipeline.spelling,
        range: pipeline.range,
        heading: pipeline.heading,
        name: pipeline.name.clone(),
        default_image: pipeline.default_image.clone(),
        timeout_seconds: pipeline.timeout_seconds.clone(),
        env: pipeline.env.clone(),
        fail_fast: pipeline.fail_fast.clone(),
        triggers: pipeline.triggers.clone(),
        steps: Vec::new(),
        unnamed_steps: pipeline.unnamed_steps.clone(),
        barriers: pipeline.barriers.clone(),
    }
}

fn without_matrix(step: &Step) -> Step {
    Step {
        range: step.range,
        key: step.key.clone(),
        label: step.label.clone(),
        cmd: step.cmd.clone(),
        shell: step.shell.clone(),
        image: step.image.clone(),
        builds_in: step.builds_in.clone(),
        depends_on: Vec::new(),
        depends_on_value: step.depends_on_value,
        env: step.env.clone(),
        timeout_seconds: step.timeout_seconds.clone(),
        workdir: step.workdir.clone(),
        cache: step.cache.clone(),
        cache_mounts: step.cache_mounts.clone(),
        reuse: step.reuse.clone(),
        git: step.git.clone(),
        runner: step.runner.clone(),
        runner_args: step.runner_args.clone(),
        artifacts: step.artifacts.clone(),
        artifacts_when: step.artifacts_when.clone(),
        needs_artifacts: Vec::new(),
        secrets: step.secrets.clone(),
        soft_fail: step.soft_fail.clone(),
        retry: step.retry.clone(),
        matrix: None,
        template: None,
    }
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

//! `Pipeline` + `Target` → `Plan`: what a run will do, as plain data. Says nothing about containers.

pub(crate) mod links;
pub(crate) mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::analysis::Analysis;
pub use crate::arguments::Value;
use crate::arguments::service_secrets;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::expand::expand;
use crate::model::{self, EnvVar, Pipeline, Step};
use crate::nearest::nearest;
use crate::shell::GitUse;
use crate::suppress;
use links::Links;

pub use links::Dependency;

/// What a person asked to run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    Pipeline,
    /// One step, with the `builds_in` ancestors it starts from and the steps whose artifacts it gets. Steps it merely depends on are not run.
    Step(String),
    /// A step and everything that depends on it, with the `builds_in` ancestors they start from.
    From(String),
    /// All that these ask for: `steps` on their own, and `from` with everything that depends on them.
    Several {
        steps: Vec<String>,
        from: Vec<String>,
    },
}

/// A graph of steps to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The pipeline's name, or the stem of its file.
    pub name: String,
    pub timeout_seconds: Option<u64>,
    pub fail_fast: bool,
    /// In file order. Dependencies point to other indices of this list.
    pub steps: Vec<PlanStep>,
}

/// When a step's result may be reused from an earlier run.
pub type Cache = model::Cache<String>;
pub type CachePolicy = model::CachePolicy<String>;
pub use crate::model::{ArtifactsWhen, Reuse, Sharing};

/// A folder that outlives runs and is part of no step's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// An absolute path in the container, or one that begins with `~/`: in the step's home.
    pub path: String,
    /// Mounts with the same name have the same content.
    pub name: String,
    pub sharing: Sharing,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PlanStep {
    pub key: String,
    /// The key of the step whose matrix it is a combination of.
    pub template: Option<String>,
    /// `false`: it was not requested, but a requested step starts from its filesystem or gets its artifacts.
    pub is_wanted: bool,
    pub label: Option<String>,
    pub cmd: String,
    /// The program that runs it, with its options.
    pub shell: Vec<String>,
    pub boots_from: BootsFrom,
    /// Everything that must be done before this starts, the lineage parent included; sorted, without duplicates.
    pub after: Vec<Dependency>,
    /// The pipeline's environment with the step's merged over it. Steps in a row that have the same variables share them.
    pub env: Arc<BTreeMap<String, String>>,
    pub timeout_seconds: Option<u64>,
    /// An absolute path in the container.
    pub workdir: String,
    pub cache: Option<Cache>,
    pub cache_mounts: Vec<CacheMount>,
    pub reuse: Reuse,
    /// Whether it gets the project's git history: it says so, or its command reads it.
    pub git: bool,
    /// `None`: the run's default runner, which is `docker` unless chosen otherwise.
    pub runner: Option<String>,
    pub runner_args: Option<Value>,
    pub artifacts: Vec<String>,
    pub artifacts_when: ArtifactsWhen,
    /// The steps whose artifacts it gets, sorted, without duplicates; all of them are in `after`.
    pub needs_artifacts: Vec<usize>,
    pub secrets: Vec<String>,
    pub soft_fail: bool,
    pub retry: u64,
}

impl Plan {
    /// Returns the step from which a step descends through `builds_in`, or itself.
    pub fn root(&self, index: usize) -> Option<&PlanStep> {
        let mut step = self.steps.get(index)?;
        while let Some(parent) = step.parent() {
            step = self.steps.get(parent)?;
        }
        Some(step)
    }
}

impl PlanStep {
    /// Tells whether a key names this step: its own, or that of the step it is a combination of.
    pub fn is_named(&self, key: &str) -> bool {
        self.key == key || self.template.as_deref() == Some(key)
    }

    /// Returns the names of all secrets that it or one of its services gets.
    pub fn all_secrets(&self) -> impl Iterator<Item = &str> {
        let of_services = self.runner_args.as_ref().map(service_secrets).unwrap_or_default();
        self.secrets.iter().map(String::as_str).chain(of_services.into_iter().map(|(_, secret)| secret))
    }

    /// Returns the step whose filesystem it starts from.
    pub fn parent(&self) -> Option<usize> {
        match self.boots_from {
            BootsFrom::Step(parent) => Some(parent),
            BootsFrom::Image(_) => None,
        }
    }

    /// Returns the steps on whose results its own depends: its parent, and those whose artifacts it gets.
    pub fn inputs(&self) -> impl Iterator<Item = usize> {
        self.parent().into_iter().chain(self.needs_artifacts.iter().copied())
    }
}

/// What a step's filesystem starts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootsFrom {
    Image(String),
    /// The snapshot of the step with this index.
    Step(usize),
}

/// Where the sources are and commands run, unless the step says otherwise.
pub const DEFAULT_WORKDIR: &str = "/workspace";
/// What runs a command, unless the step says otherwise.
pub const DEFAULT_SHELL: &str = "sh";
/// The image of a root step when neither it nor the pipeline names one.
pub const DEFAULT_IMAGE: &str = "alpine:latest";

/// Why a target cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The text has errors that would make the run fail; this is the first.
    HasErrors(Box<Diagnostic>),
    /// The text had to be repaired to be read, so what it means is uncertain.
    IsRepaired,
    NoSuchPipeline,
    /// With the nearest key, if one is near.
    NoSuchStep {
        key: String,
        did_you_mean: Option<String>,
    },
}

/// Plans a target of the pipeline with this index. `file_stem` is the name of a pipeline without `name`.
pub fn plan(analysis: &Analysis, pipeline: usize, target: &Target, file_stem: &str) -> Result<Plan, Refusal> {
    plan_with(analysis, pipeline, target, file_stem, |finding| Some(finding.severity))
}

/// Like `plan`, with the severities the user chose; `None` is off. What leaves a plan without meaning refuses it in any case.
pub fn plan_with(
    analysis: &Analysis,
    pipeline: usize,
    target: &Target,
    file_stem: &str,
    severity: impl Fn(&Diagnostic) -> Option<Severity>,
) -> Result<Plan, Refusal> {
    if analysis.is_repaired {
        return Err(Refusal::IsRepaired);
    }
    let pipeline = analysis.pipelines.get(pipeline).ok_or(Refusal::NoSuchPipeline)?;
    let is_error =
        |diagnostic: &Diagnostic| suppress::still_refuses(diagnostic) || severity(diagnostic) == Some(Severity::Error);
    let is_ours = |diagnostic: &&Diagnostic| is_error(diagnostic) && concerns(analysis, pipeline, diagnostic);
    if let Some(error) = analysis.diagnostics.iter().chain(&analysis.silenced).find(is_ours) {
        return Err(Refusal::HasErrors(Box::new(error.clone())));
    }
    let expanded = expand(pipeline);
    let pipeline = expanded.as_ref();
    let links = Links::new(pipeline);
    let wanted = wanted_steps(pipeline, &links, target)?;
    let chosen = with_ancestors(&links, wanted.clone());
    Ok(Plan {
        name: pipeline.name.as_ref().map_or_else(|| file_stem.to_owned(), |name| name.value.clone()),
        timeout_seconds: pipeline.timeout_seconds.as_ref().map(|seconds| seconds.value),
        fail_fast: pipeline.fail_fast.as_ref().is_some_and(|value| value.value),
        steps: plan_steps(pipeline, &links, &chosen, &wanted),
    })
}

/// Tells whether a finding is in a pipeline, or in no pipeline at all and so concerns every one. The same goes for what was not checked.
fn concerns(analysis: &Analysis, pipeline: &Pipeline, diagnostic: &Diagnostic) -> bool {
    let holds = |pipeline: &Pipeline| pipeline.range.contains_range(diagnostic.range);
    diagnostic.code == Code::TooLarge || holds(pipeline) || !analysis.pipelines.iter().any(holds)
}

/// Tells for each step whether the target asks for it.
fn wanted_steps(pipeline: &Pipeline, links: &Links, target: &Target) -> Result<Vec<bool>, Refusal> {
    let count = pipeline.steps.len();
    let mut wanted = vec![false; count];
    match target {
        Target::Pipeline => wanted.fill(true),
        Target::Step(key) => positions(pipeline, key)?.into_iter().for_each(|step| mark(&mut wanted, step)),
        Target::From(key) => wanted = dependants(links, &positions(pipeline, key)?, count),
        Target::Several { steps, from } => {
            let mut starts = Vec::new();
            for key in from {
                starts.extend(positions(pipeline, key)?);
            }
            wanted = dependants(links, &starts, count);
            for key in steps {
                positions(pipeline, key)?.into_iter().for_each(|step| mark(&mut wanted, step));
            }
        }
    }
    Ok(wanted)
}

/// Adds the steps whose filesystems these start from, and those whose artifacts they get.
fn with_ancestors(links: &Links, mut chosen: Vec<bool>) -> Vec<bool> {
    let count = chosen.len();
    // A chosen step needs its parent and its providers, and so on upwards.
    let mut waiting: Vec<usize> = (0..count).filter(|step| is_marked(&chosen, *step)).collect();
    while let Some(step) = waiting.pop() {
        let parent = links.parents.get(step).copied().flatten();
        let providers = links.providers.get(&step).into_iter().flatten().copied();
        for needed in parent.into_iter().chain(providers) {
            if !is_marked(&chosen, needed) {
                mark(&mut chosen, needed);
                waiting.push(needed);
            }
        }
    }
    chosen
}

/// Returns the steps and everything that waits for one of them, directly or not.
fn dependants(links: &Links, from: &[usize], count: usize) -> Vec<bool> {
    let mut waiters: Vec<Vec<usize>> = vec![Vec::new(); count];
    for step in 0..count {
        for dependency in links.dependencies(step) {
            if let Some(list) = waiters.get_mut(dependency.step) {
                list.push(step);
            }
        }
    }
    let mut chosen = vec![false; count];
    from.iter().for_each(|step| mark(&mut chosen, *step));
    let mut waiting = from.to_vec();
    while let Some(step) = waiting.pop() {
        for waiter in waiters.get(step).into_iter().flatten() {
            if !is_marked(&chosen, *waiter) {
                mark(&mut chosen, *waiter);
                waiting.push(*waiter);
            }
        }
    }
    chosen
}

/// Returns the step with this key, or every combination of the one with it.
fn positions(pipeline: &Pipeline, key: &str) -> Result<Vec<usize>, Refusal> {
    if let Some(step) = pipeline.steps.iter().position(|step| step.key.value == key) {
        return Ok(vec![step]);
    }
    let is_of_it = |step: &Step| step.template.as_deref() == Some(key);
    let combinations = pipeline.steps.iter().enumerate().filter(|(_, step)| is_of_it(step));
    let combinations: Vec<usize> = combinations.map(|(position, _)| position).collect();
    if !combinations.is_empty() {
        return Ok(combinations);
    }
    let templates = pipeline.steps.iter().filter_map(|step| step.template.as_deref());
    let keys = pipeline.steps.iter().map(|step| step.key.value.as_str()).chain(templates);
    Err(Refusal::NoSuchStep { key: key.to_owned(), did_you_mean: nearest(key, keys).map(str::to_owned) })
}

fn mark(chosen: &mut [bool], step: usize) {
    if let Some(flag) = chosen.get_mut(step) {
        *flag = true;
    }
}

fn is_marked(chosen: &[bool], step: usize) -> bool {
    chosen.get(step).copied().unwrap_or_default()
}

fn plan_steps(pipeline: &Pipeline, links: &Links, chosen: &[bool], wanted: &[bool]) -> Vec<PlanStep> {
    let mut planned = 0;
    let new_positions: Vec<Option<usize>> = chosen
        .iter()
        .map(|is_chosen| {
            is_chosen.then(|| {
                planned += 1;
                planned - 1
            })
        })
        .collect();
    let new_position = |step: usize| new_positions.get(step).copied().flatten();
    let steps = pipeline.steps.iter().enumerate().filter(|(position, _)| is_marked(chosen, *position));
    let mut environments = Environments { of_pipeline: &pipeline.env, last: None };
    steps
        .map(|(position, step)| {
            let parent = links.parents.get(position).copied().flatten().and_then(new_position);
            let after = links.dependencies(position).into_iter().filter_map(|dependency| {
                Some(Dependency { step: new_position(dependency.step)?, must_succeed: dependency.must_succeed })
            });
            let providers = links.providers.get(&position).into_iter().flatten();
            let providers: BTreeSet<usize> = providers.filter_map(|provider| new_position(*provider)).collect();
            PlanStep {
                is_wanted: is_marked(wanted, position),
                needs_artifacts: providers.into_iter().collect(),
                git: step.git.as_ref().map_or_else(|| reads_history(pipeline, links, position), |git| git.value),
                ..plan_step(pipeline, step, environments.of(step), parent, after.collect())
            }
        })
        .collect()
}

/// Whether a step's command needs the project's git history and none of the steps it builds in may have made a repository of its own.
fn reads_history(pipeline: &Pipeline, links: &Links, position: usize) -> bool {
    let git_use = |position: usize| {
        let command = pipeline.steps.get(position).and_then(|step| step.cmd.as_ref());
        command.map_or(GitUse::Never, |command| GitUse::of(&command.value))
    };
    let parent = |position: &usize| links.parents.get(*position).copied().flatten();
    let mut lineage = std::iter::successors(parent(&position), parent).take(pipeline.steps.len());
    git_use(position) == GitUse::Reads && !lineage.any(|ancestor| git_use(ancestor) == GitUse::Other)
}

/// Variables by name.
type SharedEnv = Arc<BTreeMap<String, String>>;

/// The environments of steps. An alias gives many steps the same variables, which are copied once.
struct Environments<'a> {
    of_pipeline: &'a [EnvVar],
    last: Option<(&'a [EnvVar], SharedEnv)>,
}

impl<'a> Environments<'a> {
    fn of(&mut self, step: &'a Step) -> SharedEnv {
        if let Some((_, env)) = self.last.as_ref().filter(|(own, _)| *own == step.env) {
            return env.clone();
        }
        let variables = self.of_pipeline.iter().chain(&step.env);
        let copied = variables.map(|variable| (variable.name.value.clone(), variable.value.value.clone()));
        let env = Arc::new(copied.collect());
        self.last = Some((&step.env, Arc::clone(&env)));
        env
    }
}

fn plan_step(
    pipeline: &Pipeline,
    step: &Step,
    env: SharedEnv,
    parent: Option<usize>,
    after: Vec<Dependency>,
) -> PlanStep {
    let image = step.image.as_ref().or(pipeline.default_image.as_ref());
    let image = image.map_or_else(|| DEFAULT_IMAGE.to_owned(), |image| image.value.clone());
    PlanStep {
        key: step.key.value.clone(),
        template: step.template.as_deref().map(str::to_owned),
        is_wanted: true,
        label: step.label.as_ref().map(|label| label.value.clone()),
        cmd: step.cmd.as_ref().map(|cmd| cmd.value.clone()).unwrap_or_default(),
        shell: step.shell.as_ref().map_or_else(|| vec![DEFAULT_SHELL.to_owned()], |shell| shell.value.clone()),
        boots_from: parent.map_or(BootsFrom::Image(image), BootsFrom::Step),
        after,
        env,
        timeout_seconds: step.timeout_seconds.as_ref().map(|seconds| seconds.value),
        workdir: step.workdir.as_ref().map_or_else(|| DEFAULT_WORKDIR.to_owned(), |workdir| workdir.value.clone()),
        cache: step.cache.as_ref().map(|cache| cache.value.plain()),
        cache_mounts: cache_mounts(step),
        reuse: step.reuse.as_ref().map_or_else(Default::default, |reuse| reuse.value),
        git: false,
        runner: step.runner.as_ref().map(|runner| runner.value.clone()),
        runner_args: step.runner_args.as_ref().map(|args| args.value.plain()),
        artifacts: step.artifacts.iter().map(|glob| glob.value.clone()).collect(),
        artifacts_when: step.artifacts_when.as_ref().map_or_else(Default::default, |when| when.value),
        needs_artifacts: Vec::new(),
        secrets: step.secrets.iter().map(|name| name.value.clone()).collect(),
        soft_fail: step.soft_fail.as_ref().is_some_and(|value| value.value),
        retry: step.retry.as_ref().map_or(0, |retry| retry.value),
    }
}

fn cache_mounts(step: &Step) -> Vec<CacheMount> {
    let mounts = step.placed_mounts().map(|(mount, path)| CacheMount {
        name: mount.folder_name(&path).to_owned(),
        path,
        sharing: mount.sharing,
    });
    mounts.collect()
}

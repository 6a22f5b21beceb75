//! `Pipeline` + `Target` → `Plan`: what a run will do, as plain data. Says nothing about containers.

use std::collections::BTreeMap;

use crate::model::{Cache, Value};

/// What a person asked to run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    Pipeline,
    /// One step, with the `builds_in` ancestors it boots from. What it merely depends on is not run.
    Step(String),
    /// A step and everything that depends on it, with the `builds_in` ancestors these boot from.
    From(String),
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

#[derive(Debug, Clone, PartialEq)]
pub struct PlanStep {
    pub key: String,
    pub label: Option<String>,
    pub cmd: String,
    pub boots_from: BootsFrom,
    /// Everything that must be done before this starts, the lineage parent included; sorted, no doubles.
    pub after: Vec<Dependency>,
    /// The pipeline's environment with the step's merged over it.
    pub env: BTreeMap<String, String>,
    pub timeout_seconds: Option<u64>,
    /// An absolute path in the container.
    pub workdir: String,
    pub cache: Option<Cache>,
    /// `None`: the runner the run was asked for, `docker` by default.
    pub runner: Option<String>,
    pub runner_args: Option<Value>,
    pub artifacts: Vec<String>,
    pub secrets: Vec<String>,
    pub soft_fail: bool,
    pub retry: u64,
}

/// What a step's filesystem is at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootsFrom {
    Image(String),
    /// The snapshot of the step with this index.
    Step(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    pub step: usize,
    /// `false` behind a `wait` with `continue_on_failure`: any outcome will do.
    pub must_succeed: bool,
}

/// Where the sources are and commands run, unless the step says otherwise.
pub const DEFAULT_WORKDIR: &str = "/workspace";
/// The image of a root step when neither it nor the pipeline names one.
pub const DEFAULT_IMAGE: &str = "alpine:latest";

/// Why a target cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The text has errors that would make the run fail; this is the first.
    HasErrors(Box<crate::diagnostic::Diagnostic>),
    /// The text had to be repaired to be read, so nobody can know what it means.
    IsRepaired,
    NoSuchPipeline,
    /// With the nearest key, if one is near.
    NoSuchStep {
        key: String,
        did_you_mean: Option<String>,
    },
}

/// Plans a target of the pipeline with this index. `file_stem` names a pipeline that has no `name`.
pub fn plan(
    _analysis: &crate::Analysis,
    _pipeline: usize,
    _target: &Target,
    _file_stem: &str,
) -> Result<Plan, Refusal> {
    Err(Refusal::NoSuchPipeline)
}

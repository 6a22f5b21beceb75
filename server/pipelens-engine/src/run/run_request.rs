//! What a run is asked to do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pipelens_core::plan::{Plan, PlanStep};
use uuid::Uuid;

use crate::cache::CacheRequest;
use crate::cluster_settings::ClusterSettings;
use crate::deadlines::Deadlines;
use crate::limits::OutputLimits;
use crate::run_files::{artifact_folder, step_folder};
use crate::runner::{OpenRequest, RunnerSpec};
use crate::watch::FoundSources;

/// What to run, with what, and where its logs go.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Version 7, so that runs sort by time.
    pub run_id: Uuid,
    pub plan: Plan,
    /// The runner for steps that do not name one.
    pub runner: &'static RunnerSpec,
    /// The project directory, whose sources are copied to the working directory.
    pub source_root: PathBuf,
    /// The sources, if they have been looked for already.
    pub sources: Option<FoundSources>,
    /// How many steps run at once; `None`: as many as each runner can use.
    pub parallelism: Option<usize>,
    /// Values of the secrets that the plan names; all of them are masked in all output.
    pub secrets: BTreeMap<String, String>,
    /// The directory with one log file per step; created if missing, readable only by the user.
    pub log_dir: PathBuf,
    /// The directory with one directory of artifacts per step; `None`: in `log_dir`.
    pub artifacts_dir: Option<PathBuf>,
    /// Where results are looked up and kept; `None`: nothing outlives the run.
    pub cache: Option<CacheRequest>,
    /// The names of cache mounts that all projects of the user share. Never decided by a file.
    pub shared_cache_mounts: Vec<String>,
    /// The Docker endpoint, if the user set one; otherwise it is found as the Docker client finds it.
    pub docker_host: Option<String>,
    /// The cluster on which steps with the `kubernetes` runner run. Never decided by a file.
    pub cluster: Option<ClusterSettings>,
    /// The user allows steps to access the engine's machine: privileged containers, mounts of its directories. Never decided by a file.
    pub may_open_machine: bool,
    /// Variables of our own environment that steps on the host get, besides `PATH`, `HOME`, `TERM` and `LANG`.
    pub host_env: Vec<String>,
    /// Whether steps on the host have their own view of the filesystem and of the processes, where the kernel allows it.
    pub host_isolation: bool,
    /// How long the engine may take to answer.
    pub deadlines: Deadlines,
    /// How much the run may write to this machine's disk.
    pub limits: OutputLimits,
}

impl RunRequest {
    pub(super) fn artifact_folder(&self, step: &PlanStep) -> PathBuf {
        match &self.artifacts_dir {
            Some(folder) => step_folder(folder, &step.key),
            None => artifact_folder(&self.log_dir, &step.key),
        }
    }

    pub(crate) fn runner_of<'a>(&'a self, step: &'a PlanStep) -> &'a str {
        step.runner.as_deref().unwrap_or(self.runner.name())
    }

    /// Whether any step runs with this runner.
    pub(super) fn needs(&self, runner: &RunnerSpec) -> bool {
        self.plan.steps.iter().any(|step| self.runner_of(step) == runner.name())
    }

    /// Whether the number of concurrent steps is known without asking a runner.
    pub(super) fn is_parallelism_known(&self) -> bool {
        self.parallelism.is_some() || self.plan.steps.len() == 1
    }

    pub(super) fn open_request(&self) -> OpenRequest {
        OpenRequest {
            run_id: self.run_id,
            source_root: self.source_root.clone(),
            state_dir: self.cache.as_ref().map(|cache| cache.state_dir.clone()),
            shared_cache_mounts: self.shared_cache_mounts.clone(),
            docker_host: self.docker_host.clone(),
            cache_registry: self.cache.as_ref().and_then(|cache| cache.registry.clone()),
            cluster: self.cluster.clone(),
            host_isolation: self.host_isolation,
            deadlines: self.deadlines,
            is_asked_soon: self.cache.is_some() || !self.is_parallelism_known(),
        }
    }
}

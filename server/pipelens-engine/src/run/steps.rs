//! Starts and ends the steps that the scheduler selects. Every task started here is also awaited here.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use pipelens_core::arguments;
use pipelens_core::plan::{BootsFrom, Plan, PlanStep};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::artifacts::passing::{Delivery, Provider};
use crate::artifacts::{Artifacts, counted_files};
use crate::cache::{CacheDecision, Purpose, canonical};
use crate::error::EngineError;
use crate::event::{BuildEvent, RunOutcome};
use crate::event_queue::EventQueue;
use crate::history::History;
use crate::limits::Room;
use crate::person::ShellRequest;
use crate::run::job::{self, Done, End, Failure, Job, Keeper};
use crate::run::run_request::RunRequest;
use crate::run::run_tools::RunTools;
use crate::run::shell;
use crate::run_files::log_file;
use crate::runner::OpenRunner;
use crate::scheduler::{Action, Scheduler, Stop};
use crate::snapshot::{Hit, Outdated, Snapshot};
use crate::sources::Sources;
use crate::step_context::{Base, KeepSnapshot, Keeping, SnapshotUse, StepContext, mounts_below};
use crate::store::PastStep;

/// Runs the plan's steps, and returns how each ended, once everything they left except snapshots is removed.
pub(super) async fn run_all(
    request: &RunRequest,
    shell: Option<ShellRequest>,
    tools: &RunTools,
    events: &EventQueue,
    cancel: &CancellationToken,
) -> (RunOutcome, Vec<PastStep>) {
    let plan = Arc::new(request.plan.clone());
    // The first step may start before it is known how many steps can run at once.
    let names: Vec<&str> = tools.runners.keys().copied().collect();
    let lane_of = |step: &PlanStep| names.iter().position(|name| *name == request.runner_of(step)).unwrap_or(0);
    let mut scheduler = Scheduler::new(&request.plan, request.parallelism.unwrap_or(usize::MAX))
        .with_lanes(plan.steps.iter().map(lane_of).collect(), names.len());
    let mut unknown: FuturesUnordered<_> = FuturesUnordered::new();
    for (lane, opened) in tools.runners.values().enumerate() {
        match request.is_parallelism_known() {
            true => scheduler.allow(lane, usize::MAX),
            false => unknown.push(async move { (lane, opened.runner.capacity().await) }),
        }
    }
    let mut tasks = Tasks::new(request, tools, events, Arc::clone(&plan), cancel.child_token());
    if let Some(shell) = shell {
        tasks.failure = shell::base(request, &shell, tools.cache.as_deref(), tasks.runner_of(shell.step)).await;
        tasks.shell = Some(shell);
    }
    let changed = tasks.stop.clone();
    let mut digests = HashMap::new();
    let time_is_over = async {
        match plan.timeout_seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(time_is_over);
    loop {
        for action in scheduler.next_actions() {
            match action {
                Action::Start(index) => tasks.start(index),
                Action::Queue(step) => events.send(BuildEvent::StepQueued { step }),
                Action::Skip(step, outcome) => {
                    events.send(BuildEvent::StepEnd { step, outcome, duration: Duration::ZERO, tail: Vec::new() });
                }
            }
        }
        if scheduler.is_over() {
            break;
        }
        let stop = scheduler.stopped().cloned();
        tokio::select! {
            biased;
            () = cancel.cancelled(), if !matches!(stop, Some(Stop::Cancelled | Stop::TimedOut)) => {
                scheduler.stop(Stop::Cancelled);
            }
            () = changed.cancelled(), if stop.is_none() => scheduler.stop(Stop::Cancelled),
            Some((lane, permits)) = unknown.next() => scheduler.allow(lane, permits),
            () = &mut time_is_over, if stop != Some(Stop::TimedOut) => scheduler.stop(Stop::TimedOut),
            Some(done) = tasks.next_done() => {
                let outcome = done.outcome(&scheduler);
                events.send(BuildEvent::StepEnd {
                    step: done.index,
                    outcome: outcome.clone(),
                    duration: done.duration,
                    tail: done.tail,
                });
                digests.extend(done.digest.map(|digest| (done.index, digest)));
                scheduler.finished(done.index, outcome);
            }
        }
        if scheduler.stopped().is_some() {
            tasks.stop.cancel();
        }
    }
    tasks.finish_publishing().await;
    tasks.tidy().await;
    let ends = plan.steps.iter().zip(scheduler.outcomes()).enumerate().map(|(index, (step, outcome))| PastStep {
        key: step.key.clone(),
        outcome: outcome.word().to_owned(),
        digest: digests.remove(&index),
    });
    (scheduler.outcome(), ends.collect())
}

/// The tasks of a run, and the snapshots their steps left for other steps.
struct Tasks<'run> {
    request: &'run RunRequest,
    tools: &'run RunTools,
    events: &'run EventQueue,
    plan: Arc<Plan>,
    stop: CancellationToken,
    running: JoinSet<Done>,
    /// The step of each task, because a task that panicked cannot report it.
    started: HashMap<tokio::task::Id, (usize, Instant)>,
    tidying: JoinSet<()>,
    /// What pushes results to a registry.
    publishing: JoinSet<()>,
    stop_publishing: CancellationToken,
    snapshots: HashMap<usize, (Snapshot, Option<Outdated>)>,
    log_room: Room,
    artifact_room: Room,
    /// The sources without what the cache mounts at these paths hide.
    seen_sources: BTreeMap<Vec<PathBuf>, Arc<Sources>>,
    /// What has been copied of the artifacts of each step.
    deliveries: Vec<Delivery>,
    /// The step in which a person gets a shell.
    shell: Option<ShellRequest>,
    /// What that step starts from, if it is what it left when it failed. Then, no other step runs.
    failure: Option<Result<Base, EngineError>>,
}

impl<'run> Tasks<'run> {
    fn new(
        request: &'run RunRequest,
        tools: &'run RunTools,
        events: &'run EventQueue,
        plan: Arc<Plan>,
        stop_publishing: CancellationToken,
    ) -> Self {
        Self {
            request,
            tools,
            events,
            deliveries: plan.steps.iter().map(|_| Delivery::default()).collect(),
            plan,
            // Sources that change while they are sent stop every step at once, before the command of one gets them.
            stop: tools.sources.watched.as_ref().map(|watched| watched.stop.child_token()).unwrap_or_default(),
            running: JoinSet::new(),
            started: HashMap::new(),
            tidying: JoinSet::new(),
            publishing: JoinSet::new(),
            stop_publishing,
            snapshots: HashMap::new(),
            seen_sources: BTreeMap::new(),
            shell: None,
            failure: None,
            log_room: Room::new(request.limits.logs_bytes, request.limits.free_bytes),
            artifact_room: Room::new(request.limits.artifacts_bytes, request.limits.free_bytes),
        }
    }

    fn start(&mut self, index: usize) {
        if self.take_from_earlier_run(index) {
            return;
        }
        let prepared = self.prepare(index);
        let job = Job {
            index,
            log_path: self.plan.steps.get(index).map(|step| log_file(&self.request.log_dir, &step.key)),
            events: self.events.clone(),
            patterns: self.tools.patterns.clone(),
            keeper: self.keeper(),
            stop_publishing: self.stop_publishing.clone(),
        };
        let handle = self.running.spawn(async move {
            let started = Instant::now();
            let mut done = match prepared {
                Ok((runner, context)) => job.run(runner, context).await,
                Err(error) => job.refuse(&error),
            };
            done.duration = started.elapsed();
            done
        });
        self.started.insert(handle.id(), (index, Instant::now()));
    }

    /// Ends a step at once if its result is taken from an earlier run or is not needed.
    fn take_from_earlier_run(&mut self, index: usize) -> bool {
        if self.shell.as_ref().is_some_and(|shell| shell.step != index) && self.failure.is_some() {
            let handle = self.running.spawn(async move { Done::of(index) });
            self.started.insert(handle.id(), (index, Instant::now()));
            return true;
        }
        let Some(cache) = &self.tools.cache else { return false };
        match cache.decision(index) {
            Some(CacheDecision::Hit { key }) => {
                self.events.send(BuildEvent::StepCacheHit { step: index, key: key.clone() });
            }
            Some(CacheDecision::NotNeeded) => {}
            Some(
                CacheDecision::MissBuildAs { .. }
                | CacheDecision::MissFromLast { .. }
                | CacheDecision::MissNoCommit { .. },
            )
            | None => return false,
        }
        let mut kept = None;
        if let Some(Hit { place, outdated }) = cache.hit(index).cloned()
            && let Some(opened) = self.runner_of(index)
        {
            let snapshot = opened.snapshots.adopt(&place);
            kept = Some((opened.clone(), snapshot.clone()));
            self.snapshots.insert(index, (snapshot, outdated));
        }
        // A step that is not needed is as if it were not part of the run.
        let is_hit = matches!(cache.decision(index), Some(CacheDecision::Hit { .. }));
        let step = self.plan.steps.get(index);
        let has_artifacts = step.is_some_and(|step| !step.artifacts.is_empty() && step.artifacts_when.applies(true));
        let handing_back = kept.filter(|_| is_hit && has_artifacts).map(|(opened, snapshot)| {
            let context = self.context(index, Base::Snapshot(snapshot, None), BTreeMap::new());
            (opened, context)
        });
        let handle = self.running.spawn(async move {
            match handing_back {
                Some((opened, Ok(context))) => job::hand_back_artifacts(&opened, &context).await,
                Some((_, Err(error))) => Done { end: End::Ran(Err(Failure(error.sentence()))), ..Done::of(index) },
                None => Done::of(index),
            }
        });
        self.started.insert(handle.id(), (index, Instant::now()));
        true
    }

    fn runner_of(&self, index: usize) -> Option<&OpenRunner> {
        self.tools.runners.get(self.request.runner_of(self.plan.steps.get(index)?))
    }

    fn keeper(&self) -> Keeper {
        Keeper { cache: self.tools.cache.clone(), run_id: self.request.run_id, events: self.events.clone() }
    }

    fn prepare(&mut self, index: usize) -> Result<(OpenRunner, StepContext), EngineError> {
        let unknown = |name: &str| EngineError::UnknownRunner { name: name.to_owned() };
        let step = self.plan.steps.get(index).ok_or_else(|| unknown("?"))?;
        let runner = self.runner_of(index).ok_or_else(|| unknown(self.request.runner_of(step)))?.clone();
        let failure = self.failure.take_if(|_| self.shell.as_ref().is_some_and(|shell| shell.step == index));
        let known = match failure {
            Some(failure) => Some(failure?),
            None => self.last_result(index, &runner),
        };
        let base = match (known, &step.boots_from) {
            (Some(known), _) => known,
            (None, BootsFrom::Image(image)) => Base::Image(image.clone()),
            (None, BootsFrom::Step(parent)) => {
                let (snapshot, outdated) = self.snapshots.get(parent).cloned().ok_or_else(|| {
                    let parent = self.plan.steps.get(*parent).map(|step| step.key.clone());
                    EngineError::NoSnapshot { parent: parent.unwrap_or_default() }
                })?;
                Base::Snapshot(snapshot, outdated)
            }
        };
        let of_services = step.runner_args.as_ref().map(arguments::service_secrets).unwrap_or_default();
        let of_services = self.secrets(of_services.into_iter().map(|(_, name)| name))?;
        let mut context = self.context(index, base, self.secrets(step.secrets.iter().map(String::as_str))?)?;
        context.service_secrets = of_services;
        self.hide_below_mounts(&mut context);
        Ok((runner, context))
    }

    fn secrets<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<BTreeMap<String, String>, EngineError> {
        let value = |name: &str| {
            let value = self.request.secrets.get(name).cloned();
            Ok((name.to_owned(), value.ok_or_else(|| EngineError::MissingSecret { name: name.to_owned() })?))
        };
        names.map(value).collect()
    }

    /// Returns a step's last result if the step starts from it, and reports it.
    fn last_result(&self, index: usize, runner: &OpenRunner) -> Option<Base> {
        let (cache, step) = (self.tools.cache.as_ref()?, self.plan.steps.get(index)?);
        let key = &step.key;
        match cache.last_result(index)? {
            Ok(Hit { place, outdated }) => {
                self.events.notice(format!("`{key}` starts from its last result."));
                Some(Base::Snapshot(runner.snapshots.adopt(place), outdated.clone()))
            }
            Err(why) => {
                let parent = step.parent().and_then(|parent| self.plan.steps.get(parent));
                let start = parent.map_or_else(|| "its image".to_owned(), |parent| format!("`{}`", parent.key));
                self.events.notice(format!("`{key}` starts from {start} and not from its last result, because {why}."));
                None
            }
        }
    }

    /// Leaves out of a step's sources what its cache mounts hide. That is reported once for each path.
    fn hide_below_mounts(&mut self, context: &mut StepContext) {
        let Some(root) = self.plan.root(context.index) else { return };
        let hidden = mounts_below(context.step(), &root.workdir);
        if hidden.is_empty() {
            return;
        }
        let seen = self.seen_sources.entry(hidden.clone()).or_insert_with(|| {
            let seen = self.tools.sources.without_below(&hidden);
            let count = self.tools.sources.files.saturating_sub(seen.files);
            if count > 0 {
                let paths: Vec<String> = hidden.iter().map(|path| format!("`{}`", path.display())).collect();
                let (paths, files) = (paths.join(", "), counted_files(count));
                self.events.notice(format!(
                    "The project has {files} where steps have cache mounts ({paths}), which hide them."
                ));
            }
            Arc::new(seen)
        });
        context.sources = Arc::clone(seen);
        context.hidden = hidden.into();
    }

    fn context(&self, index: usize, base: Base, secrets: BTreeMap<String, String>) -> Result<StepContext, EngineError> {
        let shell = self.shell.as_ref().filter(|shell| shell.step == index);
        let keeping = self.tools.cache.as_ref().map(|cache| Keeping {
            workspace: Some(cache.workspace().to_owned()),
            cache_name: cache.name().to_owned(),
            is_cached: cache.keeps_result(index) && shell.is_none(),
            shared_name: cache.shared_name(index),
            source_images: Some(cache.source_images()),
        });
        Ok(StepContext {
            plan: Arc::clone(&self.plan),
            index,
            base,
            keeps_snapshot: keep_snapshot(&self.plan, index),
            snapshot_use: snapshot_use(self.request, index),
            keeping: keeping.unwrap_or_default(),
            sources: Arc::clone(&self.tools.sources),
            hidden: Arc::default(),
            history: self.history(index),
            artifacts: self.artifacts(index)?,
            providers: self.providers(index),
            is_last_attempt: true,
            may_open_machine: self.request.may_open_machine,
            host_env: self.request.host_env.clone(),
            secrets,
            service_secrets: BTreeMap::new(),
            log_dir: self.request.log_dir.clone(),
            log_room: self.log_room.clone(),
            patterns: self.tools.patterns.clone(),
            terminal: shell.map(|shell| Arc::clone(&shell.terminal)),
            events: self.events.clone(),
            stop: self.stop.clone(),
        })
    }

    fn history(&self, index: usize) -> Option<Arc<History>> {
        let history = self.tools.sources.history.as_ref()?.as_ref().ok()?;
        self.plan.steps.get(index).filter(|step| step.git).map(|_| Arc::clone(history))
    }

    fn artifacts(&self, index: usize) -> Result<Option<Artifacts>, EngineError> {
        let Some(step) = self.plan.steps.get(index).filter(|step| !step.artifacts.is_empty()) else { return Ok(None) };
        let folder = self.request.artifact_folder(step);
        let limit = self.request.limits.artifacts_bytes;
        let delivery = self.deliveries.get(index).cloned().unwrap_or_default();
        let artifacts = Artifacts::new(&step.artifacts, folder, delivery, self.artifact_room.clone(), limit)?;
        let mut outside = mounts_below(step, &step.workdir);
        if step.git
            && let Some(root) = self.plan.root(index)
        {
            let history = Path::new(&root.workdir).join(".git");
            outside.extend(history.strip_prefix(&step.workdir).map(Path::to_owned));
        }
        Ok(Some(artifacts.outside(outside)))
    }

    fn providers(&self, index: usize) -> Vec<Provider> {
        let needed = self.plan.steps.get(index).into_iter().flat_map(|step| &step.needs_artifacts);
        let provider = |index: &usize| {
            let (step, delivery) = self.plan.steps.get(*index).zip(self.deliveries.get(*index))?;
            let (key, folder) = (step.key.clone(), self.request.artifact_folder(step));
            Some(Provider { key, folder, delivery: delivery.clone() })
        };
        needed.filter_map(provider).collect()
    }

    /// Waits for the next step to end. Returns `None` if none runs.
    async fn next_done(&mut self) -> Option<Done> {
        let mut done = match self.running.join_next_with_id().await? {
            Ok((id, done)) => {
                self.started.remove(&id);
                done
            }
            Err(panic) => {
                let (index, started) = self.started.remove(&panic.id()).unwrap_or((0, Instant::now()));
                tracing::error!(%panic, "the task of a step panicked");
                let why = "pipelens itself failed on this step; this is a bug in pipelens.";
                Done { end: End::Ran(Err(Failure(why.into()))), duration: started.elapsed(), ..Done::of(index) }
            }
        };
        if let Some(snapshot) = done.snapshot.take() {
            self.snapshots.insert(done.index, (snapshot, None));
        }
        if let Some(publishing) = done.publishing.take() {
            self.publishing.spawn(publishing);
        }
        for tidy in done.tidy.drain(..) {
            let (keeper, index) = (self.keeper(), done.index);
            let opened = self.runner_of(index).cloned();
            let step = self.plan.steps.get(index).cloned();
            self.tidying.spawn(async move {
                let failure = tidy.await;
                if let (Some(failure), Some(opened), Some(step)) = (failure, opened, step) {
                    let shell = opened.snapshots.shell_command(&failure.place, &step);
                    keeper.keep(index, Purpose::Failure, failure, opened.snapshots.as_ref()).await;
                    keeper.events.send(BuildEvent::StepKept { step: index, shell });
                }
            });
        }
        Some(done)
    }

    /// Waits until the results of this run are in the registry, or the run is cancelled.
    async fn finish_publishing(&mut self) {
        while self.publishing.join_next().await.is_some() {}
    }

    /// Waits until everything is removed. If a removal panics or hangs, the rest is found again when the runner closes.
    async fn tidy(mut self) {
        let all = async { while self.tidying.join_next().await.is_some() {} };
        if tokio::time::timeout(self.request.deadlines.tidying, all).await.is_err() {
            tracing::debug!("tidying takes too long; the runner's own cleanup takes over");
        }
    }
}

/// A filesystem is kept only if a step starts from it.
fn keep_snapshot(plan: &Plan, index: usize) -> KeepSnapshot {
    let has_children = plan.steps.iter().any(|step| step.parent() == Some(index));
    let is_soft = plan.steps.get(index).is_some_and(|step| step.soft_fail);
    match (has_children, is_soft) {
        (false, _) => KeepSnapshot::Never,
        (true, false) => KeepSnapshot::AfterSuccess,
        (true, true) => KeepSnapshot::AfterFailureToo,
    }
}

/// A retry must start from the same filesystem as the first attempt, so a step with retries gets a copy.
fn snapshot_use(request: &RunRequest, index: usize) -> SnapshotUse {
    let plan = &request.plan;
    let mut children = plan.steps.iter().filter(|step| step.parent() == Some(index));
    match (plan.steps.get(index), children.next(), children.next()) {
        (Some(parent), Some(child), None)
            if child.retry == 0
                && child.workdir == parent.workdir
                && arguments_of(child) == arguments_of(parent)
                && request.runner_of(child) == request.runner_of(parent) =>
        {
            SnapshotUse::Once
        }
        _ => SnapshotUse::Several,
    }
}

/// Equal arguments have equal strings, however they are written in the file.
fn arguments_of(step: &PlanStep) -> Option<String> {
    step.runner_args.as_ref().map(canonical)
}

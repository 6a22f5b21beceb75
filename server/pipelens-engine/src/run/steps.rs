//! From the scheduler's word to a step's end. Every task started here is waited for here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pipelens_core::plan::{BootsFrom, Plan, PlanStep};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::artifacts::Artifacts;
use crate::cache::{Cache, CacheDecision, Hit, Outdated, Purpose, Shelf, canonical};
use crate::error::EngineError;
use crate::event::{BuildEvent, LogLine, Outcome, RunOutcome};
use crate::limits::Room;
use crate::logs::StepLogs;
use crate::outbox::Outbox;
use crate::run::{RunRequest, Runners, artifact_folder, is_parallelism_known, log_file};
use crate::runner::{
    Base, Ending, Heirs, KeepSnapshot, Keeping, RunContext, Saved, SnapshotRef, StepResult, StepRunner, Tidy,
};
use crate::scheduler::{Action, Scheduler, Stop};
use crate::secrets::Needles;
use crate::store::PastStep;

/// Runs the plan's steps, and returns how each ended when what they left is tidied, snapshots excepted.
pub(super) async fn run_all(
    request: &RunRequest,
    runners: &Runners,
    outbox: &Outbox,
    cancel: &CancellationToken,
) -> (RunOutcome, Vec<PastStep>) {
    let plan = Arc::new(request.plan.clone());
    // The first step may start before it is known how many the machine can bear.
    let mut scheduler = Scheduler::new(&request.plan, request.parallelism.unwrap_or(1));
    let mut is_counted = is_parallelism_known(request);
    let counted = runners.parallelism();
    tokio::pin!(counted);
    let mut tasks = Tasks::new(request, runners, outbox, Arc::clone(&plan));
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
                Action::Queue(step) => outbox.say(BuildEvent::StepQueued { step }),
                Action::Skip(step, outcome) => {
                    outbox.say(BuildEvent::StepEnd { step, outcome, duration: Duration::ZERO, tail: Vec::new() });
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
            permits = &mut counted, if !is_counted => {
                is_counted = true;
                scheduler.allow(permits);
            }
            () = &mut time_is_over, if stop != Some(Stop::TimedOut) => scheduler.stop(Stop::TimedOut),
            Some(done) = tasks.next_done() => {
                let outcome = done.outcome(&scheduler);
                outbox.say(BuildEvent::StepEnd {
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
    tasks.tidy().await;
    let ends = plan.steps.iter().zip(scheduler.outcomes()).enumerate().map(|(index, (step, outcome))| PastStep {
        key: step.key.clone(),
        outcome: outcome.word().to_owned(),
        digest: digests.remove(&index),
    });
    (scheduler.outcome(), ends.collect())
}

/// The tasks of a run, and what their steps left for others.
struct Tasks<'run> {
    request: &'run RunRequest,
    runners: &'run Runners,
    outbox: &'run Outbox,
    plan: Arc<Plan>,
    stop: CancellationToken,
    running: JoinSet<Done>,
    /// A task that panicked cannot say which step it was.
    started: HashMap<tokio::task::Id, (usize, Instant)>,
    tidying: JoinSet<()>,
    snapshots: HashMap<usize, (SnapshotRef, Option<Outdated>)>,
    log_room: Room,
    artifact_room: Room,
}

/// What a step's task brings home.
struct Done {
    index: usize,
    end: End,
    duration: Duration,
    tail: Vec<LogLine>,
    snapshot: Option<SnapshotRef>,
    tidy: Vec<Tidy>,
    digest: Option<String>,
}

enum End {
    Ran(Result<Ending, String>),
    /// From an earlier run.
    Taken,
}

/// Hands to the cache what outlives the run.
struct Keeper {
    cache: Option<Arc<Cache>>,
    run_id: Uuid,
    outbox: Outbox,
}

impl Keeper {
    async fn keep(&self, index: usize, purpose: Purpose, saved: Saved, runner: &Arc<dyn StepRunner>) {
        let Some(cache) = &self.cache else { return };
        if let Err(error) = cache.keep(index, purpose, saved, self.run_id, runner.as_ref()).await {
            self.outbox.notice(format!("What a step left could not be remembered: {error}."));
        }
    }
}

impl<'run> Tasks<'run> {
    fn new(request: &'run RunRequest, runners: &'run Runners, outbox: &'run Outbox, plan: Arc<Plan>) -> Self {
        Self {
            request,
            runners,
            outbox,
            plan,
            stop: CancellationToken::new(),
            running: JoinSet::new(),
            started: HashMap::new(),
            tidying: JoinSet::new(),
            snapshots: HashMap::new(),
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
            outbox: self.outbox.clone(),
            needles: self.runners.needles.clone(),
            keeper: self.keeper(),
        };
        let handle = self.running.spawn(async move {
            let started = Instant::now();
            let mut done = match prepared {
                Ok((runner, context)) => job.carry_out(runner, context).await,
                Err(error) => job.refuse(&error),
            };
            done.duration = started.elapsed();
            done
        });
        self.started.insert(handle.id(), (index, Instant::now()));
    }

    /// Ends a step at once, if an earlier run has left what it would leave or nobody needs that.
    fn take_from_earlier_run(&mut self, index: usize) -> bool {
        let Some(cache) = &self.runners.cache else { return false };
        match cache.decision(index) {
            Some(CacheDecision::Hit { key }) => {
                self.outbox.say(BuildEvent::StepCacheHit { step: index, key: key.clone() });
            }
            Some(CacheDecision::NotNeeded) => {}
            Some(CacheDecision::MissBuildAs { .. } | CacheDecision::MissNoCommit { .. }) | None => return false,
        }
        if let Some(Hit { place, outdated }) = cache.hit(index).cloned() {
            let is_host = self.runner_name(index) == "host";
            let snapshot = if is_host { SnapshotRef::Folder(place.into()) } else { SnapshotRef::Image(place) };
            self.snapshots.insert(index, (snapshot, outdated));
        }
        self.running.spawn(async move { Done { end: End::Taken, ..Done::of(index) } });
        true
    }

    fn runner_name(&self, index: usize) -> &str {
        let own = self.plan.steps.get(index).and_then(|step| step.runner.as_deref());
        own.unwrap_or(self.request.runner.name())
    }

    fn keeper(&self) -> Keeper {
        Keeper { cache: self.runners.cache.clone(), run_id: self.request.run_id, outbox: self.outbox.clone() }
    }

    fn prepare(&self, index: usize) -> Result<(Arc<dyn StepRunner>, RunContext), EngineError> {
        let unknown = |name: &str| EngineError::UnknownRunner { name: name.to_owned() };
        let step = self.plan.steps.get(index).ok_or_else(|| unknown("?"))?;
        let runner = self.runners.get(step.runner.as_deref());
        let runner = runner.ok_or_else(|| unknown(step.runner.as_deref().unwrap_or_default()))?;
        let base = match &step.boots_from {
            BootsFrom::Image(image) => Base::Image(image.clone()),
            BootsFrom::Step(parent) => {
                let (snapshot, outdated) = self.snapshots.get(parent).cloned().ok_or_else(|| {
                    let parent = self.plan.steps.get(*parent).map(|step| step.key.clone());
                    EngineError::NoSnapshot { parent: parent.unwrap_or_default() }
                })?;
                Base::Snapshot(snapshot, outdated)
            }
        };
        let keeping = self.runners.cache.as_ref().map(|cache| Keeping {
            workspace: Some(cache.workspace.clone()),
            store: cache.store_name.clone(),
            is_cached: cache.asks_for_result(index),
            shared_name: cache.shared_name(index),
            shelf: Some(Shelf::new(Arc::clone(cache))),
        });
        let mut secrets = std::collections::BTreeMap::new();
        for name in &step.secrets {
            let value = self.request.secrets.get(name);
            let value = value.ok_or_else(|| EngineError::MissingSecret { name: name.clone() })?;
            secrets.insert(name.clone(), value.clone());
        }
        let context = RunContext {
            plan: Arc::clone(&self.plan),
            index,
            base,
            keeps_snapshot: keep_snapshot(&self.plan, index),
            heirs: heirs(&self.plan, index, self.request.runner.name()),
            keeping: keeping.unwrap_or_default(),
            sources: Arc::clone(&self.runners.sources),
            artifacts: if step.artifacts.is_empty() {
                None
            } else {
                let folder = artifact_folder(&self.request.log_dir, &step.key);
                let limit = self.request.limits.artifacts_bytes;
                Some(Artifacts::new(&step.artifacts, folder, self.artifact_room.clone(), limit)?)
            },
            may_open_machine: self.request.may_open_machine,
            secrets,
            log_dir: self.request.log_dir.clone(),
            log_room: self.log_room.clone(),
            needles: self.runners.needles.clone(),
            outbox: self.outbox.clone(),
            stop: self.stop.clone(),
        };
        Ok((runner, context))
    }

    /// Waits for the next step to end. `None` if none runs.
    async fn next_done(&mut self) -> Option<Done> {
        let mut done = match self.running.join_next_with_id().await? {
            Ok((id, done)) => {
                self.started.remove(&id);
                done
            }
            Err(panic) => {
                let (index, started) = self.started.remove(&panic.id()).unwrap_or((0, Instant::now()));
                tracing::error!(%panic, "the task of a step panicked");
                let why = "The engine itself failed on this step; this is a bug of ours.";
                Done { end: End::Ran(Err(why.into())), duration: started.elapsed(), ..Done::of(index) }
            }
        };
        if let Some(snapshot) = done.snapshot.take() {
            self.snapshots.insert(done.index, (snapshot, None));
        }
        for tidy in done.tidy.drain(..) {
            let (keeper, index) = (self.keeper(), done.index);
            let runner = self.runners.get(Some(self.runner_name(index)));
            let step = self.plan.steps.get(index).cloned();
            self.tidying.spawn(async move {
                let failure = tidy.await;
                if let (Some(failure), Some(runner), Some(step)) = (failure, runner, step) {
                    let shell = runner.shell_in(&failure.place, &step);
                    keeper.keep(index, Purpose::Failure, failure, &runner).await;
                    keeper.outbox.say(BuildEvent::StepKept { step: index, shell });
                }
            });
        }
        Some(done)
    }

    /// Waits until everything is tidied. What panics or hangs here is found again when the runner closes.
    async fn tidy(mut self) {
        let all = async { while self.tidying.join_next().await.is_some() {} };
        if tokio::time::timeout(self.request.deadlines.tidying, all).await.is_err() {
            tracing::debug!("tidying takes too long; the runner's own cleanup takes over");
        }
    }
}

impl Done {
    fn of(index: usize) -> Self {
        Self {
            index,
            end: End::Taken,
            duration: Duration::ZERO,
            tail: Vec::new(),
            snapshot: None,
            tidy: Vec::new(),
            digest: None,
        }
    }

    fn outcome(&self, scheduler: &Scheduler) -> Outcome {
        let End::Ran(ending) = &self.end else { return Outcome::Cached };
        match ending {
            Ok(Ending::Exited(0)) => Outcome::Succeeded,
            Ok(Ending::Exited(code)) => Outcome::Failed(*code),
            Ok(Ending::TimedOut) => Outcome::TimedOut,
            Ok(Ending::Stopped) => scheduler.outcome_of_stopped_step(),
            Err(sentence) => Outcome::Errored(sentence.clone()),
        }
    }
}

/// One step, all its attempts.
struct Job {
    index: usize,
    log_path: Option<std::path::PathBuf>,
    outbox: Outbox,
    needles: Needles,
    keeper: Keeper,
}

impl Job {
    async fn carry_out(self, runner: Arc<dyn StepRunner>, context: RunContext) -> Done {
        let log_path = self.log_path.clone().unwrap_or_default();
        let mut logs =
            match StepLogs::create(self.index, &log_path, self.outbox.clone(), &self.needles, context.log_room.clone())
                .await
            {
                Ok(logs) => logs,
                Err(error) => return self.refuse(&error),
            };
        let mut tidies = Vec::new();
        let mut attempt = 1;
        let (ending, snapshot, saved, digest) = loop {
            self.say_start(runner.name(), &context, attempt);
            let StepResult { ending, snapshot, saved, tidy, digest } = runner.run_step(&context, &mut logs).await;
            tidies.extend(tidy);
            let may_retry = match &ending {
                Ok(Ending::Exited(code)) => *code != 0,
                Ok(Ending::TimedOut) => true,
                // What we could not run will not run better; what was stopped is over.
                Ok(Ending::Stopped) | Err(_) => false,
            };
            if !may_retry || attempt > context.step().retry || context.stop.is_cancelled() {
                break (ending, snapshot, saved, digest);
            }
            attempt += 1;
        };
        if let Some(saved) = saved {
            let purpose = if context.keeping.is_cached { Purpose::Cache } else { Purpose::Rerun };
            self.keeper.keep(self.index, purpose, saved, &runner).await;
        }
        Done {
            end: End::Ran(ending.map_err(|error| self.needles.mask(&error.sentence()))),
            tail: logs.close().await,
            snapshot,
            tidy: tidies,
            digest,
            ..Done::of(self.index)
        }
    }

    fn say_start(&self, runner: &str, context: &RunContext, attempt: u64) {
        self.outbox.say(BuildEvent::StepStart {
            step: self.index,
            started_at: crate::clock::now(),
            runner: runner.to_owned(),
            image: match &context.base {
                Base::Image(image) => Some(image.clone()),
                Base::Snapshot(..) => None,
            },
            attempt,
        });
    }

    fn refuse(&self, error: &EngineError) -> Done {
        Done { end: End::Ran(Err(error.sentence())), ..Done::of(self.index) }
    }
}

/// A filesystem is kept only for a step that boots from it.
fn keep_snapshot(plan: &Plan, index: usize) -> KeepSnapshot {
    let has_children = plan.steps.iter().any(|step| step.boots_from == BootsFrom::Step(index));
    let is_soft = plan.steps.get(index).is_some_and(|step| step.soft_fail);
    match (has_children, is_soft) {
        (false, _) => KeepSnapshot::Never,
        (true, false) => KeepSnapshot::AfterSuccess,
        (true, true) => KeepSnapshot::AfterFailureToo,
    }
}

/// A repeated attempt must find what the first one found, so a step that may be repeated is no only heir.
fn heirs(plan: &Plan, index: usize, default_runner: &str) -> Heirs {
    let runner_of = |step: &PlanStep| step.runner.clone().unwrap_or_else(|| default_runner.to_owned());
    let mut children = plan.steps.iter().filter(|step| step.boots_from == BootsFrom::Step(index));
    match (plan.steps.get(index), children.next(), children.next()) {
        (Some(parent), Some(child), None)
            if child.retry == 0
                && child.workdir == parent.workdir
                && arguments_of(child) == arguments_of(parent)
                && runner_of(child) == runner_of(parent) =>
        {
            Heirs::Only
        }
        _ => Heirs::Several,
    }
}

/// What is written twice is the same, wherever it stands.
fn arguments_of(step: &PlanStep) -> Option<String> {
    step.runner_args.as_ref().map(canonical)
}

//! One run, and the state of each of its steps.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lsp_types::{ProgressToken, Uri};
use parking_lot::Mutex;
use pipelens_core::plan::{Plan, PlanStep, Target};
use pipelens_engine::event::{BuildEvent, LogLine, Outcome, Phase, RunOutcome};
use pipelens_engine::run::RunRequest;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::artifacts::{Artifacts, StepArtifacts};
use crate::present;
use crate::ran::fingerprints;
use crate::record::Recorded;

/// One run, from the click to its outcome.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: Uuid,
    pub(crate) uri: Uri,
    /// Index into the file's pipelines.
    pub(crate) pipeline: usize,
    /// `ci`, or `ci · test` for less than the pipeline.
    pub(crate) title: String,
    pub(crate) target: Target,
    pub(crate) plan: Arc<Plan>,
    /// For each step, the fingerprint of what it was to run.
    pub(crate) ran: Vec<u64>,
    /// Whether another process ran it, or this server before it was started again. It has ended, and its plan has of each step only what
    /// tells how it ended.
    pub(crate) is_remembered: bool,
    pub(crate) log_dir: PathBuf,
    pub(crate) started: Instant,
    pub(crate) cancel: CancellationToken,
    /// Cancelled when the run has ended and what it left is removed.
    pub(crate) ended: CancellationToken,
    pub(crate) progress_token: Mutex<Option<ProgressToken>>,
    /// Where the last lines of steps that failed are. They are looked up once.
    pub(super) last_lines: Mutex<BTreeMap<usize, Option<Arc<LastLines>>>>,
    view: Mutex<View>,
}

#[derive(Debug)]
struct View {
    steps: Vec<StepView>,
    /// For each failed step whose filesystem is kept, how to open a shell in it.
    shells: BTreeMap<usize, String>,
    artifacts: Artifacts,
    outcome: Option<(RunOutcome, Duration)>,
    /// The newest sentence about the run as a whole.
    notice: Option<String>,
}

/// The last lines of a log.
#[derive(Debug)]
pub(crate) struct LastLines {
    pub(crate) uri: Uri,
    /// Each with its number, from 0.
    pub(crate) lines: Vec<(u32, String)>,
}

/// The state of a step in a run.
#[derive(Debug, Clone)]
pub(crate) enum StepView {
    /// Waits for what it depends on, or for its turn.
    Queued,
    Running {
        since: Instant,
        phase: Option<String>,
    },
    Done {
        outcome: Outcome,
        took: Duration,
        tail: Vec<LogLine>,
    },
}

impl Run {
    /// Returns a run that has not started yet.
    pub(crate) fn new(request: &RunRequest, uri: Uri, pipeline: usize, target: Target) -> Self {
        Self {
            id: request.run_id,
            uri,
            pipeline,
            title: present::run_title(&request.plan.name, &target),
            target,
            ran: fingerprints(&request.plan),
            is_remembered: false,
            plan: Arc::new(request.plan.clone()),
            log_dir: request.log_dir.clone(),
            started: Instant::now(),
            cancel: CancellationToken::new(),
            ended: CancellationToken::new(),
            progress_token: Mutex::default(),
            last_lines: Mutex::default(),
            view: Mutex::new(View {
                steps: vec![StepView::Queued; request.plan.steps.len()],
                shells: BTreeMap::new(),
                artifacts: Artifacts::default(),
                outcome: None,
                notice: None,
            }),
        }
    }

    /// Returns a run of a document's pipeline that was recorded.
    pub(crate) fn remembered(recorded: Recorded, uri: Uri, pipeline: usize) -> Self {
        let Recorded { id, log_dir, head, ends, shells, artifacts: left, outcome, took } = recorded;
        let mut artifacts = Artifacts::default();
        left.iter().for_each(|(step, folder, files)| artifacts.add(*step, folder, *files));
        let steps = ends.into_iter().map(|end| match end {
            Some(end) => StepView::Done { outcome: end.outcome, took: end.took, tail: end.tail },
            None => StepView::Queued,
        });
        let view = View {
            steps: steps.collect(),
            shells: shells.into_iter().collect(),
            artifacts,
            outcome: Some((outcome, took)),
            notice: None,
        };
        let target = if head.is_whole {
            Target::Pipeline
        } else {
            Target::Several { steps: head.steps.iter().map(|step| step.key.clone()).collect(), from: Vec::new() }
        };
        let run = Self {
            id,
            uri,
            pipeline,
            title: head.title.clone(),
            target,
            ran: head.steps.iter().map(|step| step.ran).collect(),
            plan: Arc::new(head.plan()),
            is_remembered: true,
            log_dir,
            started: Instant::now(),
            cancel: CancellationToken::new(),
            ended: CancellationToken::new(),
            progress_token: Mutex::default(),
            last_lines: Mutex::default(),
            view: Mutex::new(view),
        };
        run.ended.cancel();
        run
    }

    /// Applies an event.
    pub(crate) fn apply(&self, event: &BuildEvent) {
        let mut view = self.view.lock();
        let (step, new) = match event {
            BuildEvent::StepStart { step, .. } => (*step, StepView::Running { since: Instant::now(), phase: None }),
            BuildEvent::StepPhase { step, phase } => {
                let phase = (*phase != Phase::Running).then(|| crate::wire::phase_text(phase));
                match view.steps.get(*step) {
                    Some(StepView::Running { since, .. }) => (*step, StepView::Running { since: *since, phase }),
                    Some(StepView::Queued | StepView::Done { .. }) | None => return,
                }
            }
            BuildEvent::StepEnd { step, outcome, duration, tail } => {
                (*step, StepView::Done { outcome: outcome.clone(), took: *duration, tail: tail.clone() })
            }
            BuildEvent::BuildEnd { outcome, duration } => {
                view.outcome = Some((*outcome, *duration));
                return;
            }
            BuildEvent::Notice { message } => {
                view.notice = Some(message.clone());
                return;
            }
            BuildEvent::BuildStart { .. }
            | BuildEvent::StepQueued { .. }
            | BuildEvent::ImageResolved { .. }
            | BuildEvent::StepLog { .. }
            | BuildEvent::StepLogSkipped { .. }
            | BuildEvent::StepCacheHit { .. } => return,
            BuildEvent::StepArtifacts { step, folder, files, .. } => {
                view.artifacts.add(*step, folder, *files);
                return;
            }
            BuildEvent::StepKept { step, shell } => {
                view.shells.insert(*step, shell.clone());
                return;
            }
        };
        if let Some(view) = view.steps.get_mut(step) {
            *view = new;
        }
    }

    /// Ends a run whose engine task is gone, so that it does not look as if it were still running.
    pub(crate) fn end(&self, outcome: RunOutcome) {
        self.view.lock().outcome.get_or_insert((outcome, self.started.elapsed()));
    }

    pub(crate) fn outcome(&self) -> Option<(RunOutcome, Duration)> {
        self.view.lock().outcome
    }

    /// Returns the newest sentence about the run as a whole.
    pub(crate) fn notice(&self) -> Option<String> {
        self.view.lock().notice.clone()
    }

    pub(crate) fn steps(&self) -> Vec<StepView> {
        self.view.lock().steps.clone()
    }

    /// Returns the command line that opens a shell in a failed step.
    pub(crate) fn shell(&self, step: usize) -> Option<String> {
        self.view.lock().shells.get(&step).map(|command| present::startable(command))
    }

    /// Returns what a step has left.
    pub(crate) fn artifacts_of(&self, key: &str) -> Option<StepArtifacts> {
        let named = self.plan.steps.iter().enumerate().filter(|(_, step)| step.is_named(key));
        let named: Vec<usize> = named.map(|(index, _)| index).collect();
        self.artifacts(|artifacts| named.into_iter().find_map(|index| artifacts.of_step(index).cloned()))
    }

    /// Looks at what all steps have left.
    pub(crate) fn artifacts<T>(&self, look: impl FnOnce(&Artifacts) -> T) -> T {
        look(&self.view.lock().artifacts)
    }

    pub(crate) fn has_failed(&self, step: usize) -> bool {
        self.view.lock().steps.get(step).is_some_and(|view| view.failure().is_some())
    }

    /// Passes on every step with its state and the fingerprint of what it was to run.
    pub(crate) fn each_step(&self, mut take: impl FnMut(&PlanStep, &StepView, u64)) {
        let view = self.view.lock();
        let steps = self.plan.steps.iter().zip(&view.steps).zip(&self.ran);
        steps.for_each(|((step, view), ran)| take(step, view, *ran));
    }

    /// Whether what a step has come to tells nothing about the step as it is now: it would run something else. `now` is the fingerprint of what
    /// it would run, if it can run. A failure of this process stays in view while it is being fixed, and a result while the file has errors.
    pub(crate) fn is_outdated(&self, view: &StepView, ran: u64, now: Option<u64>) -> bool {
        match now {
            Some(now) => now != ran && (self.is_remembered || view.has_passed()),
            None => self.is_remembered,
        }
    }

    /// Returns the failed steps among those for which `is_wanted` is true. It is called for every step.
    pub(crate) fn failures(&self, mut is_wanted: impl FnMut(&str) -> bool) -> Vec<Failure> {
        let view = self.view.lock();
        let steps = self.plan.steps.iter().zip(&view.steps).zip(&self.ran).enumerate();
        let steps = steps.filter(|(_, ((step, _), _))| is_wanted(&step.key));
        let failed = steps.filter_map(|(index, ((step, view), ran))| {
            let (outcome, tail) = view.failure()?;
            Some(Failure {
                ran: self.is_remembered.then_some(*ran),
                step: index,
                key: step.key.clone(),
                outcome: outcome.clone(),
                tail: tail.to_vec(),
                shell: step.shell.clone(),
                cmd: step.cmd.clone(),
                soft_fail: step.soft_fail,
            })
        });
        failed.collect()
    }

    pub(crate) fn step(&self, key: &str) -> Option<StepView> {
        self.step_and_what_it_ran(key).map(|(view, _)| view)
    }

    /// Returns the state of a step, with the fingerprint of what it was to run.
    pub(crate) fn step_and_what_it_ran(&self, key: &str) -> Option<(StepView, u64)> {
        let index = self.plan.steps.iter().position(|step| step.key == key)?;
        self.view.lock().steps.get(index).cloned().zip(self.ran.get(index).copied())
    }

    /// Tells whether a step, or a combination of it, has not ended yet.
    pub(crate) fn is_busy_with(&self, key: &str) -> bool {
        let view = self.view.lock();
        let mut named = self.plan.steps.iter().zip(&view.steps).filter(|(step, _)| step.is_named(key));
        named.any(|(_, view)| matches!(view, StepView::Queued | StepView::Running { .. }))
    }

    pub(crate) fn is_of(&self, uri: &Uri, pipeline: usize) -> bool {
        self.uri == *uri && self.pipeline == pipeline
    }
}

/// A step that failed, with the last lines of its output.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Its index in the plan.
    pub(crate) step: usize,
    pub(crate) key: String,
    pub(crate) outcome: Outcome,
    pub(crate) tail: Vec<LogLine>,
    /// The program that ran its command, with its options.
    pub(crate) shell: Vec<String>,
    pub(crate) cmd: String,
    pub(crate) soft_fail: bool,
    /// The fingerprint of what failed, if the step may have been edited since without this server seeing it.
    pub(crate) ran: Option<u64>,
}

impl Failure {
    /// Whether the run goes on as if nothing had happened.
    pub(crate) fn is_forgiven(&self) -> bool {
        self.soft_fail && matches!(self.outcome, Outcome::Failed(_) | Outcome::TimedOut)
    }
}

impl StepView {
    fn has_passed(&self) -> bool {
        matches!(self, Self::Done { outcome: Outcome::Succeeded | Outcome::Cached, .. })
    }

    /// Returns why the step did not do what it should, if it did not.
    pub(crate) fn failure(&self) -> Option<(&Outcome, &[LogLine])> {
        match self {
            Self::Done { outcome, tail, .. } => match outcome {
                Outcome::Failed(_) | Outcome::TimedOut | Outcome::Errored(_) => Some((outcome, tail)),
                Outcome::Succeeded | Outcome::Cached | Outcome::Cancelled | Outcome::Skipped(_) => None,
            },
            Self::Queued | Self::Running { .. } => None,
        }
    }
}

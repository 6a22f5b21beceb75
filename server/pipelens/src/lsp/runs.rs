//! The runs of this server: starts them, knows where each step stands, cancels them. The engine does the work; `report` speaks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lsp_types::{Diagnostic, DiagnosticSeverity, NumberOrString, ProgressToken, Uri};
use pipelens_core::model::Pipeline;
use pipelens_core::plan::{Plan, Refusal, Target};
use pipelens_core::text::TextRange;
use pipelens_engine::event::{BuildEvent, LogLine, Outcome, RunOutcome};
use pipelens_engine::run::{RunRequest, log_file};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_lsp::UriExt;
use uuid::Uuid;

use super::commands::UNTRUSTED;
use super::config::Config;
use super::convert::TextMap;
use super::ext::{CancelArgs, OpenLogArgs, PipelineRef};
use super::state::{Document, lock};
use crate::project::NotStarted;
use crate::{present, project};

/// Finished runs that are remembered, for lenses, diagnostics and logs.
const REMEMBERED_RUNS: usize = 50;

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
    pub(crate) log_dir: PathBuf,
    pub(crate) started: Instant,
    pub(crate) cancel: CancellationToken,
    pub(crate) progress_token: Mutex<Option<ProgressToken>>,
    view: Mutex<View>,
}

#[derive(Debug)]
struct View {
    steps: Vec<StepView>,
    /// For each failed step whose state is kept, how to look into it.
    shells: BTreeMap<usize, String>,
    outcome: Option<(RunOutcome, Duration)>,
}

/// Where a step of a run stands.
#[derive(Debug, Clone)]
pub(crate) enum StepView {
    /// Waits for what it depends on, or for a permit.
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
    /// Takes in an event; the lenses show it from now on.
    pub(crate) fn apply(&self, event: &BuildEvent) {
        let mut view = lock(&self.view);
        let (step, new) = match event {
            BuildEvent::StepStart { step, .. } => (*step, StepView::Running { since: Instant::now(), phase: None }),
            BuildEvent::StepPhase { step, phase } => {
                let phase = Some(crate::wire::phase_text(phase));
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
            BuildEvent::BuildStart { .. }
            | BuildEvent::Notice { .. }
            | BuildEvent::StepQueued { .. }
            | BuildEvent::ImageResolved { .. }
            | BuildEvent::StepLog { .. }
            | BuildEvent::StepLogSkipped { .. }
            | BuildEvent::StepCacheHit { .. } => return,
            BuildEvent::StepKept { step, shell } => {
                view.shells.insert(*step, shell.clone());
                return;
            }
        };
        if let Some(view) = view.steps.get_mut(step) {
            *view = new;
        }
    }

    /// Ends a run whose engine task is gone, so that it never looks as if it went on.
    pub(crate) fn end(&self, outcome: RunOutcome) {
        lock(&self.view).outcome.get_or_insert((outcome, self.started.elapsed()));
    }

    pub(crate) fn outcome(&self) -> Option<(RunOutcome, Duration)> {
        lock(&self.view).outcome
    }

    pub(crate) fn steps(&self) -> Vec<StepView> {
        lock(&self.view).steps.clone()
    }

    /// Returns the command line that gives a shell in what a failed step left.
    pub(super) fn shell(&self, step: usize) -> Option<String> {
        lock(&self.view).shells.get(&step).cloned()
    }

    fn step(&self, key: &str) -> Option<StepView> {
        let index = self.plan.steps.iter().position(|step| step.key == key)?;
        lock(&self.view).steps.get(index).cloned()
    }

    fn is_of(&self, uri: &Uri, pipeline: usize) -> bool {
        self.uri == *uri && self.pipeline == pipeline
    }
}

/// A run that was just started, and what the engine needs for it.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) run: Arc<Run>,
    pub(crate) request: RunRequest,
}

/// All runs of this process, newest last.
#[derive(Debug)]
pub(crate) struct Runs {
    runs: Mutex<Vec<Arc<Run>>>,
    config: Arc<Config>,
    /// Every run's task; waited for at the end of the process.
    pub(crate) tasks: TaskTracker,
}

impl Runs {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { runs: Mutex::default(), config, tasks: TaskTracker::new() }
    }

    /// Plans a run of what is on screen and registers it, or says why it cannot be.
    pub(crate) fn start(
        &self,
        document: &Document,
        pipeline: Option<&PipelineRef>,
        target: Target,
    ) -> Result<Started, NotStarted> {
        let (plan, index, root) = self.plan(document, pipeline, &target).map_err(NotStarted::Refused)?;
        let settings = self.config.settings();
        let request = project::run_request(plan, root.clone(), &settings, &self.config.project(&root))?;
        let run = Arc::new(Run {
            id: request.run_id,
            uri: document.uri.clone(),
            pipeline: index,
            title: title(&request.plan.name, &target),
            target,
            plan: Arc::new(request.plan.clone()),
            log_dir: request.log_dir.clone(),
            started: Instant::now(),
            cancel: CancellationToken::new(),
            progress_token: Mutex::default(),
            view: Mutex::new(View {
                steps: vec![StepView::Queued; request.plan.steps.len()],
                shells: BTreeMap::new(),
                outcome: None,
            }),
        });
        self.register(&run).map_err(NotStarted::Refused)?;
        Ok(Started { run, request })
    }

    /// Returns the plan of what is asked for, with the pipeline's index and the project.
    fn plan(
        &self,
        document: &Document,
        pipeline: Option<&PipelineRef>,
        target: &Target,
    ) -> Result<(Plan, usize, PathBuf), String> {
        let path = document
            .uri
            .to_file_path()
            .map(|path| path.into_owned())
            .ok_or_else(|| format!("`{}` is not a file on this machine", document.uri.as_str()))?;
        if !document.is_pipeline {
            return Err(format!("`{}` is not a pipeline file", path.display()));
        }
        let index = pipeline_index(document, pipeline)?;
        let stem = project::stem_of(&path);
        let plan = pipelens_core::plan::plan(&document.analysis, index, target, &stem)
            .map_err(|refusal| refusal_text(&refusal, document, &path.display().to_string()))?;
        Ok((plan, index, self.config.root_of(&path)))
    }

    /// Adds a run, unless one of its steps is on its way already: it would fight over the same files and names.
    fn register(&self, run: &Arc<Run>) -> Result<(), String> {
        let mut runs = lock(&self.runs);
        // Asked under the lock under which a withdrawal looks for runs to end: none can slip in between.
        if self.config.is_untrusted() {
            return Err(UNTRUSTED.to_owned());
        }
        let active = runs.iter().filter(|other| other.outcome().is_none() && other.is_of(&run.uri, run.pipeline));
        for other in active {
            let busy = run
                .plan
                .steps
                .iter()
                .find(|step| matches!(other.step(&step.key), Some(StepView::Queued | StepView::Running { .. })));
            if let Some(step) = busy {
                return Err(format!("Step `{}` is already running; cancel that run first", step.key));
            }
        }
        let excess = (runs.len() + 1).saturating_sub(REMEMBERED_RUNS);
        let mut to_drop = excess;
        runs.retain(|run| {
            let drop = to_drop > 0 && run.outcome().is_some();
            to_drop -= usize::from(drop);
            !drop
        });
        runs.push(run.clone());
        Ok(())
    }

    /// Returns the newest run of a step, with where the step stands in it.
    pub(crate) fn of_step(&self, uri: &Uri, pipeline: usize, key: &str) -> Option<(Arc<Run>, StepView)> {
        let runs = lock(&self.runs);
        runs.iter().rev().filter(|run| run.is_of(uri, pipeline)).find_map(|run| Some((run.clone(), run.step(key)?)))
    }

    /// Returns the newest run of a whole pipeline.
    pub(crate) fn of_pipeline(&self, uri: &Uri, pipeline: usize) -> Option<Arc<Run>> {
        let runs = lock(&self.runs);
        runs.iter().rev().find(|run| run.is_of(uri, pipeline) && run.target == Target::Pipeline).cloned()
    }

    /// Cancels what the arguments name and returns it. Finished runs are left alone.
    pub(crate) fn cancel(&self, args: &CancelArgs) -> Vec<Uuid> {
        let runs = lock(&self.runs);
        let named = runs.iter().filter(|run| {
            run.outcome().is_none()
                && args.run_id.is_none_or(|id| run.id == id)
                && args.uri.as_ref().is_none_or(|uri| run.uri == *uri)
                && args
                    .step
                    .as_ref()
                    .is_none_or(|step| matches!(run.step(step), Some(StepView::Queued | StepView::Running { .. })))
        });
        named
            .map(|run| {
                run.cancel.cancel();
                run.id
            })
            .collect()
    }

    /// Cancels everything if the workspace is not trusted any more.
    pub(crate) fn stop_without_trust(&self) {
        if self.config.is_untrusted() {
            self.cancel(&CancelArgs::default());
        }
    }

    /// Cancels the run that a progress token belongs to.
    pub(crate) fn cancel_token(&self, token: &ProgressToken) {
        let runs = lock(&self.runs);
        if let Some(run) = runs.iter().find(|run| lock(&run.progress_token).as_ref() == Some(token)) {
            run.cancel.cancel();
        }
    }

    /// Cancels everything and waits until it is cleaned up, or until the deadline.
    pub(crate) async fn stop(&self, deadline: Duration) {
        self.cancel(&CancelArgs::default());
        self.tasks.close();
        if tokio::time::timeout(deadline, self.tasks.wait()).await.is_err() {
            tracing::error!("some runs were not cleaned up in time; the next start sweeps what they left");
        }
    }

    /// Returns the runs of this process, newest first.
    pub(super) fn newest_first(&self) -> Vec<Arc<Run>> {
        lock(&self.runs).iter().rev().cloned().collect()
    }

    /// Returns the log file that the arguments name: of a step, else of the last failure, else of the newest step that ran.
    pub(crate) fn log(&self, args: &OpenLogArgs) -> Result<PathBuf, String> {
        let runs = lock(&self.runs);
        let newest = |wanted: &dyn Fn(&StepView) -> bool| {
            runs.iter().rev().filter(|run| args.run_id.is_none_or(|id| run.id == id)).find_map(|run| {
                let steps = run.steps();
                let named = run.plan.steps.iter().zip(&steps).rev();
                let (step, _) = named
                    .filter(|(step, _)| args.step.as_ref().is_none_or(|key| step.key == *key))
                    .find(|(_, view)| wanted(view))?;
                Some((log_file(&run.log_dir, &step.key), step.key.clone()))
            })
        };
        let skipped = newest(&|view| matches!(view, StepView::Done { outcome: Outcome::Skipped(_), .. }));
        let (path, key) = newest(&is_failure)
            .or_else(|| newest(&|view| matches!(view, StepView::Running { .. } | StepView::Done { .. })))
            .or(skipped)
            .ok_or("Nothing has run yet, so there is no log")?;
        if path.exists() { Ok(path) } else { Err(format!("Step `{key}` was never started, so it has no log")) }
    }

    /// Returns the failures of the newest runs, each on its step's command. They vanish when the step runs again.
    pub(crate) fn failures(&self, document: &Document, map: TextMap<'_>) -> Vec<Diagnostic> {
        let pipelines = document.analysis.pipelines.iter().enumerate();
        pipelines
            .flat_map(|(index, pipeline)| pipeline.steps.iter().map(move |step| (index, step)))
            .filter_map(|(index, step)| {
                let (_, view) = self.of_step(&document.uri, index, &step.key.value)?;
                let StepView::Done { outcome, tail, .. } = view else { return None };
                let message = failure_text(&step.key.value, &outcome, &tail)?;
                let place = step.cmd.as_ref().map_or(step.key.range, |cmd| cmd.range);
                Some(Diagnostic {
                    range: map.range(first_line(&document.text, place)),
                    severity: Some(DiagnosticSeverity::ERROR),
                    code: Some(NumberOrString::String("step-failed".to_owned())),
                    source: Some("pipelens run".to_owned()),
                    message,
                    ..Diagnostic::default()
                })
            })
            .collect()
    }
}

fn is_failure(view: &StepView) -> bool {
    match view {
        StepView::Done { outcome, .. } => match outcome {
            Outcome::Failed(_) | Outcome::TimedOut | Outcome::Errored(_) => true,
            Outcome::Succeeded | Outcome::Cached | Outcome::Cancelled | Outcome::Skipped(_) => false,
        },
        StepView::Queued | StepView::Running { .. } => false,
    }
}

/// Says what went wrong, with the last lines of output; `None` if nothing did.
fn failure_text(key: &str, outcome: &Outcome, tail: &[LogLine]) -> Option<String> {
    let what = match outcome {
        Outcome::Failed(code) => format!("Step `{key}` failed: exit {code}"),
        Outcome::TimedOut => format!("Step `{key}` timed out"),
        Outcome::Errored(why) => format!("Step `{key}` could not run: {why}"),
        Outcome::Succeeded | Outcome::Cached | Outcome::Cancelled | Outcome::Skipped(_) => return None,
    };
    const SHOWN_LINES: usize = 10;
    let lines = tail.iter().skip(tail.len().saturating_sub(SHOWN_LINES));
    let output: String = lines.map(|line| format!("\n{}", anstream::adapter::strip_str(&line.text))).collect();
    Some(what + &output)
}

fn first_line(text: &str, range: TextRange) -> TextRange {
    let content = text.get(range.start..range.end).unwrap_or_default();
    let start = range.start + (content.len() - content.trim_start().len());
    let line = text.get(start..range.end).unwrap_or_default().lines().next().unwrap_or_default();
    TextRange::new(start, start + line.trim_end().len())
}

fn title(name: &str, target: &Target) -> String {
    match target {
        Target::Pipeline => name.to_owned(),
        Target::Step(step) => format!("{name} · {step}"),
        Target::From(step) => format!("{name} · from {step}"),
        Target::Steps(steps) => format!("{name} · {}", steps.join(", ")),
    }
}

pub(super) fn pipeline_index(document: &Document, wanted: Option<&PipelineRef>) -> Result<usize, String> {
    let pipelines = &document.analysis.pipelines;
    let named = |name: &str| {
        let is_named = |pipeline: &Pipeline| pipeline.name.as_ref().is_some_and(|own| own.value == name);
        pipelines.iter().position(is_named)
    };
    match wanted {
        None => Ok(0),
        Some(PipelineRef::Index(index)) => Ok(*index),
        Some(PipelineRef::Name(name)) => named(name).ok_or_else(|| format!("The file has no pipeline named `{name}`")),
    }
}

/// Says why a target cannot be planned, with the line where there is one.
pub(crate) fn refusal_text(refusal: &Refusal, document: &Document, path: &str) -> String {
    let first = match refusal {
        Refusal::HasErrors(diagnostic) => Some(diagnostic.as_ref()),
        // A file without a pipeline has a finding that says why.
        Refusal::NoSuchPipeline => document.analysis.diagnostics.first(),
        Refusal::IsRepaired | Refusal::NoSuchStep { .. } => None,
    };
    let Some(first) = first else { return present::refusal(refusal, path) };
    let line = document.analysis.line_index.line(first.range.start) + 1;
    format!("The pipeline has an error in line {line}, so it does not run: {}", first.message)
}

//! The runs of this process: starts them, knows them, cancels them. The engine does the work.

use std::path::PathBuf;
use std::sync::Arc;

use lsp_types::{ProgressToken, Uri};
use parking_lot::Mutex;
use pipelens_core::diagnostic::Diagnostic;
use pipelens_core::model::Pipeline;
use pipelens_core::plan::{Plan, Refusal, Target, plan_with};
use pipelens_engine::run::RunRequest;
use uuid::Uuid;

use super::run::{Run, StepView};
use crate::lsp::protocol::commands::{CancelArgs, PipelineRef, UNTRUSTED};
use crate::lsp::protocol::files::{not_a_file, path_of};
use crate::lsp::session::documents::Document;
use crate::lsp::session::settings::SessionSettings;
use crate::project::NotStarted;
use crate::settings::{Runner, Settings};
use crate::{present, project};

/// Finished runs that are remembered, for lenses, diagnostics and logs.
const REMEMBERED_RUNS: usize = 50;

/// A run that was just started, and what the engine needs for it.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) run: Arc<Run>,
    pub(crate) request: RunRequest,
    /// Runs that are not remembered any more.
    pub(crate) forgotten: Vec<Uuid>,
}

/// All runs of this process.
#[derive(Debug)]
pub(crate) struct Registry {
    /// Newest last.
    runs: Mutex<Vec<Arc<Run>>>,
    settings: Arc<SessionSettings>,
}

impl Registry {
    pub(crate) fn new(settings: Arc<SessionSettings>) -> Self {
        Self { runs: Mutex::default(), settings }
    }

    /// Plans and registers a run of a document, or returns why it cannot start.
    pub(crate) fn start(
        &self,
        document: &Document,
        pipeline: Option<&PipelineRef>,
        target: Target,
    ) -> Result<Started, NotStarted> {
        let (plan, index, root) = self.plan(document, pipeline, &target).map_err(NotStarted::Refused)?;
        let settings = self.settings.settings_of(&document.uri);
        let request = project::run_request(plan, root.clone(), &settings, &self.settings.project(&root))?;
        let run = Arc::new(Run::new(&request, document.uri.clone(), index, target));
        let forgotten = self.register(&run).map_err(NotStarted::Refused)?;
        Ok(Started { run, request, forgotten })
    }

    /// Plans and registers the same run on this machine.
    pub(crate) fn start_on_host(&self, run: &Run) -> Result<Started, NotStarted> {
        let path = path_of(&run.uri).unwrap_or_default();
        let root = self.settings.root_of(&path);
        let host = Runner::try_from("host".to_owned()).map_err(NotStarted::Refused)?;
        let settings = Settings { runner: host, ..(*self.settings.settings_for(&path)).clone() };
        let request =
            project::run_request((*run.plan).clone(), root.clone(), &settings, &self.settings.project(&root))?;
        let run = Arc::new(Run::new(&request, run.uri.clone(), run.pipeline, run.target.clone()));
        let forgotten = self.register(&run).map_err(NotStarted::Refused)?;
        Ok(Started { run, request, forgotten })
    }

    /// Returns the index of the pipeline that a target is in, if it can run.
    pub(crate) fn check(
        &self,
        document: &Document,
        pipeline: Option<&PipelineRef>,
        target: &Target,
    ) -> Result<usize, String> {
        self.plan(document, pipeline, target).map(|(_, index, _)| index)
    }

    /// Returns the plan of what is asked for, with the pipeline's index and the project.
    fn plan(
        &self,
        document: &Document,
        pipeline: Option<&PipelineRef>,
        target: &Target,
    ) -> Result<(Plan, usize, PathBuf), String> {
        let path = path_of(&document.uri).ok_or_else(|| not_a_file(&document.uri))?;
        if !document.is_pipeline() {
            return Err(format!("`{}` is not a pipeline file", path.display()));
        }
        let index = pipeline_index(document, pipeline)?;
        let stem = project::stem_of(&path);
        let severity = |finding: &Diagnostic| document.project.severity_of(finding);
        let plan = plan_with(&document.analysis, index, target, &stem, severity)
            .map_err(|refusal| refusal_text(&refusal, document, &path.display().to_string()))?;
        Ok((plan, index, self.settings.root_of(&path)))
    }

    /// Adds a run, unless one of its steps is running already: the two would use the same files and names. Returns the runs that are
    /// forgotten for it.
    fn register(&self, run: &Arc<Run>) -> Result<Vec<Uuid>, String> {
        let mut runs = self.runs.lock();
        // Checked under the lock that is also held when trust is withdrawn: no run can start in between.
        if self.settings.is_untrusted() {
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
        let finished = runs.iter().filter(|run| run.outcome().is_some());
        let forgotten: Vec<Uuid> = finished.take(excess).map(|run| run.id).collect();
        runs.retain(|run| !forgotten.contains(&run.id));
        runs.push(run.clone());
        Ok(forgotten)
    }

    /// Adds a run that was recorded, in the order of time. Returns whether there was room for it.
    pub(crate) fn remember(&self, run: Run) -> bool {
        let mut runs = self.runs.lock();
        let has_room = runs.len() < REMEMBERED_RUNS && runs.iter().all(|known| known.id != run.id);
        if has_room {
            let place = runs.partition_point(|known| known.id < run.id);
            runs.insert(place, Arc::new(run));
        }
        has_room
    }

    pub(crate) fn knows(&self, id: Uuid) -> bool {
        self.runs.lock().iter().any(|run| run.id == id)
    }

    /// Returns the newest run of a step, with the step's state in it and the fingerprint of what it was to run.
    pub(super) fn of_step(&self, uri: &Uri, pipeline: usize, key: &str) -> Option<(Arc<Run>, StepView, u64)> {
        let runs = self.runs.lock();
        runs.iter().rev().filter(|run| run.is_of(uri, pipeline)).find_map(|run| {
            let (view, ran) = run.step_and_what_it_ran(key)?;
            Some((run.clone(), view, ran))
        })
    }

    /// Returns the newest run of a pipeline or of some of its steps; one that has not ended comes first.
    pub(crate) fn of_pipeline(&self, uri: &Uri, pipeline: usize) -> Option<Arc<Run>> {
        let runs = self.runs.lock();
        let mut own = runs.iter().rev().filter(|run| run.is_of(uri, pipeline));
        let newest = own.next()?;
        let active = std::iter::once(newest).chain(own).find(|run| run.outcome().is_none());
        Some(active.unwrap_or(newest).clone())
    }

    /// Cancels what the arguments name and returns it. Finished runs are left alone.
    pub(crate) fn cancel(&self, args: &CancelArgs) -> Vec<Uuid> {
        let runs = self.runs.lock();
        let named = runs.iter().filter(|run| {
            run.outcome().is_none()
                && args.run_id.is_none_or(|id| run.id == id)
                && args.uri.as_ref().is_none_or(|uri| run.uri == *uri)
                && args.step.as_ref().is_none_or(|step| run.is_busy_with(step))
        });
        named
            .map(|run| {
                run.cancel.cancel();
                run.id
            })
            .collect()
    }

    /// Cancels the run that a progress token belongs to.
    pub(crate) fn cancel_token(&self, token: &ProgressToken) {
        let runs = self.runs.lock();
        if let Some(run) = runs.iter().find(|run| run.progress_token.lock().as_ref() == Some(token)) {
            run.cancel.cancel();
        }
    }

    /// Returns the runs of this process, newest first.
    pub(crate) fn newest_first(&self) -> Vec<Arc<Run>> {
        self.runs.lock().iter().rev().cloned().collect()
    }
}

pub(crate) fn pipeline_index(document: &Document, wanted: Option<&PipelineRef>) -> Result<usize, String> {
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

/// Returns why a target cannot be planned, with a line number if possible.
fn refusal_text(refusal: &Refusal, document: &Document, path: &str) -> String {
    let first = match refusal {
        Refusal::HasErrors(diagnostic) => Some(diagnostic.as_ref()),
        // A file without a pipeline has a finding that explains why.
        Refusal::NoSuchPipeline => document.analysis.diagnostics.first(),
        Refusal::IsRepaired | Refusal::NoSuchStep { .. } => None,
    };
    let Some(first) = first else { return present::refusal(refusal, path) };
    let line = document.analysis.line_index.line(first.range.start) + 1;
    format!("The pipeline has an error on line {line}, so it cannot run: {}", first.message)
}

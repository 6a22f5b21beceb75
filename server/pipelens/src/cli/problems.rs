//! The problems that the steps of a run report, for CI: as annotations while it runs, or as one document at its end.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use pipelens_core::plan::Plan;
use pipelens_core::problems::{MAX_PROBLEMS, Matchers, Problem, Reader};
use pipelens_engine::event::{BuildEvent, Outcome};
use pipelens_engine::run::{RunRequest, log_file};

use super::checked::Source;
use super::output::RunFormat;
use super::report;
use crate::present;
use crate::problems::{Located, Locator, finish, read, read_log, readers};

/// Collects the problems of a run and prints them.
pub(super) struct Problems {
    format: RunFormat,
    plan: Plan,
    log_dir: std::path::PathBuf,
    matchers: Arc<Matchers>,
    steps: Vec<Step>,
    locator: Locator,
    all: Vec<Located>,
}

impl Located {
    /// Returns the file it is in, named as in the project.
    pub(super) fn source_of(&self) -> Source<'_> {
        Source { path: Path::new(&self.file.name), text: &self.file.text, line_index: &self.file.line_index }
    }
}

/// One step's output.
struct Step {
    reader: Reader,
    is_incomplete: bool,
    found: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(format: RunFormat, request: &RunRequest, matchers: Matchers) -> Self {
        let (plan, matchers) = (request.plan.clone(), Arc::new(matchers));
        let step = |reader| Step { reader, is_incomplete: false, found: Vec::new() };
        Self {
            format,
            steps: readers(&plan, &matchers).into_iter().map(step).collect(),
            locator: Locator::new(&request.source_root, &plan),
            log_dir: request.log_dir.clone(),
            plan,
            matchers,
            all: Vec::new(),
        }
    }

    /// Takes in an event. Annotations of a step are printed when it has ended.
    pub(super) fn see(&mut self, event: &BuildEvent) -> io::Result<()> {
        match event {
            BuildEvent::StepStart { step, .. } => {
                let reader = self.reader(*step);
                if let Some(step) = self.steps.get_mut(*step) {
                    *step = Step { reader, is_incomplete: false, found: Vec::new() };
                }
            }
            BuildEvent::StepLog { step, lines } => {
                if let Some(step) = self.steps.get_mut(*step) {
                    step.found.extend(read(&mut step.reader, lines));
                }
            }
            BuildEvent::StepLogSkipped { step, .. } => {
                if let Some(step) = self.steps.get_mut(*step) {
                    step.is_incomplete = true;
                }
            }
            BuildEvent::StepEnd { step, outcome, .. } => return self.end(*step, outcome),
            BuildEvent::BuildStart { .. }
            | BuildEvent::Notice { .. }
            | BuildEvent::StepQueued { .. }
            | BuildEvent::ImageResolved { .. }
            | BuildEvent::StepPhase { .. }
            | BuildEvent::StepCacheHit { .. }
            | BuildEvent::StepArtifacts { .. }
            | BuildEvent::StepKept { .. }
            | BuildEvent::BuildEnd { .. } => {}
        }
        Ok(())
    }

    /// The run is over.
    pub(super) fn finish(&self) -> io::Result<()> {
        if self.format == RunFormat::Sarif { print(&report::sarif_problems(&self.all)) } else { Ok(()) }
    }

    fn reader(&self, step: usize) -> Reader {
        let command = self.plan.steps.get(step).map_or("", |step| step.cmd.as_str());
        Reader::new(self.matchers.clone(), command)
    }

    fn end(&mut self, index: usize, outcome: &Outcome) -> io::Result<()> {
        let (reader, key) = (self.reader(index), self.plan.steps.get(index).map_or("", |step| step.key.as_str()));
        let Some(step) = self.steps.get_mut(index) else { return Ok(()) };
        let mut problems = std::mem::take(&mut step.found);
        if step.is_incomplete {
            problems = read_log(&log_file(&self.log_dir, key), &mut { reader });
        } else {
            problems.extend(finish(&mut step.reader));
        }
        let first = self.all.len();
        for problem in &problems {
            if self.all.len() < MAX_PROBLEMS
                && let Some(located) = self.locator.locate(index, problem)
            {
                self.all.push(located);
            }
        }
        if self.format != RunFormat::Github {
            return Ok(());
        }
        let failed = failure(key, outcome).map(|text| report::github_failure(key, &text)).unwrap_or_default();
        print(&(report::github_problems(self.all.get(first..).unwrap_or_default()) + &failed))
    }
}

fn failure(key: &str, outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Failed(_) | Outcome::TimedOut => {
            Some(format!("Step `{key}`: {}", present::step_outcome(outcome, std::time::Duration::ZERO)))
        }
        Outcome::Errored(why) => Some(format!("Step `{key}` could not run: {why}")),
        Outcome::Succeeded | Outcome::Cached | Outcome::Cancelled | Outcome::Skipped(_) => None,
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

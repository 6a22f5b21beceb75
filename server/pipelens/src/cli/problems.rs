//! The problems that the steps of a run report, for CI: as annotations while it runs, or as one document at its end.

use std::io::{self, Write as _};
use std::path::Path;

use pipelens_core::plan::Plan;
use pipelens_core::problems::{MAX_PROBLEMS, Matchers, Problem};
use pipelens_engine::event::{BuildEvent, Outcome};
use pipelens_engine::run::{RunRequest, log_file};

use super::checked::Source;
use super::output::RunFormat;
use super::report;
use crate::present;
use crate::problems::{Located, Locator, News, Output, read_log};

/// Collects the problems of a run and prints them.
pub(super) struct Problems {
    format: RunFormat,
    plan: Plan,
    log_dir: std::path::PathBuf,
    output: Output,
    /// What each step that runs has reported so far.
    found: Vec<Vec<Problem>>,
    locator: Locator,
    all: Vec<Located>,
}

impl Located {
    /// Returns the file it is in, named as in the project.
    pub(super) fn source_of(&self) -> Source<'_> {
        Source { path: Path::new(&self.file.name), text: &self.file.text, line_index: &self.file.line_index }
    }
}

impl Problems {
    pub(super) fn new(format: RunFormat, request: &RunRequest, matchers: Matchers) -> Self {
        let plan = request.plan.clone();
        Self {
            format,
            output: Output::new(&plan, matchers),
            found: vec![Vec::new(); plan.steps.len()],
            locator: Locator::new(&request.source_root, &plan),
            log_dir: request.log_dir.clone(),
            plan,
            all: Vec::new(),
        }
    }

    /// Takes in an event. Annotations of a step are printed when it has ended.
    pub(super) fn see(&mut self, event: &BuildEvent) -> io::Result<()> {
        match self.output.read(event) {
            Some(News::Begin(step)) => self.replace(step, Vec::new()),
            Some(News::Again(step, mut reader)) => {
                let key = self.plan.steps.get(step).map_or("", |step| step.key.as_str());
                let found = read_log(&log_file(&self.log_dir, key), &mut reader);
                self.replace(step, found);
            }
            Some(News::Found(step, found)) => {
                if let Some(all) = self.found.get_mut(step) {
                    all.extend(found);
                }
            }
            None => {}
        }
        let BuildEvent::StepEnd { step, outcome, .. } = event else { return Ok(()) };
        self.end(*step, outcome)
    }

    fn replace(&mut self, step: usize, found: Vec<Problem>) {
        if let Some(before) = self.found.get_mut(step) {
            *before = found;
        }
    }

    /// The run is over.
    pub(super) fn finish(&self) -> io::Result<()> {
        if self.format == RunFormat::Sarif { print(&report::sarif_problems(&self.all)) } else { Ok(()) }
    }

    fn end(&mut self, index: usize, outcome: &Outcome) -> io::Result<()> {
        let key = self.plan.steps.get(index).map_or("", |step| step.key.as_str());
        let Some(problems) = self.found.get_mut(index).map(std::mem::take) else { return Ok(()) };
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
        let failed =
            present::step_failure(key, outcome).map(|text| report::github_failure(key, &text)).unwrap_or_default();
        print(&(report::github_problems(self.all.get(first..).unwrap_or_default()) + &failed))
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

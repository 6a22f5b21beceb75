//! Problems that a run's steps report, as findings on the files they are about. They are removed when their step runs again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use lsp_types::{Diagnostic, DiagnosticRelatedInformation, Location, NumberOrString, Uri};
use pipelens_core::problems::{MAX_PROBLEMS, Matchers, Problem, Reader};
use pipelens_engine::event::{BuildEvent, Outcome};
use pipelens_engine::run::{RunRequest, log_file};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tower_lsp::UriExt;

use super::context::Runs;
use super::run::Run;
use crate::lsp::findings::store::{Finding, Place, Source};
use crate::lsp::protocol::positions::{TextMap, Units, severity};
use crate::problems::{Located, Locator, SourceText, finish, read, read_log, readers};
use crate::settings::matchers::compiled;
use crate::terminal;

/// News between the events of a run and the task that looks at files.
const QUEUE: usize = 256;

/// Reads the output of one run.
#[derive(Debug)]
pub(super) struct Watcher {
    readers: Vec<Reader>,
    matchers: Arc<Matchers>,
    /// Whether lines of a step were dropped.
    is_incomplete: Vec<bool>,
    news: mpsc::Sender<News>,
}

#[derive(Debug)]
enum News {
    /// The step starts, or its result comes from the cache: what it has reported before is gone.
    Begin(usize),
    Found(usize, Vec<Problem>),
    /// Not all lines of the step have come; its log has them.
    Again(usize, Box<Reader>),
}

/// Starts to read the output of a run, by the matchers of its project.
pub(super) fn watch(runs: &Arc<Runs>, run: &Arc<Run>, request: &RunRequest) -> (Watcher, JoinHandle<()>) {
    let project = runs.settings.project(&request.source_root);
    // They were checked when the settings were read.
    let matchers = compiled(&project.problem_matchers).unwrap_or_default();
    Watcher::start(runs, run, request.source_root.clone(), Arc::new(matchers))
}

impl Watcher {
    /// Starts to read a run. The task ends with the watcher.
    fn start(runs: &Arc<Runs>, run: &Arc<Run>, root: PathBuf, matchers: Arc<Matchers>) -> (Self, JoinHandle<()>) {
        let (news, incoming) = mpsc::channel(QUEUE);
        let (runs, run) = (runs.clone(), run.clone());
        let watcher = Self {
            readers: readers(&run.plan, &matchers),
            matchers,
            is_incomplete: vec![false; run.plan.steps.len()],
            news,
        };
        (watcher, tokio::task::spawn_blocking(move || show(&runs, &run, root, incoming)))
    }

    /// Takes in an event.
    pub(super) async fn see(&mut self, run: &Run, event: &BuildEvent) {
        let news = match event {
            BuildEvent::StepStart { step, .. } => {
                if let Some(command) = run.plan.steps.get(*step).map(|step| &step.cmd)
                    && let (Some(reader), Some(flag)) = (self.readers.get_mut(*step), self.is_incomplete.get_mut(*step))
                {
                    *reader = Reader::new(self.matchers.clone(), command);
                    *flag = false;
                }
                News::Begin(*step)
            }
            BuildEvent::StepLog { step, lines } => {
                let Some(reader) = self.readers.get_mut(*step) else { return };
                News::Found(*step, read(reader, lines))
            }
            BuildEvent::StepLogSkipped { step, .. } => {
                if let Some(flag) = self.is_incomplete.get_mut(*step) {
                    *flag = true;
                }
                return;
            }
            BuildEvent::StepEnd { step, outcome, .. } => {
                let Some(reader) = self.readers.get_mut(*step) else { return };
                match outcome {
                    Outcome::Cached => News::Begin(*step),
                    _ if self.is_incomplete.get(*step) == Some(&true) => {
                        let command = run.plan.steps.get(*step).map_or("", |step| step.cmd.as_str());
                        News::Again(*step, Box::new(Reader::new(self.matchers.clone(), command)))
                    }
                    Outcome::Succeeded
                    | Outcome::Failed(_)
                    | Outcome::TimedOut
                    | Outcome::Cancelled
                    | Outcome::Skipped(_)
                    | Outcome::Errored(_) => News::Found(*step, finish(reader)),
                }
            }
            BuildEvent::BuildStart { .. }
            | BuildEvent::Notice { .. }
            | BuildEvent::StepQueued { .. }
            | BuildEvent::ImageResolved { .. }
            | BuildEvent::StepPhase { .. }
            | BuildEvent::StepCacheHit { .. }
            | BuildEvent::StepArtifacts { .. }
            | BuildEvent::StepKept { .. }
            | BuildEvent::BuildEnd { .. } => return,
        };
        if !matches!(&news, News::Found(_, found) if found.is_empty()) {
            // If the task has ended because of a bug, that is in the log.
            self.news.send(news).await.ok();
        }
    }
}

/// Finds the files and shows the problems, until the run ends.
fn show(runs: &Runs, run: &Run, root: PathBuf, mut incoming: mpsc::Receiver<News>) {
    let mut locator = Locator::new(&root, &run.plan);
    let mut shown: BTreeMap<usize, Shown> = BTreeMap::new();
    let mut left = MAX_PROBLEMS;
    while let Some(news) = incoming.blocking_recv() {
        match news {
            News::Begin(step) => {
                let source = Source::Problems { run: run.id, step };
                let Some(key) = run.plan.steps.get(step).map(|step| step.key.clone()) else { continue };
                left += shown.remove(&step).map_or(0, |shown| shown.count);
                locator.forget();
                let before = runs.problems.replace((run.uri.as_str().to_owned(), run.pipeline, key), source);
                if let Some(before) = before {
                    runs.findings.clear(before);
                }
            }
            News::Found(step, problems) => {
                let shown = shown.entry(step).or_default();
                add(runs, run, &mut locator, (step, shown), &problems, &mut left);
            }
            News::Again(step, mut reader) => {
                let Some(key) = run.plan.steps.get(step).map(|step| step.key.as_str()) else { continue };
                let problems = read_log(&log_file(&run.log_dir, key), &mut reader);
                runs.findings.clear(Source::Problems { run: run.id, step });
                left += shown.remove(&step).map_or(0, |shown| shown.count);
                add(runs, run, &mut locator, (step, shown.entry(step).or_default()), &problems, &mut left);
            }
        }
    }
}

/// What is shown of one step, by file.
#[derive(Debug, Default)]
struct Shown {
    count: usize,
    files: BTreeMap<String, (Uri, Vec<Finding>)>,
}

fn add(
    runs: &Runs,
    run: &Run,
    locator: &mut Locator,
    (step, shown): (usize, &mut Shown),
    problems: &[Problem],
    left: &mut usize,
) {
    let encoding = runs.settings.encoding();
    let mut changed = BTreeMap::new();
    for problem in problems {
        if *left == 0 {
            break;
        }
        let Some(located) = locator.locate(step, problem) else { continue };
        let Some(uri) = Uri::from_file_path(&located.file.path) else { continue };
        let diagnostic = diagnostic(&located, |file, range| {
            let units = Units::new(&file.text);
            TextMap::new(&file.text, &file.line_index, &units, encoding).range(range)
        });
        *left -= 1;
        shown.count += 1;
        let name = uri.as_str().to_owned();
        let (_, findings) = shown.files.entry(name.clone()).or_insert_with(|| (uri.clone(), Vec::new()));
        findings.push(Finding { place: Place::Moving(diagnostic.range), diagnostic });
        changed.insert(name, uri);
    }
    for (name, uri) in changed {
        if let Some((_, findings)) = shown.files.get(&name) {
            runs.findings.add(Source::Problems { run: run.id, step }, &uri, findings);
        }
    }
}

fn diagnostic(
    located: &Located,
    position: impl Fn(&SourceText, pipelens_core::text::TextRange) -> lsp_types::Range,
) -> Diagnostic {
    let related = located.related.iter().filter_map(|(file, range, message)| {
        let location = Location::new(Uri::from_file_path(&file.path)?, position(file, *range));
        Some(DiagnosticRelatedInformation { location, message: terminal::plain(message).into_owned() })
    });
    let related: Vec<_> = related.collect();
    Diagnostic {
        range: position(&located.file, located.range),
        severity: Some(severity(located.severity)),
        code: located.code.clone().map(NumberOrString::String),
        source: Some(located.source.clone()),
        message: terminal::plain(&located.message).into_owned(),
        related_information: (!related.is_empty()).then_some(related),
        ..Diagnostic::default()
    }
}

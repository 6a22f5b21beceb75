//! Problems that a run's steps report, as findings on the files they are about. They are removed when their step runs again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use lsp_types::{Diagnostic, DiagnosticRelatedInformation, Location, NumberOrString, Uri};
use pipelens_core::problems::{MAX_PROBLEMS, Problem, Reader};
use pipelens_engine::event::{BuildEvent, Outcome};
use pipelens_engine::run::{RunRequest, log_file};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tower_lsp::UriExt;

use super::context::Runs;
use super::run::{Run, StepView};
use crate::lsp::findings::store::{Finding, Place, Source};
use crate::lsp::protocol::files::path_of;
use crate::lsp::protocol::positions::{TextMap, Units, severity};
use crate::problems::{Located, Locator, News, Output, SourceText, read_log};
use crate::settings::matchers::compiled;
use crate::terminal;

/// How much of the logs of recorded runs is read at once. A longer log is left out.
const MAX_RECALLED_BYTES: u64 = 32 << 20;
/// News between the events of a run and the task that looks at files.
const QUEUE: usize = 256;

/// Reads the output of one run.
#[derive(Debug)]
pub(super) struct Watcher {
    output: Output,
    news: mpsc::Sender<News>,
}

/// Starts to read the output of a run, by the matchers of its project. The task ends with the watcher.
pub(super) fn watch(runs: &Arc<Runs>, run: &Arc<Run>, request: &RunRequest) -> (Watcher, JoinHandle<()>) {
    let project = runs.settings.project(&request.source_root);
    // They were checked when the settings were read.
    let matchers = compiled(&project.problem_matchers).unwrap_or_default();
    let (news, incoming) = mpsc::channel(QUEUE);
    let watcher = Watcher { output: Output::new(&run.plan, matchers), news };
    let (runs, run, root) = (runs.clone(), run.clone(), request.source_root.clone());
    (watcher, tokio::task::spawn_blocking(move || show(&runs, &run, root, incoming)))
}

impl Watcher {
    /// Takes in an event.
    pub(super) async fn see(&mut self, event: &BuildEvent) {
        let Some(news) = self.output.read(event) else { return };
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

/// Shows what the logs of runs say that were recorded, newest first: of each step, those of the newest run in which it has started. Reads the disk.
pub(super) fn recall(runs: &Runs, recorded: &[Arc<Run>]) {
    let (mut left, mut left_bytes) = (MAX_PROBLEMS, MAX_RECALLED_BYTES);
    for run in recorded {
        let Some(root) = path_of(&run.uri).map(|file| runs.settings.root_of(&file)) else { continue };
        let matchers = Arc::new(compiled(&runs.settings.project(&root).problem_matchers).unwrap_or_default());
        let mut locator = Locator::new(&root, &run.plan);
        for (step, (planned, view)) in run.plan.steps.iter().zip(run.steps()).enumerate() {
            let log = log_file(&run.log_dir, &planned.key);
            let id = (run.uri.as_str().to_owned(), run.pipeline, planned.key.clone());
            let source = Source::Problems { run: run.id, step };
            // Without trust, nothing is read.
            if runs.settings.is_untrusted() || left == 0 {
                return;
            }
            let Some(began) = began(&view, &log) else { continue };
            let Ok(before) = runs.problems.offer(id.clone(), run.id, source) else { continue };
            before.into_iter().for_each(|before| runs.findings.clear(before));
            let Began::WithLog { size_bytes, written } = began else { continue };
            let Some(rest) = left_bytes.checked_sub(size_bytes) else { continue };
            left_bytes = rest;
            locator.only_older_than(written);
            let problems = read_log(&log, &mut Reader::new(matchers.clone(), &planned.cmd));
            add(runs, run, &mut locator, (step, &mut Shown::default()), &problems, &mut left);
            // A run may have begun meanwhile that has the step.
            if !runs.problems.shows(&id, source) {
                runs.findings.clear(source);
            }
        }
    }
}

/// How a step of a recorded run has begun.
enum Began {
    /// Its result came from the cache, or its log is gone.
    WithoutLog,
    WithLog {
        size_bytes: u64,
        written: SystemTime,
    },
}

/// Returns `None` for a step that has not begun.
fn began(view: &StepView, log: &Path) -> Option<Began> {
    let with_log = || {
        let metadata = log.metadata().ok()?;
        Some(Began::WithLog { size_bytes: metadata.len(), written: metadata.modified().ok()? })
    };
    match view {
        StepView::Done { outcome: Outcome::Skipped(_), .. } => None,
        StepView::Done { outcome: Outcome::Cached, .. } => Some(Began::WithoutLog),
        StepView::Done { outcome: Outcome::Cancelled, .. } | StepView::Queued | StepView::Running { .. } => with_log(),
        StepView::Done { .. } => Some(with_log().unwrap_or(Began::WithoutLog)),
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
        let diagnostic = runs.settings.client().tags.of(diagnostic);
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

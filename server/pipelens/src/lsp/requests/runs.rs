//! `pipelens/runs`: the tree of pipelines, steps and runs that a client draws.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use pipelens_core::ide::{self, RunPlace};
use pipelens_engine::cache::CacheDecision;
use pipelens_engine::event::Outcome;
use pipelens_engine::run::{PastRun, log_file};

use crate::lsp::protocol::tree::{PipelineNode, RunNode, RunTree, RunsParams, StepNode, StepState, TREE_VERSION};
use crate::lsp::runs::recall;
use crate::lsp::runs::run::{Run, StepView};
use crate::lsp::runs::standing::newest;
use crate::lsp::server::Server;
use crate::lsp::session::documents::{Document, Documents};
use crate::{present, project, record};

/// Returns the tree as it is now. Looks at the disk.
pub(crate) fn runs(server: &Server, documents: &Documents, params: RunsParams) -> RunTree {
    recall::look(&server.runs, documents);
    let meant: Vec<Arc<Document>> = match &params.uri {
        Some(uri) => match documents.get(uri) {
            Some(document) => vec![document],
            None => server.documents.on_disk(uri).into_iter().collect(),
        },
        None => documents.pipelines().cloned().collect(),
    };
    let pipelines = meant
        .iter()
        .filter(|document| document.is_pipeline())
        .flat_map(|document| of_document(server, document))
        .collect();
    RunTree { version: TREE_VERSION, pipelines }
}

fn of_document(server: &Server, document: &Document) -> Vec<PipelineNode> {
    let past = past(server, document);
    let places = ide::run_places(&document.analysis);
    let nodes = document.analysis.pipelines.iter().enumerate().map(|(index, pipeline)| {
        let name = document.pipeline_name(index).unwrap_or_default();
        let own = server.runs.registry.newest_first();
        let own: Vec<&Arc<Run>> = own.iter().filter(|run| run.is_of(&document.uri, index)).collect();
        let steps = places.iter().filter(|place| place.pipeline == index && place.step.is_some());
        let mut runs: Vec<RunNode> = own.iter().map(|run| of_run(run)).collect();
        let current = current(server, document, index, places.iter().filter(|place| place.pipeline == index), &runs);
        let others = past
            .iter()
            .filter(|past| past.pipeline == name && !own.iter().any(|run| run.id.to_string() == past.run_id));
        runs.extend(others.filter_map(|past| of_past(document, index, past)));
        PipelineNode {
            uri: document.uri.as_str().to_owned(),
            pipeline: index,
            position: document.map().position(pipeline.heading.start),
            steps: steps.filter_map(|place| of_step(server, document, place, &current)).collect(),
            name,
            runs,
        }
    });
    nodes.collect()
}

/// Returns the state of each step as lenses show it: in the newest run that had it, unless it has been edited since.
fn current<'a>(
    server: &Server,
    document: &Document,
    pipeline: usize,
    places: impl Iterator<Item = &'a RunPlace>,
    runs: &[RunNode],
) -> BTreeMap<String, StepState> {
    let of_place = |place: &'a RunPlace| {
        let own = place.step.as_deref().filter(|_| place.combinations.is_empty());
        own.into_iter().chain(place.combinations.iter().map(|one| one.key.as_str()))
    };
    let keys: Vec<&str> = places.flat_map(of_place).collect();
    let newest = newest(&server.runs.registry, document, pipeline, &keys);
    let by_id: BTreeMap<&str, &RunNode> = runs.iter().map(|node| (node.run_id.as_str(), node)).collect();
    let states = keys.into_iter().zip(newest).filter_map(|(key, found)| {
        let node = by_id.get(found?.0.id.to_string().as_str())?;
        Some((key.to_owned(), node.steps.get(key)?.clone()))
    });
    states.collect()
}

fn of_step(
    server: &Server,
    document: &Document,
    place: &RunPlace,
    current: &BTreeMap<String, StepState>,
) -> Option<StepNode> {
    let key = place.step.as_deref()?;
    let pipeline = document.analysis.pipelines.get(place.pipeline)?;
    let label = pipeline.steps.iter().find(|step| step.key.value == key).and_then(|step| step.label.as_ref());
    let node = |key: &str, label: Option<String>, range: pipelens_core::text::TextRange| StepNode {
        key: key.to_owned(),
        label,
        position: document.map().position(range.start),
        state: current.get(key).cloned(),
        prediction: prediction(server, document, place.pipeline, key).map(str::to_owned),
        entries: Vec::new(),
    };
    let entries = place.combinations.iter().map(|one| node(&one.key, None, one.range)).collect();
    Some(StepNode { entries, ..node(key, label.map(|label| label.value.clone()), place.range) })
}

fn prediction(server: &Server, document: &Document, pipeline: usize, key: &str) -> Option<&'static str> {
    Some(match server.predictions.of_step(document.uri.as_str(), pipeline, key)? {
        CacheDecision::Hit { .. } => "cached",
        CacheDecision::MissFromLast { .. } => "fromLast",
        CacheDecision::MissBuildAs { .. } | CacheDecision::MissNoCommit { .. } => "run",
        CacheDecision::NotNeeded => return None,
    })
}

fn of_run(run: &Run) -> RunNode {
    let mut steps = BTreeMap::new();
    for (index, (step, view)) in run.plan.steps.iter().zip(run.steps()).enumerate() {
        let artifacts = run.artifacts(|artifacts| artifacts.of_step(index).map(|step| shown(&step.folder)));
        let mut state = StepState {
            run_id: run.id.to_string(),
            state: "queued".to_owned(),
            phase: None,
            duration_ms: None,
            exit_code: None,
            log: existing(&log_file(&run.log_dir, &step.key)),
            artifacts,
            shell: run.shell(index),
        };
        match view {
            // The run ended before this step did.
            StepView::Queued | StepView::Running { .. } if run.outcome().is_some() => {
                state.state = Outcome::Cancelled.word().to_owned();
            }
            StepView::Queued => {}
            StepView::Running { since, phase } => {
                state.state = "running".to_owned();
                state.phase = phase;
                state.duration_ms = Some(present::millis(since.elapsed()));
            }
            StepView::Done { outcome, took, .. } => {
                state.state = outcome.word().to_owned();
                state.duration_ms = Some(present::millis(took));
                state.exit_code = outcome.exit_code();
            }
        }
        steps.insert(step.key.clone(), state);
    }
    let outcome = run.outcome();
    RunNode {
        run_id: run.id.to_string(),
        title: run.title.clone(),
        state: outcome.map_or("running", |(outcome, _)| outcome.word()).to_owned(),
        duration_ms: present::millis(outcome.map_or_else(|| run.started.elapsed(), |(_, took)| took)),
        is_own: !run.is_remembered,
        steps,
        artifacts: run.artifacts(|artifacts| artifacts.folder().map(shown)),
    }
}

/// Returns the remembered runs of the project that a document belongs to. If they cannot be read, a run says why.
fn past(server: &Server, document: &Document) -> Vec<PastRun> {
    let read = || {
        let root = server.settings.root_of(&document.path()?);
        pipelens_engine::run::history(&project::state_dir().ok()?, &root).ok()
    };
    if server.settings.is_untrusted() { Vec::new() } else { read().unwrap_or_default() }
}

/// Returns a run of an earlier process, as its record has it; without a record, as far as the history knows it. A pipeline of another file may have the same
/// name: its runs are none of the document.
fn of_past(document: &Document, pipeline: usize, past: &PastRun) -> Option<RunNode> {
    let folder = project::state_dir().ok().map(|state_dir| record::folder_of_runs(&state_dir).join(&past.run_id));
    let recorded = folder.as_deref().zip(past.run_id.parse().ok()).and_then(|(folder, id)| record::read(id, folder));
    match recorded {
        Some(recorded) if !document.is_of(&recorded.head.file) => None,
        Some(recorded) => Some(of_run(&Run::remembered(recorded, document.uri.clone(), pipeline))),
        None => Some(without_record(past, folder.as_deref())),
    }
}

fn without_record(run: &PastRun, logs: Option<&Path>) -> RunNode {
    let state = |key: &str, outcome: &str| StepState {
        run_id: run.run_id.clone(),
        state: outcome.to_owned(),
        phase: None,
        duration_ms: None,
        exit_code: None,
        log: logs.and_then(|folder| existing(&log_file(folder, key))),
        artifacts: None,
        shell: None,
    };
    let steps = run.steps.iter().map(|step| (step.key.clone(), state(&step.key, &step.outcome)));
    RunNode {
        run_id: run.run_id.clone(),
        title: run.pipeline.clone(),
        state: run.outcome.clone(),
        duration_ms: u64::try_from(run.duration_ms).unwrap_or(0),
        is_own: false,
        steps: steps.collect(),
        artifacts: None,
    }
}

fn existing(path: &Path) -> Option<String> {
    path.exists().then(|| shown(path))
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

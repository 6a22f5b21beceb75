//! Lenses: what can be run at a place, and how it went.

pub(super) mod matrix;

use std::collections::{BTreeMap, BTreeSet};

use lsp_types::{CodeLens, CodeLensParams};
use pipelens_core::ide::{self, RunPlace};
use pipelens_core::model::Step;
use pipelens_core::plan::Target;
use pipelens_core::printable::printable;
use pipelens_core::text::TextRange;
use pipelens_engine::cache::CacheDecision;
use pipelens_engine::event::Outcome;
use serde_json::json;

use crate::artifacts;
use crate::lsp::protocol::commands::{Command, command, run_argument};
use crate::lsp::runs::run::StepView;
use crate::lsp::runs::standing::{is_as_it_ran, of_step, standing};
use crate::lsp::server::Server;
use crate::lsp::session::documents::{Document, Documents, Kind};
use crate::present;

const RUN_STEP: &str = Command::RunStep.id();
const RUN_PIPELINE: &str = Command::RunPipeline.id();
/// A lens shares its line with others.
const LONGEST_REASON: usize = 40;

pub(crate) fn code_lens(server: &Server, documents: &Documents, params: CodeLensParams) -> Option<Vec<CodeLens>> {
    let document = documents.pipeline(&params.text_document.uri)?;
    let document = &*document;
    let map = document.map();
    server.predictions.want_if_old(document.uri.as_str());
    server.runs.remembered.want_if_old(document.uri.as_str());
    let (places, more) = few(ide::run_places(&document.analysis), document);
    let lines = || places.iter().filter(|place| place.step.is_some()).map(|place| map.range(place.range).start.line);
    let mut seen = BTreeSet::new();
    let shared: BTreeSet<u32> = lines().filter(|line| !seen.insert(*line)).collect();
    let shared = &shared;
    let lenses = places.iter().flat_map(|place| {
        let of_combinations = matrix::lenses(server, document, place);
        let of_combinations = of_combinations.into_iter().map(|(range, command)| (map.range(range), command));
        let of_combinations =
            of_combinations.map(|(range, command)| CodeLens { range, command: Some(command), data: None });
        let range = map.range(place.range);
        let prospect = prospect(server, document, place);
        // Where several steps are on one line, their lenses say whose they are.
        let name = place.step.as_ref().filter(|_| shared.contains(&range.start.line));
        let prefix = name.map(|name| format!("{name}: ")).unwrap_or_default();
        let own = commands(server, document, place).into_iter().map(move |mut command| {
            command.title.insert_str(0, &printable(&prefix));
            if matches!(&*command.command, RUN_STEP | RUN_PIPELINE) {
                command.title.push_str(&prospect);
            }
            CodeLens { range, command: Some(command), data: None }
        });
        own.chain(of_combinations)
    });
    let more = more.into_iter().map(|(place, count)| {
        let argument = run_argument(&document.uri, place.pipeline, place.step.as_deref());
        let command = command(format!("… {count} more"), Command::ChooseCombination, argument);
        CodeLens { range: map.range(place.range), command: Some(command), data: None }
    });
    Some(lenses.chain(more).collect())
}

/// Returns the places to show one by one, and the first of those for which there is no room at one expression of a program, with their number.
fn few(places: Vec<RunPlace>, document: &Document) -> (Vec<RunPlace>, Vec<(RunPlace, usize)>) {
    if document.kind != Kind::Program {
        return (places, Vec::new());
    }
    let mut at_place: BTreeMap<(usize, TextRange), usize> = BTreeMap::new();
    let (mut shown, mut more): (Vec<RunPlace>, Vec<(RunPlace, usize)>) = (Vec::new(), Vec::new());
    for place in places {
        let count = at_place.entry((place.pipeline, place.range)).or_default();
        *count += usize::from(place.step.is_some());
        if *count <= ide::SHOWN_AT_ONE_PLACE {
            shown.push(place);
        } else if let Some((_, count)) =
            more.iter_mut().find(|(first, _)| first.pipeline == place.pipeline && first.range == place.range)
        {
            *count += 1;
        } else {
            more.push((place, 1));
        }
    }
    (shown, more)
}

/// Returns what a run from a place would take from the cache, as far as that is known, as a short suffix for a button.
fn prospect(server: &Server, document: &Document, place: &RunPlace) -> String {
    let uri = document.uri.as_str();
    if !server.settings.settings_of(&document.uri).lenses.cache {
        return String::new();
    }
    match &place.step {
        None => match server.predictions.hits(uri, place.pipeline) {
            Some((hits, steps)) if hits > 0 => format!(" · {hits} of {steps} cached"),
            Some(_) | None => String::new(),
        },
        Some(_) if !place.combinations.is_empty() => {
            let decisions =
                place.combinations.iter().map(|one| server.predictions.of_step(uri, place.pipeline, &one.key));
            let hits = decisions.filter(|decision| matches!(decision, Some(CacheDecision::Hit { .. }))).count();
            if hits == 0 { String::new() } else { format!(" · {hits} of {} cached", place.combinations.len()) }
        }
        Some(step) => match server.predictions.of_step(uri, place.pipeline, step) {
            Some(CacheDecision::Hit { .. }) => " · cached".to_owned(),
            Some(CacheDecision::MissBuildAs { reason, .. }) => format!(" · not cached: {}", shortened(&reason)),
            Some(CacheDecision::MissFromLast { .. }) => " · starts from its last result".to_owned(),
            Some(CacheDecision::MissNoCommit { .. } | CacheDecision::NotNeeded) | None => String::new(),
        },
    }
}

fn shortened(reason: &str) -> String {
    if reason.chars().count() <= LONGEST_REASON {
        return reason.to_owned();
    }
    reason.chars().take(LONGEST_REASON - 1).chain(['…']).collect()
}

/// Returns what can be clicked at a place: first the state, then what can be started.
pub(super) fn commands(server: &Server, document: &Document, place: &RunPlace) -> Vec<lsp_types::Command> {
    let mut shown = match &place.step {
        None => pipeline_commands(server, document, place),
        Some(step) if !place.combinations.is_empty() => matrix::commands(server, document, place, step),
        Some(step) => step_commands(server, document, place, step),
    };
    shown.extend(watch_command(server, document, place, &shown));
    shown
}

/// Returns what starts or stops watching at a place.
fn watch_command(
    server: &Server,
    document: &Document,
    place: &RunPlace,
    shown: &[lsp_types::Command],
) -> Option<lsp_types::Command> {
    let step = place.step.as_deref();
    if let Some(id) = server.runs.watches.at(&document.uri, place.pipeline, step) {
        return Some(command("◉ Stop watching".to_owned(), Command::StopWatching, json!({"watchId": id})));
    }
    // What runs is cancelled first.
    let can_run = shown.iter().any(|command| matches!(&*command.command, RUN_STEP | RUN_PIPELINE));
    let title = if step.is_some() { "◎ Watch step" } else { "◎ Watch pipeline" };
    let argument = run_argument(&document.uri, place.pipeline, step);
    (can_run && server.settings.settings_of(&document.uri).lenses.watch)
        .then(|| command(title.to_owned(), Command::Watch, argument))
}

fn pipeline_commands(server: &Server, document: &Document, place: &RunPlace) -> Vec<lsp_types::Command> {
    if !server.settings.settings_of(&document.uri).lenses.pipeline {
        return Vec::new();
    }
    let argument = run_argument(&document.uri, place.pipeline, None);
    let start = |title: &str| command(title.to_owned(), Command::RunPipeline, argument.clone());
    let Some(run) = server.runs.registry.of_pipeline(&document.uri, place.pipeline) else {
        return vec![start("▶ Run pipeline")];
    };
    let pipeline = document.analysis.pipelines.get(place.pipeline);
    let steps = pipeline.into_iter().flat_map(|pipeline| &pipeline.steps);
    let keys: Vec<&str> = steps.flat_map(keys).collect();
    match run.outcome() {
        None => {
            let title = format!("■ Cancel ({})", present::clock(run.started.elapsed()));
            vec![command(title, Command::Cancel, json!({"runId": run.id}))]
        }
        Some((outcome, took)) if run.target == Target::Pipeline && is_as_it_ran(&run, document, &keys) => {
            let state = present::run_outcome(outcome, took);
            vec![command(state, Command::OpenLog, json!({"runId": run.id})), start("▶ Run pipeline")]
        }
        // Some steps have run or were edited since: the outcome of the last run of the whole pipeline is out of date.
        Some(_) => {
            let standing = standing(&server.runs.registry, document, place.pipeline, keys.into_iter());
            if standing.passed + standing.failed == 0 && run.is_remembered {
                return vec![start("▶ Run pipeline")];
            }
            let log = match &standing.first_failure {
                Some((run_id, step)) => json!({"runId": run_id, "step": step}),
                None => json!({"runId": run.id}),
            };
            let state = present::standing(standing.passed, standing.failed, standing.steps);
            vec![command(state, Command::OpenLog, log), start("▶ Run pipeline")]
        }
    }
}

/// Returns the keys of the steps that a step is: its own, or those of its combinations.
fn keys(step: &Step) -> Vec<&str> {
    match step.matrix {
        None => vec![&step.key.value],
        Some(_) => step.combinations().iter().map(|combination| combination.key.as_str()).collect(),
    }
}

fn step_commands(server: &Server, document: &Document, place: &RunPlace, key: &str) -> Vec<lsp_types::Command> {
    let settings = server.settings.settings_of(&document.uri);
    let argument = run_argument(&document.uri, place.pipeline, Some(key));
    let mut shown = Vec::new();
    let view = of_step(&server.runs.registry, document, place.pipeline, key);
    if let Some((run, view)) = &view {
        let cancel = json!({"uri": document.uri, "step": key, "runId": run.id});
        match view {
            // The run ended before this step did: it was cancelled with it.
            StepView::Queued | StepView::Running { .. } if run.outcome().is_some() => {}
            StepView::Queued => return vec![command("⏳ queued".to_owned(), Command::Cancel, cancel)],
            StepView::Running { since, .. } => {
                let title = format!("■ Cancel ({})", present::clock(since.elapsed()));
                return vec![command(title, Command::Cancel, cancel)];
            }
            StepView::Done { outcome, took, .. } => {
                let mut title = present::step_outcome(outcome, *took);
                if matches!(outcome, Outcome::Failed(_) | Outcome::TimedOut) {
                    title.push_str(" · open log");
                }
                let step = json!({"runId": run.id, "step": key});
                shown.push(command(title, Command::OpenLog, step.clone()));
                if let Some(left) = run.artifacts_of(key) {
                    let title = format!("Open artifacts ({})", artifacts::count(left.files));
                    shown.push(command(title, Command::OpenArtifacts, step));
                }
            }
        }
    }
    if settings.lenses.step {
        shown.push(command("▶ Run step".to_owned(), Command::RunStep, argument.clone()));
    }
    if settings.lenses.from && place.has_dependants {
        shown.push(command("▷ Run from here".to_owned(), Command::RunFrom, argument));
    }
    shown
}

//! Lenses of a step with a matrix: one for all combinations, and one for each if there are few.

use lsp_types::Command as LspCommand;
use pipelens_core::ide::{CombinationPlace, RunPlace};
use pipelens_core::text::TextRange;
use pipelens_engine::event::Outcome;
use serde_json::json;
use uuid::Uuid;

use crate::lsp::protocol::commands::{Command, command, run_argument};
use crate::lsp::runs::run::StepView;
use crate::lsp::runs::standing::{newest, standing};
use crate::lsp::server::Server;
use crate::lsp::session::documents::Document;
use crate::present;

/// More combinations than this share one lens, which lets the user choose.
const FEW: usize = 6;

/// Returns what can be clicked for all combinations together.
pub(super) fn commands(server: &Server, document: &Document, place: &RunPlace, step: &str) -> Vec<LspCommand> {
    let settings = server.settings.settings_of(&document.uri);
    let registry = &server.runs.registry;
    let keys: Vec<&str> = place.combinations.iter().map(|one| one.key.as_str()).collect();
    let states = newest(registry, document, place.pipeline, &keys);
    let (mut left, mut active) = (0, None);
    for (run, view) in states.iter().flatten() {
        if is_busy(view) && run.outcome().is_none() {
            left += 1;
            active.get_or_insert(run);
        }
    }
    if let Some(run) = active {
        let title = format!("■ Cancel ({} of {} done)", keys.len() - left, keys.len());
        let cancel = json!({"uri": document.uri, "step": step, "runId": run.id});
        return vec![command(title, Command::Cancel, cancel)];
    }
    let mut shown = Vec::new();
    let standing = standing(registry, document, place.pipeline, keys.into_iter());
    let total = standing.steps;
    if let Some((run_id, key)) = &standing.first_failure {
        let title = format!("✗ {} of {total} failed · open log", standing.failed);
        shown.push(command(title, Command::OpenLog, json!({"runId": run_id, "step": key})));
    } else if standing.passed > 0 {
        let title = format!("✓ {} of {total}", standing.passed);
        shown.push(command(title, Command::OpenLog, json!({"step": step})));
    }
    let argument = run_argument(&document.uri, place.pipeline, Some(step));
    if settings.lenses.step {
        shown.push(command("▶ Run step".to_owned(), Command::RunStep, argument.clone()));
    }
    if settings.lenses.from && place.has_dependants {
        shown.push(command("▷ Run from here".to_owned(), Command::RunFrom, argument));
    }
    shown
}

/// Returns the lenses of single combinations, each with its place.
pub(in crate::lsp::requests) fn lenses(
    server: &Server,
    document: &Document,
    place: &RunPlace,
) -> Vec<(TextRange, LspCommand)> {
    let (Some(first), Some(step)) = (place.combinations.first(), &place.step) else { return Vec::new() };
    if !server.settings.settings_of(&document.uri).lenses.step {
        return Vec::new();
    }
    if place.combinations.len() > FEW {
        let title = format!("{} combinations…", place.combinations.len());
        let argument = run_argument(&document.uri, place.pipeline, Some(step));
        return vec![(first.range, command(title, Command::ChooseCombination, argument))];
    }
    let keys: Vec<&str> = place.combinations.iter().map(|one| one.key.as_str()).collect();
    let states = newest(&server.runs.registry, document, place.pipeline, &keys);
    let states = states.into_iter().map(|state| {
        let (run, view) = state?;
        Some(State { run_id: run.id, has_ended: run.outcome().is_some(), view })
    });
    let lenses = place.combinations.iter().zip(states);
    let of_one = |(one, state)| {
        let commands = of_combination(document, place.pipeline, one, state).into_iter();
        commands.map(|command| (one.range, command)).collect::<Vec<_>>()
    };
    lenses.flat_map(of_one).collect()
}

/// How a combination went in its newest run.
struct State {
    run_id: Uuid,
    has_ended: bool,
    view: StepView,
}

/// One that runs can be cancelled, and any other can be run; the log of one that failed is a click away.
fn of_combination(
    document: &Document,
    pipeline: usize,
    one: &CombinationPlace,
    state: Option<State>,
) -> Vec<LspCommand> {
    let (name, key) = (&one.name, &one.key);
    let run = |title: String| command(title, Command::RunStep, run_argument(&document.uri, pipeline, Some(key)));
    match state {
        Some(State { run_id, has_ended: false, view }) if is_busy(&view) => {
            let title = match view {
                StepView::Running { since, .. } => format!("■ {name} ({})", present::clock(since.elapsed())),
                StepView::Queued | StepView::Done { .. } => format!("⏳ {name}"),
            };
            vec![command(title, Command::Cancel, json!({"uri": document.uri, "step": key, "runId": run_id}))]
        }
        Some(State { run_id, view: StepView::Done { outcome, took, .. }, .. }) => {
            let title = format!("{} ({name})", present::step_outcome(&outcome, took));
            match outcome {
                Outcome::Failed(_) | Outcome::TimedOut | Outcome::Errored(_) => {
                    let log = json!({"runId": run_id, "step": key});
                    vec![command(title, Command::OpenLog, log), run(format!("▶ {name}"))]
                }
                Outcome::Succeeded | Outcome::Cached | Outcome::Cancelled | Outcome::Skipped(_) => vec![run(title)],
            }
        }
        Some(_) | None => vec![run(format!("▶ {name}"))],
    }
}

fn is_busy(view: &StepView) -> bool {
    matches!(view, StepView::Queued | StepView::Running { .. })
}

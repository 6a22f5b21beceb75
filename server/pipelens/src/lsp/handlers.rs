//! Read requests: a document as of the request's arrival goes in, the answer comes out. No state is changed, nothing is awaited.

use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeLens, CompletionItem, CompletionItemKind, CompletionResponse,
    CompletionTextEdit, DocumentSymbolResponse, Documentation, GotoDefinitionResponse, Hover, HoverContents, Location,
    MarkupContent, MarkupKind, Position, Range, TextEdit, WorkspaceEdit,
};
use pipelens_core::diagnostic::{Diagnostic, Fix};
use pipelens_core::ide::{self, CompletionKind, RunPlace};
use pipelens_core::text::TextRange;
use pipelens_engine::event::Outcome;
use serde_json::json;

use super::Shared;
use super::convert::TextMap;
use super::ext::{Command, command, run_argument};
use super::runs::StepView;
use super::state::Document;
use crate::present;

/// The kind of the code actions that run something, under `source` so that clients list them apart from fixes.
pub(crate) const RUN_KIND: &str = "source.pipelens.run";

pub(crate) fn hover(shared: &Shared, document: &Document, position: Position) -> Option<Hover> {
    let map = document.map(shared.config.encoding());
    let hover = ide::hover(&document.analysis, map.offset(position))?;
    Some(Hover { contents: HoverContents::Markup(markdown(hover.text)), range: Some(map.range(hover.range)) })
}

pub(crate) fn document_symbol(shared: &Shared, document: &Document) -> DocumentSymbolResponse {
    let map = document.map(shared.config.encoding());
    DocumentSymbolResponse::Nested(ide::symbols(&document.analysis).iter().map(|symbol| map.symbol(symbol)).collect())
}

pub(crate) fn completion(shared: &Shared, document: &Document, position: Position) -> CompletionResponse {
    let map = document.map(shared.config.encoding());
    let entries = ide::completion(&document.analysis, map.offset(position));
    let items = entries.into_iter().enumerate().map(|(index, entry)| CompletionItem {
        kind: Some(match entry.kind {
            CompletionKind::Key => CompletionItemKind::PROPERTY,
            CompletionKind::Step => CompletionItemKind::REFERENCE,
            CompletionKind::Value => CompletionItemKind::VALUE,
        }),
        documentation: Some(Documentation::MarkupContent(markdown(entry.documentation))),
        // The core's order: the likeliest first.
        sort_text: Some(format!("{index:04}")),
        text_edit: Some(CompletionTextEdit::Edit(map.text_edit(&entry.edit))),
        label: entry.label,
        ..CompletionItem::default()
    });
    CompletionResponse::Array(items.collect())
}

pub(crate) fn definition(shared: &Shared, document: &Document, position: Position) -> Option<GotoDefinitionResponse> {
    let map = document.map(shared.config.encoding());
    let range = ide::definition(&document.analysis, map.offset(position))?;
    Some(GotoDefinitionResponse::Scalar(Location::new(document.uri.clone(), map.range(range))))
}

pub(crate) fn references(shared: &Shared, document: &Document, position: Position) -> Vec<Location> {
    let map = document.map(shared.config.encoding());
    let ranges = ide::references(&document.analysis, map.offset(position));
    ranges.into_iter().map(|range| Location::new(document.uri.clone(), map.range(range))).collect()
}

fn markdown(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}

pub(crate) fn code_lens(shared: &Shared, document: &Document) -> Vec<CodeLens> {
    let map = document.map(shared.config.encoding());
    let places = ide::run_places(&document.analysis);
    let lenses = places.iter().flat_map(|place| {
        let range = map.range(place.range);
        commands(shared, document, place).into_iter().map(move |command| CodeLens {
            range,
            command: Some(command),
            data: None,
        })
    });
    lenses.collect()
}

/// Returns quick fixes of the findings in a range, and what can be run there.
pub(crate) fn code_action(
    shared: &Shared,
    document: &Document,
    range: Range,
    only: Option<&[CodeActionKind]>,
) -> Vec<CodeActionOrCommand> {
    let map = document.map(shared.config.encoding());
    let wanted = map.offsets(range);
    let mut actions = Vec::new();
    if is_asked_for(only, CodeActionKind::QUICKFIX.as_str()) {
        let touched = document.analysis.diagnostics.iter().filter(|diagnostic| touches(diagnostic.range, wanted));
        actions.extend(touched.flat_map(|diagnostic| fixes(document, map, diagnostic)));
    }
    if is_asked_for(only, RUN_KIND) {
        actions.extend(run_actions(shared, document, wanted));
    }
    actions
}

fn fixes(document: &Document, map: TextMap<'_>, diagnostic: &Diagnostic) -> Vec<CodeActionOrCommand> {
    let fixes = diagnostic.fixes.iter().enumerate();
    fixes
        .map(|(index, fix)| CodeActionOrCommand::CodeAction(fix_action(document, map, diagnostic, fix, index == 0)))
        .collect()
}

fn fix_action(
    document: &Document,
    map: TextMap<'_>,
    diagnostic: &Diagnostic,
    fix: &Fix,
    is_preferred: bool,
) -> CodeAction {
    let edits: Vec<TextEdit> = fix.edits.iter().map(|edit| map.text_edit(edit)).collect();
    let edit = WorkspaceEdit { changes: Some([(document.uri.clone(), edits)].into()), ..WorkspaceEdit::default() };
    CodeAction {
        title: fix.title.clone(),
        kind: Some(CodeActionKind::QUICKFIX),
        diagnostics: Some(vec![map.diagnostic(&document.uri, diagnostic)]),
        edit: Some(edit),
        is_preferred: Some(is_preferred),
        ..CodeAction::default()
    }
}

/// What the lenses offer, for clients without lenses: the step round the cursor first, then the pipeline.
fn run_actions(shared: &Shared, document: &Document, wanted: TextRange) -> Vec<CodeActionOrCommand> {
    let literals = shared.config.client().code_action_literals;
    let places = ide::run_places(&document.analysis);
    let near = places.iter().filter(|place| {
        let Some(pipeline) = document.analysis.pipelines.get(place.pipeline) else { return false };
        let scope = match &place.step {
            None => pipeline.range,
            Some(key) => {
                pipeline.steps.iter().find(|step| step.key.value == *key).map_or(place.range, |step| step.range)
            }
        };
        touches(scope, wanted)
    });
    let mut near: Vec<&RunPlace> = near.collect();
    near.sort_by_key(|place| place.step.is_none());
    let commands = near.into_iter().flat_map(|place| {
        let step = place.step.clone();
        commands(shared, document, place).into_iter().map(move |command| (step.clone(), command))
    });
    commands
        .map(|(step, mut command)| {
            // A list has no lines to tell the steps apart by.
            if let Some(step) = step {
                command.title = format!("{} `{step}`", command.title);
            }
            if !literals {
                return CodeActionOrCommand::Command(command);
            }
            CodeActionOrCommand::CodeAction(CodeAction {
                title: command.title.clone(),
                kind: Some(CodeActionKind::new(RUN_KIND)),
                command: Some(command),
                ..CodeAction::default()
            })
        })
        .collect()
}

/// Returns what can be clicked at a place. The first text is the state, the others start something.
fn commands(shared: &Shared, document: &Document, place: &RunPlace) -> Vec<lsp_types::Command> {
    match &place.step {
        None => pipeline_commands(shared, document, place),
        Some(step) => step_commands(shared, document, place, step),
    }
}

fn pipeline_commands(shared: &Shared, document: &Document, place: &RunPlace) -> Vec<lsp_types::Command> {
    if !shared.config.settings().lenses.pipeline {
        return Vec::new();
    }
    let argument = run_argument(&document.uri, place.pipeline, None);
    let start = |title: &str| command(title.to_owned(), Command::RunPipeline, argument.clone());
    let Some(run) = shared.runs.of_pipeline(&document.uri, place.pipeline) else {
        return vec![start("▶ Run pipeline")];
    };
    match run.outcome() {
        None => {
            let title = format!("■ Cancel ({})", present::clock(run.started.elapsed()));
            vec![command(title, Command::Cancel, json!({"runId": run.id}))]
        }
        Some((outcome, took)) => {
            let state = present::run_outcome(outcome, took);
            vec![command(state, Command::OpenLog, json!({"runId": run.id})), start("▶ Run pipeline")]
        }
    }
}

fn step_commands(shared: &Shared, document: &Document, place: &RunPlace, key: &str) -> Vec<lsp_types::Command> {
    let settings = shared.config.settings();
    let argument = run_argument(&document.uri, place.pipeline, Some(key));
    let mut shown = Vec::new();
    let view = shared.runs.of_step(&document.uri, place.pipeline, key);
    if let Some((run, view)) = &view {
        let cancel = json!({"uri": document.uri, "step": key, "runId": run.id});
        match view {
            // The run ended while this step still stood there: it was cancelled with it.
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
                shown.push(command(title, Command::OpenLog, json!({"runId": run.id, "step": key})));
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

fn touches(range: TextRange, wanted: TextRange) -> bool {
    range.start <= wanted.end && wanted.start <= range.end
}

/// A client may ask for a kind or any kind above it.
fn is_asked_for(only: Option<&[CodeActionKind]>, kind: &str) -> bool {
    only.is_none_or(|only| {
        only.iter().any(|asked| {
            let asked = asked.as_str();
            asked.is_empty() || kind == asked || kind.strip_prefix(asked).is_some_and(|rest| rest.starts_with('.'))
        })
    })
}

//! Code actions: fixes of findings, and what can be run, for clients that draw no lenses.

use lsp_types::{CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, TextEdit, WorkspaceEdit};
use pipelens_core::diagnostic::{Diagnostic, Fix};
use pipelens_core::ide::{self, RunPlace};
use pipelens_core::text::TextRange;

use super::code_lens::{commands, matrix};
use crate::lsp::protocol::positions::{FileMap, TextMap};
use crate::lsp::server::Server;
use crate::lsp::session::documents::{Document, Documents, Kind};

/// The kind of the code actions that run something, under `source` so that clients list them apart from fixes.
pub(crate) const RUN_KIND: &str = "source.pipelens.run";
/// The kind of the action that applies every safe fix, under the protocol's own so that editors run it on save.
pub(crate) const FIX_ALL_KIND: &str = "source.fixAll.pipelens";

/// Returns quick fixes of the findings in a range, and what can be run there.
pub(crate) fn code_action(
    server: &Server,
    documents: &Documents,
    params: CodeActionParams,
) -> Option<Vec<CodeActionOrCommand>> {
    let document = documents.analysed(&params.text_document.uri)?;
    let document = &*document;
    let only = params.context.only.as_deref();
    let map = document.map();
    let wanted = map.offsets(params.range);
    let mut actions = Vec::new();
    // What a program would have to change is not known.
    let is_written = document.kind != Kind::Program;
    if is_written && is_asked_for(only, CodeActionKind::QUICKFIX.as_str()) {
        let shown = document.analysis.diagnostics.iter().filter(|found| document.project.severity_of(found).is_some());
        let touched: Vec<&Diagnostic> = shown.filter(|diagnostic| touches(diagnostic.range, wanted)).collect();
        actions.extend(touched.iter().flat_map(|diagnostic| fixes(document.files(), diagnostic)));
        actions.extend(touched.iter().filter_map(|diagnostic| ignoring(document, diagnostic)));
    }
    if is_written && is_asked_for(only, FIX_ALL_KIND) {
        actions.extend(fix_all(document, map));
    }
    if is_asked_for(only, RUN_KIND) {
        actions.extend(run_actions(server, document, wanted));
    }
    let client = server.settings.client();
    actions.retain(|action| client.code_action_literals || matches!(action, CodeActionOrCommand::Command(_)));
    for action in &mut actions {
        if let CodeActionOrCommand::CodeAction(action) = action {
            action.is_preferred = action.is_preferred.filter(|_| client.shown.preferred_actions);
            // What the client gets back of a finding is what it was sent.
            action.diagnostics =
                action.diagnostics.take().map(|found| found.into_iter().map(|found| client.tags.of(found)).collect());
        }
    }
    Some(actions)
}

/// Returns the action that applies every safe fix, again and again where one uncovers the next.
fn fix_all(document: &Document, map: TextMap<'_>) -> Option<CodeActionOrCommand> {
    document.path()?;
    let found = &document.analysis.diagnostics;
    let text = crate::fix::fix(&document.text, found, &document.project, |text| document.analyse_alone(text))?.text;
    let range = map.range(TextRange::new(0, document.text.len()));
    let edits = vec![TextEdit::new(range, text)];
    let edit = WorkspaceEdit { changes: Some([(document.uri.clone(), edits)].into()), ..WorkspaceEdit::default() };
    Some(CodeActionOrCommand::CodeAction(CodeAction {
        title: "Apply all safe fixes".to_owned(),
        kind: Some(CodeActionKind::new(FIX_ALL_KIND)),
        edit: Some(edit),
        ..CodeAction::default()
    }))
}

fn fixes(files: FileMap<'_>, diagnostic: &Diagnostic) -> Vec<CodeActionOrCommand> {
    let fixes = diagnostic.fixes.iter().enumerate();
    fixes.map(|(index, fix)| CodeActionOrCommand::CodeAction(fix_action(files, diagnostic, fix, index == 0))).collect()
}

/// Returns the action that silences a finding with a comment.
fn ignoring(document: &Document, diagnostic: &Diagnostic) -> Option<CodeActionOrCommand> {
    let fix = pipelens_core::fixes::ignoring(&document.analysis, diagnostic)?;
    Some(CodeActionOrCommand::CodeAction(fix_action(document.files(), diagnostic, &fix, false)))
}

fn fix_action(files: FileMap<'_>, diagnostic: &Diagnostic, fix: &Fix, is_preferred: bool) -> CodeAction {
    CodeAction {
        title: fix.title.clone(),
        kind: Some(CodeActionKind::QUICKFIX),
        diagnostics: Some(vec![files.diagnostic(diagnostic)]),
        edit: Some(files.workspace_edit(&fix.edits)),
        is_preferred: Some(is_preferred),
        ..CodeAction::default()
    }
}

/// What the lenses offer, for clients without lenses: first the step at the cursor, then the pipeline.
fn run_actions(server: &Server, document: &Document, wanted: TextRange) -> Vec<CodeActionOrCommand> {
    let literals = server.settings.client().code_action_literals;
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
        let single = matrix::lenses(server, document, place).into_iter().map(|(_, command)| command);
        commands(server, document, place).into_iter().chain(single).map(move |command| (step.clone(), command))
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

/// A client may request a kind or any of its parent kinds.
fn is_asked_for(only: Option<&[CodeActionKind]>, kind: &str) -> bool {
    only.is_none_or(|only| {
        only.iter().any(|asked| {
            let asked = asked.as_str();
            asked.is_empty() || kind == asked || kind.strip_prefix(asked).is_some_and(|rest| rest.starts_with('.'))
        })
    })
}

fn touches(range: TextRange, wanted: TextRange) -> bool {
    range.start <= wanted.end && wanted.start <= range.end
}

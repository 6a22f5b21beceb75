//! The only way from text to `Analysis`: parse, lower, check, and drop what comments silence.

mod repairs;

use crate::analysis::Analysis;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::files::{Files, Format};
use crate::findings::Findings;
use crate::model::Pipeline;
use crate::project::Project;
use crate::syntax::repair::{self, Repaired};
use crate::syntax::{json, tree::Tree};
use crate::text::{self, LineIndex, Spanned, TextRange};
use crate::{expand, lower, suppress, validate};
use repairs::Repairs;

/// Sixteen mebibytes: a thousand times what people write, and still parsed within a second.
const MAX_TEXT_BYTES: usize = 16 * 1024 * 1024;

/// `before` is the analysis of the text before an edit; what has not changed since is not parsed again.
pub(crate) fn analyze(
    text: &str,
    format: Format,
    project: Option<&dyn Project>,
    before: Option<&Analysis>,
) -> Analysis {
    let line_index = LineIndex::new(text);
    if text.len() > MAX_TEXT_BYTES {
        return too_large(text, line_index);
    }
    let edited = before.and_then(|before| before.tree.after_edit(&before.text, text));
    let read = || repair::read(text, &line_index);
    let Repaired { tree, findings: repairs, repaired_lines } = edited.map_or_else(read, Repaired::unrepaired);
    let is_repaired = !repairs.is_empty();
    let mut findings = Findings::default();
    if format == Format::Json && !is_repaired && !text.trim_start_matches('\u{feff}').trim().is_empty() {
        findings.extend(json::check(text, &line_index));
    }
    let pipelines = read_documents(text, &tree, format, project, &mut findings);
    if is_repaired {
        let repaired = Repairs::new(text, &line_index, &repaired_lines);
        findings.list_mut().retain(|finding| !repaired.caused(finding, &pipelines));
    }
    validate::finish_fixes(text, &tree, &mut findings);
    findings.extend(repairs);
    let mut silenced = suppress::apply(text, &line_index, &tree, findings.list_mut());
    silenced.retain(suppress::still_refuses);
    let diagnostics = findings.finish();
    let (text, files) = (text.to_owned(), Files::default());
    Analysis { line_index, files, pipelines, diagnostics, is_repaired, silenced, text, tree, ..Analysis::default() }
}

fn too_large(text: &str, line_index: LineIndex) -> Analysis {
    let message = "This file is larger than 16 MiB, the limit for a pipeline. Split it.";
    let diagnostics = vec![Diagnostic::new(Code::TooLarge, TextRange::at(0), message)];
    Analysis { line_index, diagnostics, text: text.to_owned(), ..Analysis::default() }
}

/// Reads the settings of a project.
pub(crate) fn analyze_settings(text: &str) -> Analysis {
    let line_index = LineIndex::new(text);
    if text.len() > MAX_TEXT_BYTES {
        return too_large(text, line_index);
    }
    let Repaired { tree, findings: repairs, repaired_lines } = repair::read(text, &line_index);
    let is_repaired = !repairs.is_empty();
    let mut findings = Findings::default();
    validate::check_expressions(text, &tree, &[], &mut findings);
    if validate::check_references(text, &tree, &mut findings) {
        let roots = tree.documents.iter().copied().filter(|root| validate::says_something(&tree, *root));
        roots.for_each(|root| validate::check_settings(text, &tree, root, &mut findings));
    }
    // Other versions may know more settings and more codes.
    for finding in findings.list_mut().iter_mut().filter(|finding| finding.code == Code::UnknownKey) {
        finding.severity = Severity::Warning;
    }
    if is_repaired {
        let repaired = Repairs::new(text, &line_index, &repaired_lines);
        findings.list_mut().retain(|finding| !repaired.caused(finding, &[]));
    }
    validate::finish_fixes(text, &tree, &mut findings);
    findings.extend(repairs);
    suppress::apply(text, &line_index, &tree, findings.list_mut());
    let diagnostics = findings.finish();
    let text = text.to_owned();
    Analysis { line_index, diagnostics, is_repaired, is_settings: true, text, tree, ..Analysis::default() }
}

fn read_documents(
    text: &str,
    tree: &Tree,
    format: Format,
    project: Option<&dyn Project>,
    findings: &mut Findings,
) -> Vec<Pipeline> {
    if !validate::check_references(text, tree, findings) {
        validate::check_expressions(text, tree, &[], findings);
        return Vec::new();
    }
    let mut pipelines = Vec::new();
    let mut is_empty = true;
    for root in tree.documents.iter().copied().filter(|root| validate::says_something(tree, *root)) {
        is_empty = false;
        validate::check_document(text, tree, root, findings);
        if let Some(kind) = lower::document_kind(tree, root) {
            pipelines.extend(lower::pipelines(tree, root, kind, format == Format::Json));
        }
    }
    if is_empty {
        let message = "This file has no pipeline yet. Start with `steps:` and a step with `key` and `cmd`.";
        findings.push(Diagnostic::new(Code::EmptyFile, TextRange::at(0), message));
    }
    for pipeline in &mut pipelines {
        let steps = pipeline.steps.iter_mut().chain(&mut pipeline.unnamed_steps);
        steps.for_each(|step| step.range.start = text::dash_before(text, step.range.start));
    }
    if let Some(shell) = project.and_then(Project::shell) {
        let authored = pipelines.iter_mut().filter(|pipeline| pipeline.spelling.is_authored());
        for step in authored.flat_map(|pipeline| pipeline.steps.iter_mut().chain(&mut pipeline.unnamed_steps)) {
            step.shell.get_or_insert_with(|| Spanned::new(shell.clone(), TextRange::at(step.range.start)));
        }
    }
    pipelines.iter_mut().filter(|pipeline| pipeline.has_matrix()).for_each(expand::combine);
    let mut commands = validate::Commands::default();
    for pipeline in &pipelines {
        validate::check_pipeline(text, pipeline, &mut commands, findings);
        if let Some(project) = project {
            validate::check_in_project(text, pipeline, project, findings);
        }
    }
    findings.extend(commands.finish());
    validate::check_expressions(text, tree, &pipelines, findings);
    pipelines
}

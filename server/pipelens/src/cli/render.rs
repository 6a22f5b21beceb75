//! Findings with the source line and a caret, for a terminal.

use std::path::Path;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use pipelens_core::diagnostic::{Diagnostic, Severity};

use crate::terminal;

/// Renders one finding. Colours are stripped later, if the output is not a terminal.
pub(crate) fn finding(path: &Path, text: &str, diagnostic: &Diagnostic) -> String {
    let path = printable(&path.display().to_string());
    let message = printable(&diagnostic.message);
    let related: Vec<_> =
        diagnostic.related.iter().map(|related| (related.range, printable(&related.message))).collect();
    let helps: Vec<_> = diagnostic.fixes.iter().map(|fix| printable(&fix.title)).collect();
    let primary = AnnotationKind::Primary.span(diagnostic.range.start..diagnostic.range.end);
    let context = related
        .iter()
        .map(|(range, message)| AnnotationKind::Context.span(range.start..range.end).label(message.as_str()));
    let snippet = Snippet::source(text).line_start(1).path(path).annotation(primary).annotations(context);
    let title = level(diagnostic.severity).primary_title(message.as_str()).id(diagnostic.code.as_str());
    let mut report: Vec<Group<'_>> = vec![title.element(snippet)];
    report.extend(helps.iter().map(|help| Group::with_title(Level::HELP.secondary_title(help.as_str()))));
    // The quoted line is the file's own.
    terminal::visible(&Renderer::styled().decor_style(DecorStyle::Ascii).render(&report)).into_owned()
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Information => Level::INFO,
        Severity::Hint => Level::HELP.with_name("hint"),
    }
}

/// Returns a text without characters that control the terminal: names come from files, which can be hostile.
pub(crate) fn printable(text: &str) -> String {
    text.split('\n').map(pipelens_core::printable::printable).collect::<Vec<_>>().join("\n")
}

//! Findings with the source line and a caret, for a terminal.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use pipelens_core::diagnostic::{Diagnostic, Related, Severity};

use super::checked::Checked;
use super::printable::printable;
use crate::terminal;

/// Renders one finding. Colours are stripped later, if the output is not a terminal.
pub(super) fn finding(file: &Checked, diagnostic: &Diagnostic) -> String {
    let source = file.source(diagnostic.file);
    let path = printable(&source.path.display().to_string());
    let message = printable(&diagnostic.message);
    let (related, elsewhere): (Vec<&Related>, Vec<&Related>) =
        diagnostic.related.iter().partition(|related| related.place.file == diagnostic.file);
    let related: Vec<_> =
        related.into_iter().map(|related| (related.place.range, printable(&related.message))).collect();
    let elsewhere: Vec<_> = elsewhere
        .into_iter()
        .map(|related| {
            let source = file.source(related.place.file);
            let path = printable(&source.path.display().to_string());
            (source.text, path, related.place.range, printable(&related.message))
        })
        .collect();
    let helps: Vec<_> = diagnostic.fixes.iter().map(|fix| printable(&fix.title)).collect();
    let primary = AnnotationKind::Primary.span(diagnostic.range.start..diagnostic.range.end);
    let context = related
        .iter()
        .map(|(range, message)| AnnotationKind::Context.span(range.start..range.end).label(message.as_str()));
    let snippet = Snippet::source(source.text).line_start(1).path(path).annotation(primary).annotations(context);
    let title = level(diagnostic.severity).primary_title(message.as_str()).id(diagnostic.code.as_str());
    let mut report: Vec<Group<'_>> = vec![title.element(snippet)];
    report.extend(elsewhere.iter().map(|(text, path, range, message)| {
        let place = AnnotationKind::Primary.span(range.start..range.end);
        let snippet = Snippet::source(*text).line_start(1).path(path.as_str()).annotation(place);
        Level::NOTE.secondary_title(message.as_str()).element(snippet)
    }));
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

/// Renders the findings of at least this severity.
pub(crate) fn findings(file: &Checked, least: Severity) -> String {
    let shown = file.diagnostics.iter().filter(|diagnostic| diagnostic.severity <= least);
    shown.fold(String::new(), |mut text, diagnostic| {
        text.push_str(&finding(file, diagnostic));
        text.push_str("\n\n");
        text
    })
}

//! Workflow commands: GitHub draws each as an annotation on its line.

use pipelens_core::diagnostic::Severity;
use pipelens_core::text::TextRange;

use super::parts::Place;
use crate::cli::checked::{Checked, Source};
use crate::cli::printable::printable;
use crate::problems::Located;

pub(super) fn write(checked: &[Checked]) -> String {
    let mut text = String::new();
    for file in checked {
        for diagnostic in &file.diagnostics {
            let (source, message) = (file.source(diagnostic.file), printable(&diagnostic.message));
            text.push_str(&annotation(
                diagnostic.severity,
                source,
                diagnostic.range,
                diagnostic.code.as_str(),
                &message,
            ));
        }
    }
    text
}

/// Writes an annotation for each problem.
pub(super) fn write_problems(problems: &[Located]) -> String {
    let write = |problem: &Located| {
        let title = match &problem.code {
            Some(code) => format!("{}: {code}", problem.source),
            None => problem.source.clone(),
        };
        // A message may have several lines, but controls nothing.
        let message: Vec<_> = problem.message.lines().map(printable).collect();
        annotation(problem.severity, problem.source_of(), problem.range, &printable(&title), &message.join("\n"))
    };
    problems.iter().map(write).collect()
}

/// Writes an annotation without a place.
pub(super) fn write_failure(key: &str, text: &str) -> String {
    format!("::error title={}::{}\n", property(&printable(key)), data(&printable(text)))
}

fn annotation(severity: Severity, source: Source<'_>, range: TextRange, title: &str, message: &str) -> String {
    let command = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Information | Severity::Hint => "notice",
    };
    let (start, end) = (Place::new(source, range.start), Place::new(source, range.end));
    // GitHub shows no annotation for a path that starts with `./`.
    let path = source.path.display().to_string().replace('\\', "/");
    let path = property(&printable(path.trim_start_matches("./")));
    // GitHub takes columns for findings on one line only.
    let columns =
        if start.line == end.line { format!(",col={},endColumn={}", start.column, end.column) } else { String::new() };
    let (title, message) = (property(title), data(message));
    format!("::{command} file={path},line={},endLine={}{columns},title={title}::{message}\n", start.line, end.line)
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

//! Workflow commands: GitHub draws each as an annotation on its line.

use pipelens_core::diagnostic::Severity;

use super::parts::Place;
use crate::cli::checked::Checked;
use crate::cli::printable::printable;

pub(super) fn write(checked: &[Checked]) -> String {
    let mut text = String::new();
    for file in checked {
        for diagnostic in &file.diagnostics {
            let command = match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Information | Severity::Hint => "notice",
            };
            let source = file.source(diagnostic.file);
            let (start, end) = (Place::new(source, diagnostic.range.start), Place::new(source, diagnostic.range.end));
            // GitHub shows no annotation for a path that starts with `./`.
            let path = source.path.display().to_string().replace('\\', "/");
            let path = property(&printable(path.trim_start_matches("./")));
            // GitHub takes columns for findings on one line only.
            let columns = if start.line == end.line {
                format!(",col={},endColumn={}", start.column, end.column)
            } else {
                String::new()
            };
            text.push_str(&format!(
                "::{command} file={path},line={},endLine={}{columns},title={}::{}\n",
                start.line,
                end.line,
                property(diagnostic.code.as_str()),
                data(&printable(&diagnostic.message)),
            ));
        }
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

//! Findings with the source line and a caret, and a summary.

use pipelens_core::diagnostic::Severity;

use crate::cli::checked::Checked;
use crate::cli::render;
use crate::present;

pub(super) fn write(checked: &[Checked]) -> String {
    let mut text: String = checked.iter().map(|file| render::findings(file, Severity::Hint)).collect();
    if checked.is_empty() {
        return text;
    }
    let all = || checked.iter().flat_map(|file| &file.diagnostics);
    let count = |severity| all().filter(|diagnostic| diagnostic.severity == severity).count();
    let counted = [
        (count(Severity::Error), "error"),
        (count(Severity::Warning), "warning"),
        (count(Severity::Information) + count(Severity::Hint), "hint"),
    ];
    let parts = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| present::plural(*count, what))
        .collect::<Vec<_>>();
    let files = present::plural(checked.len(), "file");
    let found = if parts.is_empty() { "no findings".to_owned() } else { parts.join(", ") };
    text.push_str(&format!("{files} checked: {found}\n"));
    crate::terminal::inert(&text).into_owned()
}

//! What the groups of a tool's lines say.

use regex::Captures;

use super::problem::severity_of;
use super::tools::Tool;
use crate::diagnostic::Severity;

/// What the lines of a tool have said.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) file: String,
    /// Where the code was called that has the problem.
    pub(super) caller: Option<(String, u32)>,
    pub(super) line: u32,
    pub(super) column: Option<u32>,
    pub(super) end_line: Option<u32>,
    pub(super) end_column: Option<u32>,
    pub(super) severity: Option<Severity>,
    pub(super) is_note: bool,
    pub(super) code: Option<String>,
    pub(super) message: String,
}

impl Parts {
    /// Takes over the groups of a line.
    pub(super) fn take(&mut self, captures: &Captures<'_>) {
        let text = |name: &str| captures.name(name).map(|group| group.as_str());
        let number = |name: &str| text(name).and_then(|number| number.parse::<u32>().ok());
        if let Some(file) = text("file") {
            self.file = file.trim().to_owned();
        }
        if let Some((file, line)) = text("caller").zip(number("caller_line")) {
            self.caller = Some((file.to_owned(), line));
        }
        if let Some(line) = number("line").or_else(|| number("line_2")) {
            self.line = line;
            self.column = number("column").or_else(|| number("column_2"));
            self.end_line = number("end_line").or_else(|| number("last_line"));
            // The last column that belongs to it.
            self.end_column = number("end_column").or_else(|| number("last_column").map(|last| last.saturating_add(1)));
        }
        if let Some(marks) = captures.name("marks") {
            let length = u32::try_from(marks.len()).unwrap_or(u32::MAX);
            let start = captures.get(0).map_or(0, |whole| marks.start() - whole.start());
            self.column = u32::try_from(start + 1).ok();
            let is_exact = marks.as_str().ends_with('^') && length > 1;
            self.end_column = self.column.filter(|_| is_exact).map(|column| column.saturating_add(length));
        }
        if let Some(word) = text("severity") {
            let first = word.split(' ').next().unwrap_or(word);
            self.severity = severity_of(word).or(match first {
                "Parse" | "Fatal" | "Recoverable" => Some(Severity::Error),
                "Notice" | "Deprecated" | "Strict" => Some(Severity::Information),
                _ => None,
            });
            self.is_note = matches!(word, "note" | "help");
        }
        if let Some(code) = ["code", "code_before", "code_first"].into_iter().find_map(text) {
            self.code = Some(code.to_owned());
        }
        if let Some(message) = text("message") {
            self.message = super::problem::cut(message.trim().to_owned());
        }
    }

    /// Adds a line of a message that has several, before the line with its place.
    pub(super) fn add_wrapped(&mut self, tool: &Tool, line: &str) {
        let wrapped = tool.wrapped.as_ref().and_then(|wrapped| wrapped.captures(line));
        if let Some(text) = wrapped.as_ref().and_then(|wrapped| wrapped.name("message")) {
            self.message = super::problem::cut(format!("{}\n{}", self.message, text.as_str().trim_end()));
        }
    }

    /// Whether it looks like a finding of a type checker.
    pub(super) fn is_python_check(&self) -> bool {
        self.severity.is_some()
    }
}

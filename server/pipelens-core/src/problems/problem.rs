//! What is found: a problem and its places.

use crate::diagnostic::Severity;

/// Something a tool reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The tool, if its output shows which one it is.
    pub tool: Option<String>,
    /// Where it is; of a stack of calls, the innermost place is last. The last one inside the project is meant.
    pub places: Vec<Place>,
    pub severity: Severity,
    pub code: Option<String>,
    /// May have several lines.
    pub message: String,
    /// Other places that belong to it.
    pub related: Vec<(Place, String)>,
}

/// A place in a file, as the tool writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The path as it was printed.
    pub file: String,
    /// The directory in which the tool runs, if the output says so.
    pub folder: Option<String>,
    /// The package that the file belongs to, if the output says so: `example.com/x/pkg` in Go, `com.example` in Java.
    pub package: Option<String>,
    /// The tool prints only the end of the path, wherever it runs.
    pub is_name: bool,
    /// From 1.
    pub line: u32,
    /// From 1, in the tool's unit.
    pub column: Option<u32>,
    pub end_line: Option<u32>,
    /// Of the first character after it.
    pub end_column: Option<u32>,
    pub unit: Unit,
}

/// What a tool's columns count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unit {
    #[default]
    Characters,
    Bytes,
    Utf16,
    /// Columns of a terminal, on which a tab goes to the next multiple of 8.
    Terminal,
}

/// How many problems of one run are kept.
pub const MAX_PROBLEMS: usize = 500;
/// Longer messages are cut.
const MAX_MESSAGE_BYTES: usize = 2_000;

impl Problem {
    pub(super) fn new(place: Place, severity: Severity, message: String) -> Self {
        Self { tool: None, places: vec![place], severity, code: None, message: cut(message), related: Vec::new() }
    }

    /// Adds a line to the message, if there is room for it.
    pub(super) fn add_line(&mut self, line: &str) {
        let line = line.trim_end();
        if self.message.len() + line.len() < MAX_MESSAGE_BYTES {
            if !self.message.is_empty() {
                self.message.push('\n');
            }
            self.message.push_str(line);
        }
    }
}

pub(super) fn cut(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        let mut end = MAX_MESSAGE_BYTES;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('…');
    }
    message
}

/// Returns how serious a word or letter of a tool is.
pub(super) fn severity_of(word: &str) -> Option<Severity> {
    let word = word.to_ascii_lowercase();
    Some(match word.as_str() {
        "error" | "fatal error" | "fatal" | "internal compiler error" | "e" | "f" | "✖" | "✘" | "×" => {
            Severity::Error
        }
        "warning" | "warn" | "w" | "⚠" => Severity::Warning,
        "note" | "info" | "information" | "message" | "remark" | "notice" | "i" | "c" | "r" | "style"
        | "convention" | "refactor" | "ℹ" => Severity::Information,
        "hint" | "help" => Severity::Hint,
        _ => return None,
    })
}

//! The ways in which tools report problems, ready to be looked for. What they look like is in the table.

mod table;

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use super::problem::Unit;
use crate::diagnostic::Severity;
use table::{ROWS, Row};

/// One way in which a tool reports a problem.
#[derive(Debug)]
pub(super) struct Tool {
    /// `None`: the tool is named after the file, by [`named_after`].
    pub(super) name: Option<&'static str>,
    /// What its lines look like, one after the other.
    pub(super) lines: Vec<Line>,
    /// The last line may come again and again.
    pub(super) is_loop: bool,
    /// Lines after it that continue the message.
    pub(super) more: Option<Regex>,
    /// They come after the line with the mark.
    pub(super) has_more_after_marks: bool,
    /// The rest of a message that has several lines, or of a line that continues it.
    pub(super) wrapped: Option<Regex>,
    pub(super) unit: Unit,
    /// How serious a problem is if its lines do not say so.
    pub(super) severity: Severity,
    /// The number of a line's first column.
    pub(super) first_column: u32,
    /// It prints the names of files without their folders.
    pub(super) has_names: bool,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) expression: Regex,
    /// Lines that may come before it.
    pub(super) between: Option<Regex>,
}

static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| ROWS.iter().filter_map(tool).collect());

/// The first lines of all tools: one look at a line tells which of them to try.
static FIRST_LINES: LazyLock<RegexSet> = LazyLock::new(|| {
    let first = ROWS.iter().filter_map(|row| row.lines.first()).map(|(expression, _)| *expression);
    RegexSet::new(first).unwrap_or_else(|_| RegexSet::empty())
});

pub(super) fn all() -> &'static [Tool] {
    &TOOLS
}

/// Returns the tools whose first line this can be.
pub(super) fn beginning_with(line: &str) -> impl Iterator<Item = usize> {
    FIRST_LINES.matches(line).into_iter()
}

/// Whether a line is the first of a message of rustc, which may have no place at all.
pub(super) fn begins_message(line: &str) -> bool {
    let rest = ["error", "warning"].into_iter().find_map(|word| line.strip_prefix(word));
    rest.is_some_and(|rest| rest.starts_with(": ") || rest.starts_with('[') && rest.contains("]: "))
}

/// Whether a line is a problem with its place. The last row also fits text inside an indented line, so there it says nothing.
pub(super) fn is_finding(line: &str) -> bool {
    let is_indented = line.starts_with([' ', '\t']);
    let last = TOOLS.len().saturating_sub(1);
    beginning_with(line)
        .filter(|row| !is_indented || *row != last)
        .any(|row| TOOLS.get(row).is_some_and(|tool| tool.lines.len() == 1))
}

fn tool(row: &Row) -> Option<Tool> {
    let regex = |expression: &str| Regex::new(expression).ok();
    let line = |(expression, between): &(&str, Option<&str>)| {
        Some(Line { expression: regex(expression)?, between: between.and_then(regex) })
    };
    Some(Tool {
        name: row.name,
        lines: row.lines.iter().map(line).collect::<Option<_>>()?,
        is_loop: row.is_loop,
        more: row.more.and_then(regex),
        has_more_after_marks: row.has_more_after_marks,
        wrapped: row.wrapped.and_then(regex),
        unit: row.unit,
        severity: row.severity,
        first_column: row.first_column,
        has_names: row.has_names,
    })
}

/// Returns the name of the tool that reports about such a file in a form that several tools have.
pub(super) fn named_after(file: &str, code: Option<&str>, command: &str) -> Option<&'static str> {
    let runs = |name: &str| {
        let is_word =
            |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let bytes = command.as_bytes();
        command.match_indices(name).any(|(at, _)| {
            !is_word(at.checked_sub(1).and_then(|before| bytes.get(before))) && !is_word(bytes.get(at + name.len()))
        })
    };
    let first = |names: &[&'static str]| names.iter().copied().find(|name| runs(name));
    if code.is_some_and(|code| code.starts_with("SC") && code[2..].bytes().all(|byte| byte.is_ascii_digit())) {
        return Some("shellcheck");
    }
    let extension = file.rsplit('.').next()?;
    match extension {
        "rs" => first(&["rustc"]).or(Some("cargo")),
        "c" | "h" | "cc" | "cpp" | "cxx" | "hh" | "hpp" | "hxx" | "m" | "mm" | "S" | "inc" | "ipp" => {
            first(&["clang-tidy", "clang", "clang++", "gcc", "g++", "cppcheck"]).or(Some("cc"))
        }
        "swift" => Some("swiftc"),
        "py" | "pyi" => {
            first(&["flake8", "pylint", "pyright", "pycodestyle", "pyflakes", "ruff", "mypy"]).or_else(|| match code {
                Some(code) if code.starts_with(|letter: char| letter.is_ascii_uppercase()) => Some("ruff"),
                Some("invalid-syntax") => Some("ruff"),
                Some(_) | None => None,
            })
        }
        "java" => first(&["gradle", "gradlew"]).or(Some("javac")),
        "ts" | "tsx" | "mts" | "cts" | "js" | "jsx" | "mjs" | "cjs" | "vue" => {
            first(&["eslint"]).or_else(|| code.filter(|code| code.starts_with("TS")).map(|_| "tsc"))
        }
        "cs" | "fs" | "vb" => Some("dotnet"),
        "go" => Some("go"),
        "rb" | "rake" => Some("ruby"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_can_be_used() {
        assert_eq!(all().len(), ROWS.len());
        assert_eq!(FIRST_LINES.len(), ROWS.len());
        assert!(all().iter().all(|tool| !tool.lines.is_empty()));
        let optional = |row: &Row| row.more.is_some();
        assert!(ROWS.iter().zip(all()).all(|(row, tool)| optional(row) == tool.more.is_some()));
    }
}

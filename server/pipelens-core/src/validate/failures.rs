//! Commands of several lines in which a failure of an earlier line goes unnoticed.

use super::commands::Written;
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::offsets::Offsets;
use crate::text::TextRange;

/// Words whose failure does not matter, or that change how the shell handles failures.
const HARMLESS: &[&str] = &[
    "echo", "printf", "export", "unset", "readonly", "local", "alias", "umask", "trap", "true", ":", "set", "shopt",
    "exit", "exec", "return", "shift", "wait", "date", "pwd", "env", "fi", "done", "esac", "}", "then", "else", "do",
];

/// Finds the first line of a command that can fail without any effect, because others follow.
pub(super) fn unnoticed(written: &Written<'_>) -> Option<Diagnostic> {
    let command = written.cmd.value.trim_end();
    if !command.contains('\n') || handles_failures(command) {
        return None;
    }
    let mut at = 0;
    let lines: Vec<(usize, &str)> = command
        .split_inclusive('\n')
        .map(|line| {
            at += line.len();
            (at - line.len(), line.trim_end_matches(['\n', '\r']))
        })
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .collect();
    let (last, earlier) = lines.split_last()?;
    let is_continued = |line: &str| {
        let line = line.trim_end();
        line.ends_with(['\\', '|', '{', '(']) || line.ends_with("&&") || line.ends_with(";;")
    };
    // A line that only continues the one above is no command of its own.
    let follows =
        |position: usize| position > 0 && earlier.get(position - 1).is_some_and(|(_, line)| is_continued(line));
    if last.1.starts_with([' ', '\t']) || command.contains("<<") {
        return None;
    }
    let (start, line) = earlier.iter().enumerate().find_map(|(position, (start, line))| {
        (can_fail(line) && !is_continued(line) && !follows(position)).then_some((*start, *line))
    })?;
    let offsets = written.offsets()?;
    let indent = line.len() - line.trim_start().len();
    let place = written.visible_place(TextRange::new(start + indent, start + line.trim_end().len()));
    let message = "If this line fails, the next ones run all the same, and only the last one decides whether the step has failed. Begin with `set -e`, or set `shell: sh -e` for all commands.";
    let finding = Diagnostic::new(Code::UnnoticedFailure, place, message);
    Some(match insertion(written, offsets, command) {
        Some((at, new_text)) => finding.with_fix("Insert `set -e`", TextRange::at(at), new_text),
        None => finding,
    })
}

/// Whether a command handles failures itself.
fn handles_failures(command: &str) -> bool {
    let sets = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        words.next() == Some("set")
            && words
                .take_while(|word| *word != "--")
                .any(|word| word == "errexit" || (word.starts_with('-') && word.contains('e')))
    };
    command.lines().any(|line| line.split([';', '&']).any(|part| sets(part.trim())))
}

/// Whether a line is a command whose failure may matter. Parts of compound commands, which begin with a keyword or are indented, are left out.
fn can_fail(line: &str) -> bool {
    if line.starts_with([' ', '\t', '#', '(', ')', '}', '"', '\'']) || line.contains("||") {
        return false;
    }
    let word = line.split([' ', '\t', ';']).next().unwrap_or_default();
    let is_keyword = matches!(
        word,
        "if" | "for" | "while" | "until" | "case" | "{" | "!" | "elif" | "function" | "[" | "[[" | "test"
    );
    let is_assignment = word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|character| character.is_alphanumeric() || character == '_')
    });
    let is_definition = line.contains("()");
    let is_background = line.trim_end().ends_with('&') && !line.trim_end().ends_with("&&");
    !HARMLESS.contains(&word) && !is_keyword && !is_assignment && !is_definition && !is_background
}

/// Returns where `set -e` goes in a block scalar, and how it is written there.
fn insertion(written: &Written<'_>, offsets: &Offsets, command: &str) -> Option<(usize, String)> {
    let first = command.chars().next().filter(|first| !first.is_whitespace())?;
    let start = offsets.source(TextRange::new(0, first.len_utf8()))?.start;
    let before = written.text.get(..start)?;
    let line_start = before.rfind('\n')? + 1;
    let indent = written.text.get(line_start..start).filter(|indent| !indent.is_empty() && indent.trim().is_empty())?;
    // Looking for one in the whole text would make a long file slow.
    let newline = if before.get(..line_start)?.ends_with("\r\n") { "\r\n" } else { "\n" };
    // Elsewhere, lines are joined.
    let is_literal = written.block_indicator().is_some_and(|(_, style)| style == '|');
    is_literal.then(|| (start, format!("set -e{newline}{indent}")))
}

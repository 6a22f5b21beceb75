//! Failed steps as findings, each on its step's command. The finding is removed when the step runs again.

use std::collections::BTreeSet;
use std::sync::Arc;

use lsp_types::{
    Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString, Position, Range, Uri,
};
use pipelens_core::shell::{self, Failed};
use pipelens_engine::event::{Outcome, StdStream};

use super::log_documents;
use super::registry::Registry;
use super::run::{Failure, Run};
use crate::lsp::findings::store::{Finding, Findings, Place, Source};
use crate::lsp::session::client::ClientFeatures;
use crate::present;
use crate::terminal;

/// Lines of output that a failure shows.
const SHOWN_LINES: usize = 10;
/// Lines of output whose places it names.
const RELATED_LINES: usize = 5;

/// Reports the failed steps of a file, each by its newest run.
pub(crate) fn report(registry: &Registry, findings: &Findings, client: ClientFeatures, uri: &Uri) {
    let mut seen = BTreeSet::new();
    for run in registry.newest_first().iter().filter(|run| run.uri == *uri) {
        let failures = run.failures(|key| seen.insert((run.pipeline, key.to_owned())));
        let failures = failures.into_iter().map(|failure| Finding {
            place: Place::Step {
                pipeline: run.pipeline,
                key: failure.key.clone(),
                line: failed_line(&failure),
                ran: failure.ran,
            },
            diagnostic: Diagnostic {
                severity: Some(if failure.is_forgiven() {
                    DiagnosticSeverity::WARNING
                } else {
                    DiagnosticSeverity::ERROR
                }),
                code: Some(NumberOrString::String("step-failed".to_owned())),
                source: Some("pipelens run".to_owned()),
                message: text(&failure),
                related_information: related(client, run, failure.step),
                ..Diagnostic::default()
            },
        });
        findings.set(Source::Run(run.id), uri, failures.collect());
    }
}

/// Returns the last lines of a step's log with their places in it, for a client that shows such places.
fn related(client: ClientFeatures, run: &Run, step: usize) -> Option<Vec<DiagnosticRelatedInformation>> {
    if !client.related_information {
        return None;
    }
    let look = || log_documents::last_lines(run, step, RELATED_LINES, client.log_documents).map(Arc::new);
    let last = run.last_lines.lock().entry(step).or_insert_with(look).clone()?;
    let at = |(line, text): &(u32, String)| DiagnosticRelatedInformation {
        location: Location::new(last.uri.clone(), Range::new(Position::new(*line, 0), Position::new(*line, 0))),
        message: text.clone(),
    };
    Some(last.lines.iter().map(at).collect())
}

/// Returns the line of a command that failed, from 1: the one that the shell named in the last line of its errors, else the only one that can have
/// failed.
fn failed_line(failure: &Failure) -> Option<usize> {
    let errors = || failure.tail.iter().rev().filter(|line| line.stream == StdStream::Stderr);
    let last = errors().next().map(|line| terminal::plain(&line.text).into_owned()).unwrap_or_default();
    let by_shell = last.split_once(": ").filter(|(name, _)| {
        let name = name.rsplit('/').next();
        failure.shell.iter().any(|word| word.rsplit('/').next() == name)
    });
    if let Some((_, said)) = by_shell {
        return named_line(failure, said);
    }
    let Outcome::Failed(code) = failure.outcome else { return None };
    let traced = errors().find_map(|line| terminal::plain(&line.text).strip_prefix("+ ").map(str::to_owned));
    let traced = traced.as_deref();
    shell::failed_line(Failed { command: &failure.cmd, shell: &failure.shell, code, traced })
}

/// Returns the line that the shell named: `3: make: not found`.
fn named_line(failure: &Failure, rest: &str) -> Option<usize> {
    let lines: Vec<&str> = failure.cmd.lines().collect();
    let (number, message) = rest.strip_prefix("line ").unwrap_or(rest).split_once(": ")?;
    let Ok(number) = number.parse::<usize>() else {
        // Without a number, the only line that names the program is meant.
        let mut naming = lines.iter().enumerate().filter(|(_, line)| names(line, number));
        let (index, _) = naming.next()?;
        return naming.next().is_none().then_some(index + 1);
    };
    // Some versions count from 0. The line they mean contains what they complain about.
    let subject = message.split(": ").next().unwrap_or_default();
    let has = |line: usize| line.checked_sub(1).and_then(|at| lines.get(at)).is_some_and(|line| line.contains(subject));
    [number, number + 1]
        .into_iter()
        .find(|line| has(*line))
        .or_else(|| (1..=lines.len()).contains(&number).then_some(number))
}

/// Whether a line has this as a word of its own.
fn names(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line.get(..at).unwrap_or_default(), line.get(at + word.len()..).unwrap_or_default());
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// Returns what went wrong, with the last lines of output.
fn text(failure: &Failure) -> String {
    let tail = &failure.tail;
    let lines = tail.iter().skip(tail.len().saturating_sub(SHOWN_LINES));
    let output: String = lines.map(|line| format!("\n{}", terminal::plain(&line.text))).collect();
    present::step_failure(&failure.key, &failure.outcome).unwrap_or_default() + &output
}

#[cfg(test)]
mod tests {
    use pipelens_engine::event::{LogLine, Outcome};

    use super::*;

    #[test]
    fn the_shell_names_the_line_that_failed() {
        let line = |shell: &str, message: &str| {
            let time = chrono::DateTime::UNIX_EPOCH;
            failed_line(&Failure {
                step: 0,
                key: "a".to_owned(),
                outcome: Outcome::Failed(127),
                tail: vec![LogLine { stream: StdStream::Stderr, time, text: message.into() }],
                shell: shell.split(' ').map(str::to_owned).collect(),
                cmd: "true\n\nfoo --bar\necho".to_owned(),
                soft_fail: false,
                ran: None,
            })
        };
        assert_eq!(line("sh", "sh: 3: foo: not found"), Some(3));
        assert_eq!(line("/bin/bash -e", "/bin/bash: line 3: foo: command not found"), Some(3));
        // Older versions of bash count from 0.
        assert_eq!(line("bash", "bash: line 2: foo: command not found"), Some(3));
        assert_eq!(line("busybox sh", "sh: line 3: foo: not found"), Some(3));
        assert_eq!(line("sh", "sh: foo: not found"), Some(3));
        assert_eq!(line("sh", "sh: bar: not found"), None);
        assert_eq!(line("sh", "make: 3: x"), None);
        assert_eq!(line("sh", "sh: 9: x"), None);
    }
}

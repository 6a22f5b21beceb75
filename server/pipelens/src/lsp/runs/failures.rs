//! Failed steps as findings, each on its step's command. The finding is removed when the step runs again.

use std::collections::BTreeSet;

use lsp_types::{Diagnostic, DiagnosticSeverity, NumberOrString, Uri};
use pipelens_engine::event::Outcome;

use super::registry::Registry;
use super::run::Failure;
use crate::lsp::findings::store::{Finding, Findings, Place, Source};
use crate::terminal;

/// Lines of output that a failure shows.
const SHOWN_LINES: usize = 10;

/// Reports the failed steps of a file, each by its newest run.
pub(crate) fn report(registry: &Registry, findings: &Findings, uri: &Uri) {
    let mut seen = BTreeSet::new();
    for run in registry.newest_first().iter().filter(|run| run.uri == *uri) {
        let failures = run.failures(|key| seen.insert((run.pipeline, key.to_owned())));
        let failures = failures.into_iter().map(|failure| Finding {
            place: Place::Step { pipeline: run.pipeline, key: failure.key.clone() },
            diagnostic: Diagnostic {
                severity: Some(DiagnosticSeverity::ERROR),
                code: Some(NumberOrString::String("step-failed".to_owned())),
                source: Some("pipelens run".to_owned()),
                message: text(&failure),
                ..Diagnostic::default()
            },
        });
        findings.set(Source::Run(run.id), uri, failures.collect());
    }
}

/// Returns what went wrong, with the last lines of output.
fn text(failure: &Failure) -> String {
    let tail = &failure.tail;
    let lines = tail.iter().skip(tail.len().saturating_sub(SHOWN_LINES));
    let output: String = lines.map(|line| format!("\n{}", terminal::plain(&line.text))).collect();
    what(&failure.key, &failure.outcome).unwrap_or_default() + &output
}

/// Returns what went wrong with a step in one sentence; `None` if nothing did.
pub(crate) fn what(key: &str, outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Failed(code) => Some(format!("Step `{key}` failed: exit {code}")),
        Outcome::TimedOut => Some(format!("Step `{key}` timed out")),
        Outcome::Errored(why) => Some(format!("Step `{key}` could not run: {why}")),
        Outcome::Succeeded | Outcome::Cached | Outcome::Cancelled | Outcome::Skipped(_) => None,
    }
}

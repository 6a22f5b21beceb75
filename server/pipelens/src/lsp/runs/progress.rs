//! The progress of one run in the client.

use std::time::{Duration, Instant};

use lsp_types::notification::Progress as ProgressNotification;
use lsp_types::request::WorkDoneProgressCreate;
use lsp_types::{
    ProgressParams, ProgressParamsValue, ProgressToken, WorkDoneProgress, WorkDoneProgressBegin,
    WorkDoneProgressCreateParams, WorkDoneProgressEnd, WorkDoneProgressReport,
};
use tower_lsp::Client;

use super::context::Runs;
use super::run::{Run, StepView};
use crate::present;

/// At most ten progress reports a second.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// The names of the running steps share one line with what they do.
const LONGEST_NAMES: usize = 48;
/// A client that does not answer for this long shows no progress.
const CREATE_TIMEOUT: Duration = Duration::from_secs(5);

/// The progress of one run in the client, once the client has agreed to show it.
#[derive(Debug)]
pub(crate) struct Progress {
    token: ProgressToken,
    percentage: u32,
    /// What was said last.
    message: String,
    last: Option<Instant>,
    /// Whether something has changed since the last report.
    is_late: bool,
}

impl Progress {
    /// Uses the client's token, or else asks for one; a client that refuses or does not support progress gets none.
    pub(crate) async fn begin(runs: &Runs, run: &Run, client_token: Option<ProgressToken>) -> Option<Self> {
        let token = match client_token {
            Some(token) => token,
            None if runs.settings.client().progress => {
                let token = ProgressToken::String(format!("pipelens/{}", run.id));
                let params = WorkDoneProgressCreateParams { token: token.clone() };
                let create = runs.client.send_request::<WorkDoneProgressCreate>(params);
                tokio::time::timeout(CREATE_TIMEOUT, create).await.ok()?.ok()?;
                token
            }
            None => return None,
        };
        *run.progress_token.lock() = Some(token.clone());
        let message = progress_text(run);
        let progress = Self { token, percentage: 0, message: message.clone(), last: None, is_late: false };
        let begin = WorkDoneProgressBegin {
            title: format!("Run {}", run.title),
            cancellable: Some(true),
            message: Some(message),
            percentage: Some(0),
        };
        progress.notify(&runs.client, WorkDoneProgress::Begin(begin)).await;
        Some(progress)
    }

    /// Returns when it is time to report what was left out because it came too soon after the last report.
    pub(crate) async fn due(&self) {
        match self.last {
            Some(last) if self.is_late => tokio::time::sleep_until((last + PROGRESS_INTERVAL).into()).await,
            Some(_) | None => std::future::pending().await,
        }
    }

    pub(crate) async fn report(&mut self, client: &Client, run: &Run) {
        self.is_late = self.last.is_some_and(|last| last.elapsed() < PROGRESS_INTERVAL);
        if self.is_late {
            return;
        }
        let (percentage, message) = (self.percentage.max(percentage(&run.steps())), progress_text(run));
        if percentage == self.percentage && message == self.message {
            return;
        }
        self.last = Some(Instant::now());
        (self.percentage, self.message) = (percentage, message);
        let report = WorkDoneProgressReport {
            cancellable: Some(true),
            message: Some(self.message.clone()),
            percentage: Some(self.percentage),
        };
        self.notify(client, WorkDoneProgress::Report(report)).await;
    }

    pub(crate) async fn end(&self, client: &Client, message: String) {
        self.notify(client, WorkDoneProgress::End(WorkDoneProgressEnd { message: Some(message) })).await;
    }

    async fn notify(&self, client: &Client, value: WorkDoneProgress) {
        let params = ProgressParams { token: self.token.clone(), value: ProgressParamsValue::WorkDone(value) };
        client.send_notification::<ProgressNotification>(params).await;
    }
}

/// Done steps of all; never 100 before the end.
fn percentage(steps: &[StepView]) -> u32 {
    let done = steps.iter().filter(|step| matches!(step, StepView::Done { .. })).count();
    u32::try_from(done * 100 / steps.len().max(1)).unwrap_or(0).min(99)
}

/// Returns the progress of a run in one short line: `2/7 test · running 00:12`, `2/7 test, lint · lint: pulling alpine:3`.
fn progress_text(run: &Run) -> String {
    let mut done = 0;
    let mut running = Vec::new();
    let mut phases = Vec::new();
    let steps = run.steps();
    for (step, view) in run.plan.steps.iter().zip(&steps) {
        match view {
            StepView::Queued => {}
            StepView::Running { phase, .. } => {
                running.push(step.key.as_str());
                phases.extend(phase.as_deref().map(|phase| (step.key.as_str(), phase)));
            }
            StepView::Done { .. } => done += 1,
        }
    }
    let doing = match (phases.as_slice(), running.as_slice()) {
        ([], _) => format!("running {}", present::clock(run.started.elapsed())),
        ([(_, phase), ..], [_]) => (*phase).to_owned(),
        ([(key, phase), ..], _) => format!("{}: {phase}", shortened(key)),
    };
    match running.as_slice() {
        [] => format!("{done}/{} {doing}", steps.len()),
        running => format!("{done}/{} {} · {doing}", steps.len(), names(running)),
    }
}

/// Joins as many names as one line has room for, at least one, and counts the others.
fn names(keys: &[&str]) -> String {
    let mut text = String::new();
    for (index, key) in keys.iter().enumerate() {
        let name = shortened(key);
        if index > 0 && text.chars().count() + name.chars().count() > LONGEST_NAMES {
            return format!("{text} and {} more", keys.len() - index);
        }
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(&name);
    }
    text
}

fn shortened(key: &str) -> String {
    if key.chars().count() <= LONGEST_NAMES {
        return key.to_owned();
    }
    key.chars().take(LONGEST_NAMES - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use pipelens_engine::event::Outcome;

    use super::*;

    #[test]
    fn all_names_are_said_as_long_as_they_fit_on_a_line() {
        assert_eq!(names(&["test"]), "test");
        assert_eq!(names(&["unit", "lint", "docs"]), "unit, lint, docs");
        let long = ["integration-tests-on-linux", "integration-tests-on-macos", "lint", "docs"];
        assert_eq!(names(&long), "integration-tests-on-linux and 3 more");
        let longest = names(&[&"é".repeat(200), "b"]);
        assert_eq!((longest.chars().count(), longest.ends_with("… and 1 more")), (LONGEST_NAMES + 11, true));
    }

    #[test]
    fn the_percentage_stays_below_100_until_the_run_ends() {
        let done = StepView::Done { outcome: Outcome::Succeeded, took: Duration::ZERO, tail: Vec::new() };
        assert_eq!(percentage(&[done.clone(), StepView::Queued, StepView::Queued]), 33);
        assert_eq!(percentage(&[done.clone(), done]), 99);
        assert_eq!(percentage(&[]), 0);
    }
}

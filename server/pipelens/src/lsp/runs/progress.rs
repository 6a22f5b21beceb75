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
/// A client that does not answer for this long shows no progress.
const CREATE_TIMEOUT: Duration = Duration::from_secs(5);

/// The progress of one run in the client, once the client has agreed to show it.
#[derive(Debug)]
pub(crate) struct Progress {
    token: ProgressToken,
    percentage: u32,
    last: Option<Instant>,
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
        let progress = Self { token, percentage: 0, last: None };
        let begin = WorkDoneProgressBegin {
            title: format!("Run {}", run.title),
            cancellable: Some(true),
            message: Some(progress_text(run)),
            percentage: Some(0),
        };
        progress.notify(&runs.client, WorkDoneProgress::Begin(begin)).await;
        Some(progress)
    }

    pub(crate) async fn report(&mut self, client: &Client, run: &Run) {
        if self.last.is_some_and(|last| last.elapsed() < PROGRESS_INTERVAL) {
            return;
        }
        self.last = Some(Instant::now());
        self.percentage = self.percentage.max(percentage(&run.steps()));
        let report = WorkDoneProgressReport {
            cancellable: Some(true),
            message: Some(progress_text(run)),
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

/// Returns the progress of a run in one short line: `2/7 test · running 00:12`.
fn progress_text(run: &Run) -> String {
    let steps = run.steps();
    let done = steps.iter().filter(|step| matches!(step, StepView::Done { .. })).count();
    let named = || run.plan.steps.iter().zip(&steps);
    let running: Vec<&str> = named()
        .filter(|(_, view)| matches!(view, StepView::Running { .. }))
        .map(|(step, _)| step.key.as_str())
        .collect();
    let phase = named().find_map(|(_, view)| match view {
        StepView::Running { phase: Some(phase), .. } => Some(phase.clone()),
        StepView::Running { phase: None, .. } | StepView::Queued | StepView::Done { .. } => None,
    });
    let doing = phase.unwrap_or_else(|| format!("running {}", present::clock(run.started.elapsed())));
    match running.as_slice() {
        [] => format!("{done}/{} {doing}", steps.len()),
        [one] => format!("{done}/{} {one} · {doing}", steps.len()),
        [first, rest @ ..] => format!("{done}/{} {first} and {} more · {doing}", steps.len(), rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use pipelens_engine::event::Outcome;

    use super::*;

    #[test]
    fn the_percentage_stays_below_100_until_the_run_ends() {
        let done = StepView::Done { outcome: Outcome::Succeeded, took: Duration::ZERO, tail: Vec::new() };
        assert_eq!(percentage(&[done.clone(), StepView::Queued, StepView::Queued]), 33);
        assert_eq!(percentage(&[done.clone(), done]), 99);
        assert_eq!(percentage(&[]), 0);
    }
}

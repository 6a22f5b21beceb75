//! The runs of this process and the parts of the session they use.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use tower_lsp::Client;
use uuid::Uuid;

use super::log_documents::LogDocuments;
use super::predictions::Predictions;
use super::registry::Registry;
use super::remembered::Remembered;
use super::shown_problems::ShownProblems;
use super::watches::Watches;
use crate::lsp::findings::store::Findings;
use crate::lsp::protocol::commands::{CancelArgs, StopWatchingArgs};
use crate::lsp::session::lenses::LensRefresh;
use crate::lsp::session::settings::SessionSettings;

/// The runs of this process, and everything they report to.
#[derive(Debug)]
pub(crate) struct Runs {
    pub(crate) client: Client,
    pub(crate) settings: Arc<SessionSettings>,
    pub(crate) findings: Arc<Findings>,
    pub(crate) lenses: Arc<LensRefresh>,
    pub(crate) predictions: Arc<Predictions>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) remembered: Remembered,
    pub(crate) watches: Watches,
    pub(crate) problems: ShownProblems,
    pub(crate) log_documents: LogDocuments,
    /// The engine's tasks. The end of the process waits for them, because they remove what the steps left.
    pub(crate) engines: TaskTracker,
    /// The tasks that report runs. They end with the run, or with the process.
    pub(crate) reports: TaskTracker,
    /// The tasks that wait for an answer from the user. They end with the process.
    pub(crate) questions: TaskTracker,
}

impl Runs {
    /// Cancels everything if the workspace is not trusted any more.
    pub(crate) fn stop_without_trust(&self) {
        if self.settings.is_untrusted() {
            self.cancel_everything();
        }
    }

    /// Cancels all runs, and stops watching, so that no further run begins.
    pub(crate) fn cancel_everything(&self) -> Vec<Uuid> {
        self.watches.stop(&StopWatchingArgs::default());
        self.lenses.want();
        self.registry.cancel(&CancelArgs::default())
    }

    /// Cancels everything and waits until it is cleaned up, or until the deadline.
    pub(crate) async fn stop(&self, deadline: Duration) {
        self.cancel_everything();
        self.engines.close();
        if tokio::time::timeout(deadline, self.engines.wait()).await.is_err() {
            tracing::error!("some runs were not cleaned up in time; the next start removes what is left of them");
        }
    }
}

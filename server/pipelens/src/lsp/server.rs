//! One server: everything a request may reach.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lsp_types::{ConfigurationItem, MessageType, ProgressToken, Uri};
use tokio_util::task::TaskTracker;
use tower_lsp::{Client, UriExt};
use uuid::Uuid;

use super::findings::store::Findings;
use super::runs::context::Runs;
use super::runs::follow::follow;
use super::runs::log_documents::LogDocuments;
use super::runs::predictions::{self, Predictions};
use super::runs::registry::{Registry, Started};
use super::runs::remembered::{self, Remembered};
use super::runs::shown_problems::ShownProblems;
use super::runs::watches::Watches;
use super::session::debounced::Debounced;
use super::session::documents::OpenDocuments;
use super::session::images::KnownImages;
use super::session::lenses::LensRefresh;
use super::session::settings::SessionSettings;
use super::session::watching;
use super::session::workspace::WorkspaceFiles;
use super::transport::trace::Trace;

/// A client that does not answer for this long has no settings of folders.
const CONFIGURATION_TIMEOUT: Duration = Duration::from_secs(10);

/// What every request may reach.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) settings: Arc<SessionSettings>,
    pub(crate) documents: Arc<OpenDocuments>,
    pub(crate) findings: Arc<Findings>,
    pub(crate) lenses: Arc<LensRefresh>,
    pub(crate) predictions: Arc<Predictions>,
    pub(crate) runs: Arc<Runs>,
    pub(crate) images: Arc<KnownImages>,
    pub(crate) workspace: WorkspaceFiles,
    pub(crate) trace: Arc<Trace>,
    /// Messages on their way to the client. They end with the process.
    messages: TaskTracker,
}

impl Server {
    pub(crate) fn new(client: Client) -> Self {
        let findings = Arc::new(Findings::default());
        let settings = Arc::new(SessionSettings::new(findings.clone()));
        let to_predict = Arc::new(Debounced::new(predictions::REST));
        let predictions = Arc::new(Predictions::new(to_predict.clone()));
        let to_remember = Arc::new(Debounced::new(remembered::REST));
        let lenses = Arc::new(LensRefresh::default());
        let runs = Runs {
            client: client.clone(),
            settings: settings.clone(),
            findings: findings.clone(),
            lenses: lenses.clone(),
            predictions: predictions.clone(),
            registry: Arc::new(Registry::new(settings.clone())),
            remembered: Remembered::new(to_remember.clone()),
            watches: Watches::default(),
            problems: ShownProblems::default(),
            log_documents: LogDocuments::default(),
            engines: TaskTracker::new(),
            reports: TaskTracker::new(),
            questions: TaskTracker::new(),
        };
        Self {
            client,
            documents: Arc::new(OpenDocuments::new(settings.clone(), findings.clone(), to_predict, to_remember)),
            settings,
            findings,
            lenses,
            predictions,
            runs: Arc::new(runs),
            images: Arc::default(),
            workspace: WorkspaceFiles::default(),
            trace: Arc::default(),
            messages: TaskTracker::new(),
        }
    }

    /// Shows the user a warning. Nothing waits for the client.
    pub(crate) fn warn(&self, text: String) {
        self.show_message(MessageType::WARNING, text);
    }

    /// Shows the user a message. Nothing waits for the client.
    pub(crate) fn show_message(&self, kind: MessageType, text: String) {
        let client = self.client.clone();
        self.messages.spawn(async move { client.show_message(kind, text).await });
    }

    /// Adds a line to the client's log. Nothing waits for the client.
    pub(crate) fn log(&self, kind: MessageType, text: String) {
        let client = self.client.clone();
        self.messages.spawn(async move { client.log_message(kind, text).await });
    }

    /// Asks the client to report changes of files, if it can. Nothing waits for its answer.
    pub(crate) fn watch_files(&self) {
        if self.settings.client().watches_files {
            let client = self.client.clone();
            self.messages.spawn(async move { watching::register(&client).await });
        }
    }

    /// Asks the client for the settings of each of its folders, if it can be asked. They apply when it answers.
    pub(crate) fn configure_folders(&self) {
        let folders = self.settings.folders();
        if !self.settings.client().configuration || folders.is_empty() {
            return;
        }
        let (client, settings) = (self.client.clone(), self.settings.clone());
        let (documents, lenses) = (self.documents.clone(), self.lenses.clone());
        let item = |folder: &PathBuf| ConfigurationItem {
            scope_uri: Uri::from_file_path(folder),
            section: Some("pipelens".to_owned()),
        };
        let items = folders.iter().map(item).collect();
        self.messages.spawn(async move {
            let answer = tokio::time::timeout(CONFIGURATION_TIMEOUT, client.configuration(items)).await;
            let Ok(Ok(values)) = answer else {
                tracing::warn!("the client does not tell the settings of its folders");
                return;
            };
            match settings.set_folders(folders.into_iter().zip(values)) {
                Ok(false) => return,
                Ok(true) => {}
                Err(why) => client.show_message(MessageType::WARNING, why).await,
            }
            // A bug in the analysis is in the log.
            drop(tokio::task::spawn_blocking(move || documents.reanalyse()).await);
            lenses.want();
        });
    }

    /// Follows a run to its end, in the background.
    pub(crate) fn follow(&self, uri: &Uri, started: Started, token: Option<ProgressToken>) -> Uuid {
        self.documents.touch(uri);
        let run_id = started.run.id;
        self.runs.reports.spawn(follow(self.runs.clone(), started, token));
        run_id
    }
}

//! The open documents: text, version and what the core says of each. One lock, held for one edit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lsp_types::{
    DidChangeConfigurationParams, DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams,
    Uri,
};
use pipelens_core::{Analysis, Format};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Notify;
use tower_lsp::UriExt;

use super::config::Config;
use super::convert::{Encoding, FileMap, TextMap, Units};
use super::edits;
use super::ext;
use super::outbox::Outbox;
use super::predictions::Predictions;
use crate::surroundings::Surroundings;

/// The client's user decided about the workspace.
pub(crate) const TRUST: &str = "pipelens/didChangeTrust";

/// Documents by URI; a request keeps the map of its arrival, an edit makes a new one if somebody still holds the old.
pub(crate) type Snapshot = Arc<BTreeMap<String, Arc<Document>>>;

/// Open documents, and bytes of text in them, that are kept. An editor has a few hundred at most.
const MAX_DOCUMENTS: usize = 10_000;
const MAX_OPEN_BYTES: usize = 256 * 1024 * 1024;

/// Somebody who types gets ShellCheck's word when they pause, not at each letter.
const LINT_REST: Duration = Duration::from_millis(150);

tokio::task_local! {
    /// The documents as of the arrival of the request being handled.
    pub(crate) static ARRIVAL: Snapshot;
}

/// Returns a document as of the arrival of the request being handled.
pub(crate) fn document(uri: &Uri) -> Option<Arc<Document>> {
    ARRIVAL.try_with(|documents| documents.get(uri.as_str()).cloned()).ok().flatten()
}

/// One open text, and all that is known about it.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) uri: Uri,
    pub(crate) version: i32,
    pub(crate) text: String,
    pub(crate) analysis: Analysis,
    units: Units,
    /// Anybody else's file gets empty answers.
    pub(crate) is_pipeline: bool,
}

impl Document {
    /// Returns the way from offsets to positions and back.
    pub(crate) fn files(&self, encoding: Encoding) -> FileMap<'_> {
        FileMap::new(&self.uri, self.map(encoding), &self.analysis.files)
    }

    pub(crate) fn map(&self, encoding: Encoding) -> TextMap<'_> {
        TextMap::new(&self.text, &self.analysis.line_index, &self.units, encoding)
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.uri.to_file_path().map(|path| path.into_owned())
    }
}

/// The documents behind their lock, with what an edit sets in motion.
#[derive(Debug)]
pub(crate) struct State {
    documents: Mutex<Snapshot>,
    last_active: Mutex<Option<String>>,
    /// By their root folder.
    projects: Mutex<BTreeMap<PathBuf, Arc<Surroundings>>>,
    /// Documents whose commands ShellCheck may not have read yet.
    to_lint: Mutex<BTreeSet<String>>,
    lint_wake: Notify,
    /// More is known of a project's files.
    files_wake: Arc<Notify>,
    config: Arc<Config>,
    outbox: Arc<Outbox>,
    predictions: Arc<Predictions>,
}

impl State {
    pub(crate) fn new(config: Arc<Config>, outbox: Arc<Outbox>, predictions: Arc<Predictions>) -> Self {
        Self {
            documents: Mutex::default(),
            last_active: Mutex::default(),
            projects: Mutex::default(),
            to_lint: Mutex::default(),
            lint_wake: Notify::new(),
            files_wake: Arc::default(),
            config,
            outbox,
            predictions,
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        lock(&self.documents).clone()
    }

    /// Returns the document that was opened or changed last, for commands without an argument.
    pub(crate) fn last_active(&self) -> Option<Arc<Document>> {
        let uri = lock(&self.last_active).clone()?;
        self.snapshot().get(&uri).cloned()
    }

    /// Remembers which document a person is in.
    pub(crate) fn touch(&self, uri: &str) {
        *lock(&self.last_active) = Some(uri.to_owned());
    }

    /// The notifications that change what later messages mean.
    pub(crate) const APPLIED_IN_ORDER: [&str; 5] = [
        "textDocument/didOpen",
        "textDocument/didChange",
        "textDocument/didClose",
        "workspace/didChangeConfiguration",
        TRUST,
    ];

    /// Applies one of them. What does not parse is logged, never fatal; what the user should know is returned.
    pub(crate) fn apply(&self, method: &str, params: Value) -> Option<String> {
        match method {
            "textDocument/didOpen" => return self.open(parsed(method, params)?),
            "textDocument/didChange" => self.change(parsed(method, params)?),
            "textDocument/didClose" => self.close(&parsed(method, params)?),
            TRUST => {
                self.config.trust(ext::is_trusted(&params));
                // Programs have not read what was opened without trust.
                for uri in self.snapshot().keys() {
                    self.want_lint(uri.clone());
                    self.predictions.want(uri);
                }
            }
            "workspace/didChangeConfiguration" => {
                let params: DidChangeConfigurationParams = parsed(method, params)?;
                if let Err(complaint) = self.config.set(params.settings) {
                    return Some(complaint);
                }
                self.reanalyze();
                self.outbox.refresh_lenses();
            }
            other => tracing::error!("{other} is not applied in order"),
        }
        None
    }

    /// Lets ShellCheck read what it has not read yet, aside, and reads the documents again when it has; until the process ends.
    pub(crate) async fn lint(&self) {
        loop {
            self.lint_wake.notified().await;
            tokio::time::sleep(LINT_REST).await;
            let uris = std::mem::take(&mut *lock(&self.to_lint));
            for uri in uris {
                if let Err(error) = self.lint_document(&uri).await {
                    tracing::warn!("{error:#}");
                }
            }
        }
    }

    fn want_lint(&self, uri: String) {
        lock(&self.to_lint).insert(uri);
        self.lint_wake.notify_one();
    }

    async fn lint_document(&self, uri: &str) -> anyhow::Result<()> {
        let Some(document) = self.snapshot().get(uri).cloned() else { return Ok(()) };
        let Some(path) = document.path().filter(|_| document.is_pipeline) else { return Ok(()) };
        if self.config.is_untrusted() || !self.config.project(&self.config.root_of(&path)).uses_shellcheck() {
            return Ok(());
        }
        let is_new = self.project(&path).shellcheck.read(&document.analysis).await?;
        // The document may be another one by now; it was read when nothing was known yet.
        while is_new && let Some(document) = self.snapshot().get(uri).cloned() {
            let again = Arc::new(self.read(document.uri.clone(), document.version, document.text.clone()));
            if self.replace(&document, again.clone()) {
                self.outbox.publish_diagnostics(again);
                break;
            }
        }
        Ok(())
    }

    /// Puts a document in the place of another, if that is still there.
    fn replace(&self, old: &Arc<Document>, new: Arc<Document>) -> bool {
        let mut documents = lock(&self.documents);
        let is_there = documents.get(old.uri.as_str()).is_some_and(|document| Arc::ptr_eq(document, old));
        if is_there {
            Arc::make_mut(&mut documents).insert(old.uri.as_str().to_owned(), new);
        }
        is_there
    }

    /// Reads the documents again when more is known of their projects' files, until the process ends.
    pub(crate) async fn watch_files(&self) {
        loop {
            self.files_wake.notified().await;
            for document in self.snapshot().values().filter(|document| document.is_pipeline) {
                let again = Arc::new(self.read(document.uri.clone(), document.version, document.text.clone()));
                if self.replace(document, again.clone()) {
                    self.outbox.publish_diagnostics(again);
                }
            }
        }
    }

    /// Reads every document again: the settings, or what the user allows, say something else now.
    pub(crate) fn reanalyze(&self) {
        lock(&self.projects).clear();
        for document in self.snapshot().values() {
            self.store(self.read(document.uri.clone(), document.version, document.text.clone()));
        }
    }

    /// Reads a document, or says why not.
    fn open(&self, params: DidOpenTextDocumentParams) -> Option<String> {
        let item = params.text_document;
        let open = self.snapshot();
        let bytes: usize = open.values().map(|document| document.text.len()).sum();
        if !open.contains_key(item.uri.as_str())
            && (open.len() >= MAX_DOCUMENTS || bytes + item.text.len() > MAX_OPEN_BYTES)
        {
            let limit = format!("{MAX_DOCUMENTS} documents or {} MiB of text", MAX_OPEN_BYTES >> 20);
            return Some(format!(
                "{} is not read: more than {limit} would be open. Close other files and open it again.",
                item.uri.as_str()
            ));
        }
        drop(open);
        self.store(self.read(item.uri, item.version, item.text));
        None
    }

    fn change(&self, params: DidChangeTextDocumentParams) {
        let uri = params.text_document.uri;
        let Some(document) = self.snapshot().get(uri.as_str()).cloned() else {
            tracing::error!("{} was changed but never opened", uri.as_str());
            return;
        };
        let text = edits::apply(&document.text, params.content_changes, self.config.encoding());
        self.store(self.read(uri, params.text_document.version, text));
    }

    fn close(&self, params: &DidCloseTextDocumentParams) {
        let uri = params.text_document.uri.as_str();
        let removed = Arc::make_mut(&mut lock(&self.documents)).remove(uri);
        if let Some(document) = removed {
            self.predictions.want(uri);
            self.outbox.clear_diagnostics(&document);
        }
    }

    /// Analyses a text as the document it would be.
    pub(crate) fn read(&self, uri: Uri, version: i32, text: String) -> Document {
        let file = uri.to_file_path().map(|path| path.into_owned());
        let is_file = file.is_some();
        let path = file.unwrap_or_else(|| PathBuf::from(uri.path().as_str()));
        let is_pipeline = self.config.is_pipeline_file(&path, &text);
        let analysis = match (is_pipeline, is_file) {
            (false, _) => Analysis::default(),
            // A text that was never saved belongs to no project.
            (true, false) => pipelens_core::analyze(&text, Format::of(&path)),
            (true, true) => pipelens_core::analyze_in(&text, Format::of(&path), &*self.project(&path)),
        };
        let units = if is_pipeline { Units::new(&text) } else { Units::default() };
        Document { uri, version, text, analysis, units, is_pipeline }
    }

    /// Returns what is known of the project a path belongs to.
    fn project(&self, path: &Path) -> Arc<Surroundings> {
        let root = self.config.root_of(path);
        if let Some(project) = lock(&self.projects).get(&root) {
            return project.clone();
        }
        // Looked at without the lock: the disk may be slow.
        let wake = self.files_wake.clone();
        let ready = Arc::new(move || wake.notify_one());
        let project = Arc::new(Surroundings::aside(root.clone(), &self.config.settings(), ready));
        lock(&self.projects).entry(root).or_insert(project).clone()
    }

    fn store(&self, document: Document) {
        let document = Arc::new(document);
        let uri = document.uri.as_str().to_owned();
        let before = Arc::make_mut(&mut lock(&self.documents)).insert(uri.clone(), document.clone());
        if document.is_pipeline {
            self.touch(&uri);
            self.outbox.publish_diagnostics(document);
            self.predictions.want(&uri);
            self.want_lint(uri);
        } else if before.is_some_and(|before| before.is_pipeline) {
            self.outbox.clear_diagnostics(&document);
        }
    }
}

fn parsed<P: DeserializeOwned>(method: &str, params: Value) -> Option<P> {
    match serde_json::from_value(params) {
        Ok(params) => Some(params),
        Err(error) => {
            tracing::error!("{method} was not understood and is ignored: {error}");
            None
        }
    }
}

/// Locks, whatever a panic elsewhere left behind: the data is replaced as a whole, never half.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

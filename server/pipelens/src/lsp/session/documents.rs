//! The open documents: text, version and analysis of each. One lock, held for one edit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lsp_types::{DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, Uri};
use parking_lot::Mutex;
use pipelens_core::Analysis;
use pipelens_core::programs::{Rendering, analyze_again};

use super::debounced::Debounced;
pub(crate) use super::document::{Document, Kind};
use super::projects::Projects;
use super::renderings::{self, Renderings};
use super::settings::SessionSettings;
use crate::lsp::findings::store::Findings;
use crate::lsp::protocol::edits;
use crate::lsp::protocol::files::{not_a_file, path_of};
use crate::lsp::protocol::positions::Units;
use crate::project_context::{self, InProject, ProjectContext};
use crate::{programs, source};

/// How many open documents, and how many bytes of text, are kept. An editor has a few hundred documents at most.
const MAX_DOCUMENTS: usize = 10_000;
const MAX_OPEN_BYTES: usize = 256 * 1024 * 1024;

/// ShellCheck runs when the user stops typing, not at every keystroke.
const LINT_REST: Duration = Duration::from_millis(150);

/// The documents at one moment, by URI. A request keeps those of its arrival; an edit copies the map if a request still uses the old one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Documents(Arc<BTreeMap<String, Arc<Document>>>);

impl Documents {
    /// Returns a document, pipeline or not.
    pub(crate) fn get(&self, uri: &Uri) -> Option<Arc<Document>> {
        self.named(uri.as_str()).or_else(|| self.of_same_file(uri).cloned())
    }

    /// Returns the document that the client opened under exactly this URI.
    pub(crate) fn named(&self, uri: &str) -> Option<Arc<Document>> {
        self.0.get(uri).cloned()
    }

    /// Returns the document that the client opened under another path of the same file: a link, or another case where the disk ignores it.
    fn of_same_file(&self, uri: &Uri) -> Option<&Arc<Document>> {
        let file = canonical(uri)?;
        self.0.values().find(|document| document.file.as_ref() == Some(&file))
    }

    /// Returns a document, if it is a pipeline or the settings of a project in YAML or JSON. In programs, the editor has other servers for its language.
    pub(crate) fn written(&self, uri: &Uri) -> Option<Arc<Document>> {
        self.get(uri).filter(|document| matches!(document.kind, Kind::Pipeline | Kind::Settings))
    }

    /// Returns a document, if it is a pipeline in YAML or JSON.
    pub(crate) fn written_pipeline(&self, uri: &Uri) -> Option<Arc<Document>> {
        self.get(uri).filter(|document| document.kind == Kind::Pipeline)
    }

    /// Returns every program.
    pub(super) fn programs(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.0.values().filter(|document| document.kind == Kind::Program)
    }

    /// Returns a document, if it is a pipeline, a program that makes some, or the settings of a project.
    pub(crate) fn analysed(&self, uri: &Uri) -> Option<Arc<Document>> {
        self.get(uri).filter(|document| document.kind != Kind::Other)
    }

    /// Returns a document, if it is a pipeline.
    pub(crate) fn pipeline(&self, uri: &Uri) -> Option<Arc<Document>> {
        self.get(uri).filter(|document| document.is_pipeline())
    }

    /// Returns every document that is a pipeline.
    pub(crate) fn pipelines(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.0.values().filter(|document| document.is_pipeline())
    }
}

/// Returns the project whose settings a URI names.
fn settings_root(uri: &Uri) -> Option<PathBuf> {
    let path = path_of(uri)?;
    project_context::is_settings(&path).then(|| path.parent().map(Path::to_owned)).flatten()
}

/// Returns the file that a URI leads to, through all links.
fn canonical(uri: &Uri) -> Option<PathBuf> {
    std::fs::canonicalize(path_of(uri)?).ok()
}

/// The current documents, and what has to follow an edit.
#[derive(Debug)]
pub(crate) struct OpenDocuments {
    current: Mutex<Documents>,
    last_active: Mutex<Option<String>>,
    pub(super) projects: Projects,
    /// Documents whose commands ShellCheck may not have read yet.
    pub(super) to_lint: Debounced<String>,
    /// Programs that were saved.
    pub(super) to_render: Debounced<String>,
    pub(super) renderings: Renderings,
    /// Documents for which the cache is to be asked what a run would use.
    pub(super) to_predict: Arc<Debounced<String>>,
    /// Documents whose earlier runs are to be looked for.
    to_remember: Arc<Debounced<String>>,
    pub(super) settings: Arc<SessionSettings>,
    findings: Arc<Findings>,
}

impl OpenDocuments {
    pub(crate) fn new(
        settings: Arc<SessionSettings>,
        findings: Arc<Findings>,
        to_predict: Arc<Debounced<String>>,
        to_remember: Arc<Debounced<String>>,
    ) -> Self {
        Self {
            current: Mutex::default(),
            last_active: Mutex::default(),
            projects: Projects::default(),
            to_lint: Debounced::new(LINT_REST),
            to_render: Debounced::new(renderings::REST),
            renderings: Renderings::default(),
            to_predict,
            to_remember,
            settings,
            findings,
        }
    }

    pub(crate) fn now(&self) -> Documents {
        self.current.lock().clone()
    }

    /// Returns the document that was opened or changed last, for commands without an argument.
    pub(crate) fn last_active(&self) -> Option<Arc<Document>> {
        let uri = self.last_active.lock().clone()?;
        self.now().named(&uri)
    }

    /// Remembers which document is active.
    pub(crate) fn touch(&self, uri: &Uri) {
        *self.last_active.lock() = Some(uri.as_str().to_owned());
    }

    /// Requests checks by other programs for documents that were opened before the workspace was trusted.
    pub(crate) fn look_again(&self) {
        for document in self.now().pipelines() {
            self.to_lint.want(document.uri.as_str().to_owned());
            self.to_predict.want(document.uri.as_str().to_owned());
            self.to_remember.want(document.uri.as_str().to_owned());
        }
    }

    /// Asks the cache again what a run would use: the file has changed on disk. Settings apply from now on.
    pub(crate) fn saved(&self, uri: &Uri) {
        if let Some(root) = settings_root(uri) {
            return self.settings_changed(&BTreeSet::from([root]));
        }
        self.to_render.want(uri.as_str().to_owned());
        self.to_predict.want(uri.as_str().to_owned());
        self.to_remember.want(uri.as_str().to_owned());
        if !self.settings.client().watches_files {
            let root = path_of(uri).map(|path| self.settings.root_of(&path));
            self.files_changed(&root.into_iter().collect());
        }
    }

    /// Analyses every document again, because the settings or the user's consents have changed.
    pub(crate) fn reanalyse(&self) {
        self.projects.clear();
        for document in self.now().0.values() {
            self.store(self.analyse(document.uri.clone(), document.version, document.text.clone()));
        }
    }

    /// Reads the settings of projects again, and analyses their documents: the files have changed.
    pub(crate) fn settings_changed(&self, roots: &BTreeSet<PathBuf>) {
        roots.iter().for_each(|root| self.settings.forget(root));
        self.reanalyse_in(roots);
    }

    /// Has the pipelines of projects analysed again, after a pause, because files have appeared or vanished there.
    pub(crate) fn files_changed(&self, roots: &BTreeSet<PathBuf>) {
        roots.iter().for_each(|root| self.projects.look_again(root));
        self.projects.files_found.want(());
    }

    /// Analyses those pipelines again for which this is true.
    pub(super) fn reanalyse_where(&self, is_meant: impl Fn(&Document) -> bool) {
        for document in self.now().pipelines().filter(|document| is_meant(document)) {
            self.analyse_again(document);
        }
    }

    fn reanalyse_in(&self, roots: &BTreeSet<PathBuf>) {
        for document in self.now().pipelines() {
            if document.path().is_some_and(|path| roots.contains(&self.settings.root_of(&path))) {
                self.analyse_again(document);
            }
        }
    }

    /// Returns the projects that open pipelines belong to.
    pub(crate) fn roots(&self) -> BTreeSet<PathBuf> {
        let now = self.now();
        now.pipelines().filter_map(|document| Some(self.settings.root_of(&document.path()?))).collect()
    }

    /// Analyses a document again, because more is known about its project, and reports whether it was still the current one.
    pub(super) fn analyse_again(&self, old: &Arc<Document>) -> bool {
        let new = Arc::new(self.analyse(old.uri.clone(), old.version, old.text.clone()));
        // A program may have other steps now, at which failures are shown.
        let is_same = new.project == old.project
            && new.analysis.diagnostics == old.analysis.diagnostics
            && new.analysis.pipelines == old.analysis.pipelines;
        let mut current = self.current.lock();
        let is_current = current.named(old.uri.as_str()).is_some_and(|document| Arc::ptr_eq(&document, old));
        if is_current {
            Arc::make_mut(&mut current.0).insert(old.uri.as_str().to_owned(), new.clone());
        }
        // What has not changed is not reported again.
        if is_current && !is_same {
            self.findings.reanalysed(&old.uri, new);
        }
        is_current
    }

    /// Opens a document, or returns why it is ignored.
    pub(crate) fn open(&self, params: DidOpenTextDocumentParams) -> Option<String> {
        let item = params.text_document;
        let open = self.now().0;
        let bytes: usize = open.values().map(|document| document.text.len()).sum();
        if !open.contains_key(item.uri.as_str())
            && (open.len() >= MAX_DOCUMENTS || bytes + item.text.len() > MAX_OPEN_BYTES)
        {
            let limit = format!("{MAX_DOCUMENTS} documents or {} MiB of text", MAX_OPEN_BYTES >> 20);
            return Some(format!(
                "{} is ignored: more than {limit} would be open. Close other files and open it again.",
                item.uri.as_str()
            ));
        }
        drop(open);
        if let Some(root) = settings_root(&item.uri) {
            self.settings.opened(&root);
        }
        let document = self.analyse(item.uri, item.version, item.text);
        if document.is_pipeline() {
            self.to_remember.want(document.uri.as_str().to_owned());
        }
        let is_rendered = self.wants_rendering(&document);
        let name = document.uri.as_str().to_owned();
        self.store(document);
        if is_rendered {
            self.to_render.want(name);
        }
        None
    }

    pub(crate) fn change(&self, params: DidChangeTextDocumentParams) {
        let uri = params.text_document.uri;
        let Some(document) = self.now().named(uri.as_str()) else {
            tracing::error!("{} was changed but never opened", uri.as_str());
            return;
        };
        self.findings.moved(&uri, &edits::edits(&document.text, &params.content_changes, self.settings.encoding()));
        let text = edits::apply(&document.text, params.content_changes, self.settings.encoding());
        self.store(self.analyse(uri, params.text_document.version, text));
    }

    pub(crate) fn close(&self, params: &DidCloseTextDocumentParams) {
        let uri = &params.text_document.uri;
        let mut current = self.current.lock();
        if Arc::make_mut(&mut current.0).remove(uri.as_str()).is_some() {
            self.to_predict.want(uri.as_str().to_owned());
            self.findings.closed(uri);
            self.findings.other(uri, false);
            self.renderings.forget(uri);
        }
        drop(current);
        // What the editor did not save is gone; the findings are those of the file again.
        if let Some(root) = settings_root(uri) {
            self.settings.closed(&root);
            self.settings_changed(&BTreeSet::from([root]));
        }
    }

    /// Reads a document that is not open from the disk, or returns why it cannot be read.
    pub(crate) fn on_disk(&self, uri: &Uri) -> Result<Arc<Document>, String> {
        let path = path_of(uri).ok_or_else(|| not_a_file(uri))?;
        let text = source::read(&path).map_err(|error| format!("{error:#}"))?;
        Ok(Arc::new(self.analyse(uri.clone(), 0, text)))
    }

    /// Returns the document for this text.
    pub(crate) fn analyse(&self, uri: Uri, version: i32, text: String) -> Document {
        let rendering = self.renderings.of(&uri);
        self.analyse_with(uri, version, text, rendering.as_deref())
    }

    /// Returns the document for this text; if it is a program, with what it has made.
    pub(super) fn analyse_with(&self, uri: Uri, version: i32, text: String, rendering: Option<&Rendering>) -> Document {
        let file = path_of(&uri);
        let is_file = file.is_some();
        let path = file.unwrap_or_else(|| PathBuf::from(uri.path().as_str()));
        let root = self.settings.root_of(&path);
        let programs = &self.settings.settings_for(&path).programs;
        let language = if is_file { programs::language_in(&path, &root, programs) } else { None };
        let kind = match project_context::is_settings(&path) {
            true => Kind::Settings,
            false if language.is_some() => Kind::Program,
            false if self.settings.is_pipeline_file(&path, &root, &text) => Kind::Pipeline,
            false => Kind::Other,
        };
        let is_in_project = matches!(kind, Kind::Pipeline | Kind::Program) && is_file;
        let project = if is_in_project { self.settings.project(&root) } else { Arc::default() };
        let before = self.now().named(uri.as_str());
        let analyse = |project: Option<InProject<'_>>| {
            project_context::analyse_again(&text, &path, project, before.as_ref().map(|before| &before.analysis))
        };
        let analysis = match kind {
            Kind::Other => Analysis::default(),
            Kind::Program => {
                let before = before.as_ref().map(|before| &before.analysis);
                let analyse = |language| analyze_again(&text, language, rendering, before);
                language.map(analyse).unwrap_or_default()
            }
            Kind::Pipeline if is_file => {
                let context = self.context(root);
                analyse(Some(InProject { context: &context, settings: &project }))
            }
            // A document that was never saved belongs to no project.
            Kind::Settings | Kind::Pipeline => analyse(None),
        };
        let units = if kind == Kind::Other { Units::default() } else { Units::new(&text) };
        let client = self.settings.client();
        let (encoding, tags) = (client.encoding, client.tags);
        let file = before.and_then(|before| before.file.clone()).or_else(|| canonical(&uri));
        Document {
            uri,
            version,
            text,
            analysis,
            kind,
            file,
            project,
            units,
            encoding,
            tags,
            would_run: OnceLock::new(),
        }
    }

    /// Returns what is known of a project.
    pub(super) fn context(&self, root: PathBuf) -> Arc<ProjectContext> {
        let settings = self.settings.settings_for(&root);
        self.projects.context(root, &settings)
    }

    fn store(&self, document: Document) {
        let document = Arc::new(document);
        let name = document.uri.as_str().to_owned();
        let mut current = self.current.lock();
        let before = Arc::make_mut(&mut current.0).insert(name.clone(), document.clone());
        // Under the same lock, so that the findings are never those of an older text.
        if document.kind != Kind::Other {
            self.findings.edited(&document.uri, document.clone());
        } else if before.is_some_and(|before| before.kind != Kind::Other) {
            self.findings.closed(&document.uri);
        }
        self.findings.other(&document.uri, document.kind == Kind::Other);
        drop(current);
        if document.is_pipeline() {
            self.touch(&document.uri);
            self.to_predict.want(name.clone());
            self.to_lint.want(name);
        }
    }
}

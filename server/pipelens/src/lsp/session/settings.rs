//! What the client has told us: its capabilities, the user's settings, and whether the workspace is trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use globset::GlobSet;
use lsp_types::{
    Diagnostic, DiagnosticSeverity, InitializeParams, NumberOrString, Range, Uri, WorkspaceFolder,
    WorkspaceFoldersChangeEvent,
};
use parking_lot::Mutex;
use pipelens_core::Analysis;
use serde_json::{Map, Value};
use tower_lsp::UriExt;

use super::client::{ClientFeatures, SentFeatures};
use crate::lsp::findings::store::{Finding, Findings, Place, Source};
use crate::lsp::protocol::files::path_of;
use crate::lsp::protocol::positions::{Encoding, FileMap, TextMap, Units};
use crate::settings::{PROJECT_FILE, ProjectSettings, Settings, globs};

/// The initialization option for trust.
const TRUST: &str = "workspaceTrusted";

/// Everything the client told us. Read at every message, changed at two.
#[derive(Debug)]
pub(crate) struct SessionSettings {
    inner: Mutex<Inner>,
    findings: Arc<Findings>,
}

#[derive(Debug, Default)]
struct Inner {
    client: ClientFeatures,
    settings: Arc<Settings>,
    files: GlobSet,
    /// What the settings were made from.
    said: Value,
    /// What the editor said when it started the server.
    initial: Value,
    /// The settings of those folders that have some of their own.
    by_folder: BTreeMap<PathBuf, (Arc<Settings>, GlobSet)>,
    folders: Vec<PathBuf>,
    projects: BTreeMap<PathBuf, Arc<ProjectSettings>>,
    /// What the settings files of projects were like when they were read.
    stamps: BTreeMap<PathBuf, Option<(SystemTime, u64)>>,
    /// The projects whose settings are open in the editor.
    open: BTreeSet<PathBuf>,
    is_untrusted: bool,
    /// The client's name and version.
    editor: Option<String>,
    sent: SentFeatures,
}

impl SessionSettings {
    pub(crate) fn new(findings: Arc<Findings>) -> Self {
        Self { inner: Mutex::default(), findings }
    }

    /// Reads the capabilities that the library's types have wrong or not at all, such as `diagnostic` where the protocol has `diagnostics`.
    pub(crate) fn read_sent(&self, initialize: &Value) {
        self.inner.lock().sent = SentFeatures::read(initialize);
    }

    /// Takes the parameters of `initialize`. Settings that are invalid are reported, and the defaults are used.
    pub(crate) fn initialize(&self, params: &InitializeParams) -> Result<(), String> {
        let options = params.initialization_options.clone().unwrap_or(Value::Null);
        let folders = params.workspace_folders.iter().flatten().filter_map(|folder| path_of(&folder.uri));
        {
            let mut inner = self.inner.lock();
            inner.client = ClientFeatures::new(&params.capabilities, params.process_id, inner.sent);
            inner.folders = folders.collect();
            inner.is_untrusted = !is_trusted(&options);
            inner.editor = params.client_info.as_ref().map(|info| {
                let version = info.version.as_ref().map(|version| format!(" {version}"));
                format!("{}{}", info.name, version.unwrap_or_default())
            });
        }
        // The user's own file counts even if the editor sends nothing.
        let options = if options.is_object() { options } else { Value::Object(Map::new()) };
        self.inner.lock().initial = options.clone();
        self.set(options)
    }

    /// Takes settings, at the top level or under `pipelens`.
    pub(crate) fn set(&self, value: Value) -> Result<(), String> {
        if !value.is_object() {
            return Ok(());
        }
        let value = own_part(value);
        // Some editors send all settings that the user has of this kind as soon as the server has started, which may be none.
        let is_empty = value.as_object().is_some_and(Map::is_empty);
        let value = if is_empty { own_part(self.inner.lock().initial.clone()) } else { value };
        let (settings, files) = made(value.clone())?;
        let mut inner = self.inner.lock();
        inner.settings = settings;
        inner.files = files;
        inner.said = value;
        inner.projects.clear();
        Ok(())
    }

    /// Takes the settings of folders, each over those of the session. What is invalid is not used. Returns whether anything has changed.
    pub(crate) fn set_folders(&self, said: impl Iterator<Item = (PathBuf, Value)>) -> Result<bool, String> {
        let base = self.inner.lock().said.clone();
        let (mut by_folder, mut complaint) = (BTreeMap::new(), None);
        for (folder, value) in said {
            // A client without settings for the folder answers with nothing, or with nothing in it.
            if value.as_object().is_none_or(serde_json::Map::is_empty) {
                continue;
            }
            match made(merged(base.clone(), value)) {
                Ok(made) => drop(by_folder.insert(folder, made)),
                Err(why) => complaint = Some(format!("{}: {why}", folder.display())),
            }
        }
        let mut inner = self.inner.lock();
        let has_changed = !(by_folder.is_empty() && inner.by_folder.is_empty());
        inner.by_folder = by_folder;
        inner.projects.clear();
        complaint.map_or(Ok(has_changed), Err)
    }

    /// Adds and removes folders of the editor.
    pub(crate) fn change_folders(&self, event: &WorkspaceFoldersChangeEvent) {
        let paths = |folders: &[WorkspaceFolder]| -> Vec<PathBuf> {
            folders.iter().filter_map(|folder| path_of(&folder.uri)).collect()
        };
        let (removed, added) = (paths(&event.removed), paths(&event.added));
        let mut inner = self.inner.lock();
        inner.folders.retain(|folder| !removed.contains(folder));
        for folder in added {
            if !inner.folders.contains(&folder) {
                inner.folders.push(folder);
            }
        }
        inner.by_folder.retain(|folder, _| !removed.contains(folder));
        inner.projects.clear();
    }

    pub(crate) fn trust(&self, is_trusted: bool) {
        self.inner.lock().is_untrusted = !is_trusted;
    }

    pub(crate) fn is_untrusted(&self) -> bool {
        self.inner.lock().is_untrusted
    }

    /// Returns the name and version of the editor, if it has told them.
    pub(crate) fn editor(&self) -> Option<String> {
        self.inner.lock().editor.clone()
    }

    pub(crate) fn client(&self) -> ClientFeatures {
        self.inner.lock().client
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.client().encoding
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.inner.lock().settings.clone()
    }

    /// Returns the settings for a file or a project: those of the editor's folder that it is in.
    pub(crate) fn settings_for(&self, path: &Path) -> Arc<Settings> {
        let inner = self.inner.lock();
        inner.of_folder(path).map_or_else(|| inner.settings.clone(), |(settings, _)| settings.clone())
    }

    /// Like `settings_for`, for a document. Where folders have no settings of their own, nothing is looked up.
    pub(crate) fn settings_of(&self, uri: &Uri) -> Arc<Settings> {
        {
            let inner = self.inner.lock();
            if inner.by_folder.is_empty() {
                return inner.settings.clone();
            }
        }
        self.settings_for(&path_of(uri).unwrap_or_default())
    }

    /// Returns the project's settings, overridden by the editor's. The file is read once, and again after a change of settings.
    pub(crate) fn project(&self, root: &Path) -> Arc<ProjectSettings> {
        if let Some(project) = self.inner.lock().projects.get(root) {
            return project.clone();
        }
        // Read without the lock: the disk may be slow, and the file hostile.
        let stamp = stamp(root);
        let path = root.join(PROJECT_FILE);
        let (own, findings) = match ProjectSettings::text(root) {
            Ok(text) => {
                let text = text.unwrap_or_default();
                let analysis = pipelens_core::analyze_settings(&text);
                let own = ProjectSettings::parse(&path, &text, &analysis)
                    .map_err(|error| tracing::warn!("{error:#}; the defaults are used"));
                (own.unwrap_or_default(), self.mistakes(&path, &text, &analysis))
            }
            Err(error) => {
                tracing::warn!("{error:#}; the defaults are used");
                (ProjectSettings::default(), vec![unreadable(&error)])
            }
        };
        // While it is open, the editor's text is what the findings are about.
        let is_open = self.inner.lock().open.contains(root);
        if let Some(uri) = Uri::from_file_path(&path) {
            self.findings.set(Source::Settings, &uri, if is_open { Vec::new() } else { findings });
        }
        let mut inner = self.inner.lock();
        let editors = inner.of_folder(root).map_or(&inner.settings, |(settings, _)| settings);
        let project = Arc::new(own.overlaid(&editors.project));
        inner.projects.insert(root.to_owned(), project.clone());
        inner.stamps.insert(root.to_owned(), stamp);
        project
    }

    /// Forgets a project's settings, so that they are read again.
    pub(crate) fn forget(&self, root: &Path) {
        let mut inner = self.inner.lock();
        inner.projects.remove(root);
        inner.stamps.remove(root);
    }

    /// Returns the projects whose settings have changed on disk since they were read.
    pub(crate) fn changed(&self) -> BTreeSet<PathBuf> {
        let known = self.inner.lock().stamps.clone();
        known.into_iter().filter(|(root, before)| stamp(root) != *before).map(|(root, _)| root).collect()
    }

    /// The editor has opened the settings of a project: from now on it says what is in them.
    pub(crate) fn opened(&self, root: &Path) {
        self.inner.lock().open.insert(root.to_owned());
        if let Some(uri) = Uri::from_file_path(root.join(PROJECT_FILE)) {
            self.findings.set(Source::Settings, &uri, Vec::new());
        }
    }

    pub(crate) fn closed(&self, root: &Path) {
        self.inner.lock().open.remove(root);
    }

    /// Returns what is wrong with the text of settings.
    fn mistakes(&self, path: &Path, text: &str, analysis: &Analysis) -> Vec<Finding> {
        let Some(uri) = Uri::from_file_path(path) else { return Vec::new() };
        let units = Units::new(text);
        let map =
            FileMap::new(&uri, TextMap::new(text, &analysis.line_index, &units, self.encoding()), &analysis.files);
        let finding = |found| {
            let diagnostic = self.client().tags.of(map.diagnostic(found));
            Finding { place: Place::Range(diagnostic.range), diagnostic }
        };
        analysis.diagnostics.iter().map(finding).collect()
    }

    /// Returns the project folder of a file.
    pub(crate) fn root_of(&self, path: &Path) -> PathBuf {
        crate::project::root_of(path, &self.inner.lock().folders)
    }

    /// Returns the editor's folders.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        self.inner.lock().folders.clone()
    }

    /// Whether a file is in one of the editor's folders.
    pub(crate) fn is_in_folders(&self, file: &Path) -> bool {
        let folders = self.folders();
        let is_in = |folder: &PathBuf| file.starts_with(folder.canonicalize().as_deref().unwrap_or(folder));
        folders.iter().any(is_in)
    }

    /// Returns whether a file is a pipeline.
    pub(crate) fn is_pipeline_file(&self, path: &Path, root: &Path, text: &str) -> bool {
        if pipelens_core::is_pipeline_file(&path.to_string_lossy().replace('\\', "/"), text) {
            return true;
        }
        let relative = path.strip_prefix(root).unwrap_or(path);
        // A file outside of every project has no folder that a glob could be relative to, so its whole path counts too.
        let matches = |files: &GlobSet| files.is_match(relative) || files.is_match(path);
        let is_of_editor = {
            let inner = self.inner.lock();
            matches(inner.of_folder(path).map_or(&inner.files, |(_, files)| files))
        };
        is_of_editor || globs(&self.project(root).files).is_ok_and(|files| matches(&files))
    }
}

impl Inner {
    /// Returns the settings of the innermost folder that a path is in. A project may also be larger than the only folder that is open of it.
    fn of_folder(&self, path: &Path) -> Option<&(Arc<Settings>, GlobSet)> {
        let around = self.by_folder.iter().filter(|(folder, _)| path.starts_with(folder));
        let innermost = around.max_by_key(|(folder, _)| folder.as_os_str().len());
        let is_known = innermost.is_some() || self.folders.iter().any(|folder| path.starts_with(folder));
        let mut inside = self.by_folder.iter().filter(|(folder, _)| !is_known && folder.starts_with(path));
        let only = inside.next().filter(|_| inside.next().is_none());
        innermost.or(only).map(|(_, settings)| settings)
    }
}

/// Returns the settings that a value stands for, with their globs.
fn made(value: Value) -> Result<(Arc<Settings>, GlobSet), String> {
    let settings = Settings::over_users(value)
        .map_err(|error| format!("The pipelens settings are invalid and are not used: {error:#}"))?;
    let files = globs(&settings.project.files)?;
    Ok((Arc::new(settings), files))
}

/// Returns a value with another one over it, key by key.
fn merged(below: Value, above: Value) -> Value {
    match (below, above) {
        (Value::Object(mut below), Value::Object(above)) => {
            for (name, value) in above {
                let before = below.remove(&name).unwrap_or(Value::Null);
                below.insert(name, merged(before, value));
            }
            Value::Object(below)
        }
        (_, above) => above,
    }
}

/// Returns the finding about a settings file that cannot be read.
fn unreadable(error: &anyhow::Error) -> Finding {
    Finding {
        place: Place::Range(Range::default()),
        diagnostic: Diagnostic {
            severity: Some(DiagnosticSeverity::ERROR),
            code: Some(NumberOrString::String("settings".to_owned())),
            source: Some("pipelens".to_owned()),
            message: format!("{error:#}; the defaults are used"),
            ..Diagnostic::default()
        },
    }
}

/// Returns the settings in what an editor sends: at the top level or under `pipelens`.
fn own_part(value: Value) -> Value {
    let Value::Object(mut map) = value else { return value };
    match map.remove("pipelens") {
        // An editor without settings for this server may say so.
        Some(Value::Null) => Value::Object(Map::new()),
        Some(own) => own,
        None => Value::Object(map),
    }
}

/// When the settings of a project were changed, and how long they are. `None`: there are none.
fn stamp(root: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::symlink_metadata(root.join(PROJECT_FILE)).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Whether the workspace is trusted, at the top level or under `pipelens`. A client without a notion of trust does not send the option; if it
/// is there, anything but `true` means no.
fn is_trusted(options: &Value) -> bool {
    let said = [options.get(TRUST), options.get("pipelens").and_then(|options| options.get(TRUST))];
    said.into_iter().flatten().all(|said| *said == Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn anything_but_true_means_untrusted() {
        for options in
            [json!({}), json!(null), json!({"workspaceTrusted": true}), json!({"pipelens": {"workspaceTrusted": true}})]
        {
            assert!(is_trusted(&options), "{options}");
        }
        for said in [json!(false), json!(null), json!("true"), json!(1), json!({}), json!([true])] {
            assert!(!is_trusted(&json!({"workspaceTrusted": said})), "{said}");
            assert!(!is_trusted(&json!({"workspaceTrusted": true, "pipelens": {"workspaceTrusted": said}})), "{said}");
        }
    }
}

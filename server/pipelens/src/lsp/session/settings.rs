//! What the client has told us: its capabilities, the user's settings, and whether the workspace is trusted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::GlobSet;
use lsp_types::{Diagnostic, DiagnosticSeverity, InitializeParams, NumberOrString, Position, Range, Uri};
use parking_lot::Mutex;
use serde_json::Value;
use tower_lsp::UriExt;

use super::client::{ClientFeatures, SentFeatures};
use crate::lsp::findings::store::{Finding, Findings, Place, Source};
use crate::lsp::protocol::positions::{Encoding, to_u32};
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
    folders: Vec<PathBuf>,
    projects: BTreeMap<PathBuf, Arc<ProjectSettings>>,
    is_untrusted: bool,
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
        let folders = params.workspace_folders.iter().flatten().filter_map(|folder| folder.uri.to_file_path());
        {
            let mut inner = self.inner.lock();
            inner.client = ClientFeatures::new(&params.capabilities, params.process_id, inner.sent);
            inner.folders = folders.map(|folder| folder.into_owned()).collect();
            inner.is_untrusted = !is_trusted(&options);
        }
        self.set(options)
    }

    /// Takes settings, at the top level or under `pipelens`.
    pub(crate) fn set(&self, value: Value) -> Result<(), String> {
        let value = match value {
            Value::Object(mut map) => map.remove("pipelens").unwrap_or(Value::Object(map)),
            _ => return Ok(()),
        };
        let settings: Settings = serde_json::from_value(value)
            .map_err(|error| format!("The pipelens settings are invalid and are not used: {error}"))?;
        let files = globs(&settings.project.files)?;
        let mut inner = self.inner.lock();
        inner.settings = Arc::new(settings);
        inner.files = files;
        inner.projects.clear();
        Ok(())
    }

    pub(crate) fn trust(&self, is_trusted: bool) {
        self.inner.lock().is_untrusted = !is_trusted;
    }

    pub(crate) fn is_untrusted(&self) -> bool {
        self.inner.lock().is_untrusted
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

    /// Returns the project's settings, overridden by the editor's. The file is read once, and again after a change of settings.
    pub(crate) fn project(&self, root: &Path) -> Arc<ProjectSettings> {
        if let Some(project) = self.inner.lock().projects.get(root) {
            return project.clone();
        }
        // Read without the lock: the disk may be slow, and the file hostile.
        let (own, findings) = match ProjectSettings::read(root) {
            Ok(own) => (own, Vec::new()),
            Err(error) => {
                tracing::warn!("{error:#}; the defaults are used");
                (ProjectSettings::default(), vec![mistake(&error)])
            }
        };
        if let Some(uri) = Uri::from_file_path(root.join(PROJECT_FILE)) {
            self.findings.set(Source::Settings, &uri, findings);
        }
        let mut inner = self.inner.lock();
        let project = Arc::new(own.overlaid(&inner.settings.project));
        inner.projects.insert(root.to_owned(), project.clone());
        project
    }

    /// Returns the project folder of a file.
    pub(crate) fn root_of(&self, path: &Path) -> PathBuf {
        crate::project::root_of(path, &self.inner.lock().folders)
    }

    /// Returns whether a file is a pipeline.
    pub(crate) fn is_pipeline_file(&self, path: &Path, text: &str) -> bool {
        if pipelens_core::is_pipeline_file(&path.to_string_lossy().replace('\\', "/"), text) {
            return true;
        }
        let root = self.root_of(path);
        let relative = path.strip_prefix(&root).unwrap_or(path);
        // A file outside of every project has no folder that a glob could be relative to, so its whole path counts too.
        let matches = |files: &GlobSet| files.is_match(relative) || files.is_match(path);
        matches(&self.inner.lock().files) || globs(&self.project(&root).files).is_ok_and(|files| matches(&files))
    }
}

/// Returns the finding about a settings file that cannot be used.
fn mistake(error: &anyhow::Error) -> Finding {
    let place =
        error.chain().find_map(|cause| cause.downcast_ref::<serde_yaml::Error>()).and_then(serde_yaml::Error::location);
    let position = place.map_or_else(Position::default, |place| {
        // Characters are not UTF-16 units, but the keys of settings are ASCII.
        Position::new(to_u32(place.line().saturating_sub(1)), to_u32(place.column().saturating_sub(1)))
    });
    Finding {
        place: Place::Range(Range::new(position, position)),
        diagnostic: Diagnostic {
            severity: Some(DiagnosticSeverity::ERROR),
            code: Some(NumberOrString::String("settings".to_owned())),
            source: Some("pipelens".to_owned()),
            message: format!("{error:#}; the defaults are used"),
            ..Diagnostic::default()
        },
    }
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

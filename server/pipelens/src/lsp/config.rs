//! What the client said of itself and of its user's wishes: capabilities, settings, trust.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use globset::GlobSet;
use lsp_types::{ClientCapabilities, InitializeParams};
use serde_json::Value;
use tower_lsp::UriExt;

use super::convert::Encoding;
use super::state::lock;
use crate::settings::{ProjectSettings, Settings, globs};

/// The option that says so.
const TRUST: &str = "workspaceTrusted";

/// Everything the client told us. Read at every message, changed at two.
#[derive(Debug, Default)]
pub(crate) struct Config {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    client: Client,
    settings: Arc<Settings>,
    files: GlobSet,
    folders: Vec<PathBuf>,
    projects: BTreeMap<PathBuf, Arc<ProjectSettings>>,
    is_untrusted: bool,
}

/// What the client can do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Client {
    pub(crate) encoding: Encoding,
    pub(crate) progress: bool,
    pub(crate) lens_refresh: bool,
    pub(crate) show_document: bool,
    pub(crate) message_actions: bool,
    pub(crate) run_events: bool,
    pub(crate) code_action_literals: bool,
    pub(crate) snippets: bool,
    pub(crate) process_id: Option<u32>,
}

impl Config {
    /// Takes in what `initialize` says; settings that do not parse are reported and the defaults hold.
    pub(crate) fn initialize(&self, params: &InitializeParams) -> Result<(), String> {
        let options = params.initialization_options.clone().unwrap_or(Value::Null);
        let folders = params.workspace_folders.iter().flatten().filter_map(|folder| folder.uri.to_file_path());
        {
            let mut inner = lock(&self.inner);
            inner.client = client(&params.capabilities, params.process_id);
            inner.folders = folders.map(|folder| folder.into_owned()).collect();
            inner.is_untrusted = !is_trusted(&options);
        }
        self.set(options)
    }

    /// Takes in settings, bare or under `pipelens`.
    pub(crate) fn set(&self, value: Value) -> Result<(), String> {
        let value = match value {
            Value::Object(mut map) => map.remove("pipelens").unwrap_or(Value::Object(map)),
            _ => return Ok(()),
        };
        let settings: Settings = serde_json::from_value(value)
            .map_err(|error| format!("The pipelens settings have a mistake and are not used: {error}"))?;
        let files = globs(&settings.project.files)?;
        let mut inner = lock(&self.inner);
        inner.settings = Arc::new(settings);
        inner.files = files;
        inner.projects.clear();
        Ok(())
    }

    pub(crate) fn trust(&self, is_trusted: bool) {
        lock(&self.inner).is_untrusted = !is_trusted;
    }

    pub(crate) fn is_untrusted(&self) -> bool {
        lock(&self.inner).is_untrusted
    }

    pub(crate) fn client(&self) -> Client {
        lock(&self.inner).client
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.client().encoding
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        lock(&self.inner).settings.clone()
    }

    /// Returns the project's settings with the editor's laid over them. The file is read once, and again after a change of settings.
    pub(crate) fn project(&self, root: &Path) -> Arc<ProjectSettings> {
        if let Some(project) = lock(&self.inner).projects.get(root) {
            return project.clone();
        }
        // Read without the lock: the disk may be slow, and the file hostile.
        let own = ProjectSettings::read(root).unwrap_or_else(|error| {
            tracing::warn!("{error:#}; the defaults are used");
            ProjectSettings::default()
        });
        let mut inner = lock(&self.inner);
        let project = Arc::new(own.overlaid(&inner.settings.project));
        inner.projects.insert(root.to_owned(), project.clone());
        project
    }

    /// Returns the project folder of a file.
    pub(crate) fn root_of(&self, path: &Path) -> PathBuf {
        crate::project::root_of(path, &lock(&self.inner).folders)
    }

    /// Tells whether a file is ours to speak about.
    pub(crate) fn is_pipeline_file(&self, path: &Path, text: &str) -> bool {
        if pipelens_core::is_pipeline_file(&path.to_string_lossy().replace('\\', "/"), text) {
            return true;
        }
        let root = self.root_of(path);
        let relative = path.strip_prefix(&root).unwrap_or(path);
        // A file outside of every project has no folder that a glob could be relative to, so its whole path counts too.
        let matches = |files: &GlobSet| files.is_match(relative) || files.is_match(path);
        matches(&lock(&self.inner).files) || globs(&self.project(&root).files).is_ok_and(|files| matches(&files))
    }
}

/// Whether the client says that its user trusts the workspace, bare or under `pipelens`. One that knows no trust says nothing; of one
/// that does, anything but `true` is a no.
fn is_trusted(options: &Value) -> bool {
    let said = [options.get(TRUST), options.get("pipelens").and_then(|options| options.get(TRUST))];
    said.into_iter().flatten().all(|said| *said == Value::Bool(true))
}

fn client(capabilities: &ClientCapabilities, process_id: Option<u32>) -> Client {
    let window = capabilities.window.as_ref();
    let workspace = capabilities.workspace.as_ref();
    let experimental = |name: &str| {
        capabilities.experimental.as_ref().and_then(|experimental| experimental.get(name)) == Some(&Value::Bool(true))
    };
    let offered = capabilities.general.as_ref().and_then(|general| general.position_encodings.as_deref());
    Client {
        encoding: Encoding::negotiate(offered),
        progress: window.and_then(|window| window.work_done_progress) == Some(true),
        lens_refresh: workspace.and_then(|workspace| workspace.code_lens.as_ref()?.refresh_support) == Some(true),
        show_document: window.and_then(|window| window.show_document.as_ref()).is_some_and(|show| show.support),
        message_actions: window.is_some_and(|window| window.show_message.is_some()),
        run_events: experimental("pipelensRunEvents"),
        code_action_literals: capabilities
            .text_document
            .as_ref()
            .and_then(|text_document| text_document.code_action.as_ref()?.code_action_literal_support.as_ref())
            .is_some(),
        snippets: capabilities
            .text_document
            .as_ref()
            .and_then(|text_document| text_document.completion.as_ref()?.completion_item.as_ref()?.snippet_support)
            == Some(true),
        process_id,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn anything_but_true_is_no_trust() {
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

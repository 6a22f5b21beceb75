//! What the core knows about a pipeline's project: its files, its secrets, and ShellCheck's findings about its commands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipelens_core::programs::analyze;
use pipelens_core::shell::Dialect;
use pipelens_core::{Analysis, Format, Project, Remark};
use pipelens_engine::project::{ProjectFiles, Ready};

use crate::settings::{PROJECT_FILE, ProjectSettings, Settings};
use crate::shellcheck::ShellCheck;
use crate::{consent, project};

/// One project, apart from the text of the pipeline.
#[derive(Debug)]
pub(crate) struct ProjectContext {
    files: ProjectFiles,
    /// Secrets the project may use; `None` if that is not known.
    secrets: Option<BTreeSet<String>>,
    pub(crate) shellcheck: ShellCheck,
}

impl ProjectContext {
    /// Lookups wait for the answer.
    pub(crate) fn new(root: PathBuf, settings: &Settings) -> Self {
        Self::over(ProjectFiles::new(root.clone()), root, settings)
    }

    /// Lookups return at once; `ready` is called when more is known.
    pub(crate) fn in_background(root: PathBuf, settings: &Settings, ready: Ready) -> Self {
        Self::over(ProjectFiles::in_background(root.clone(), ready), root, settings)
    }

    fn over(files: ProjectFiles, root: PathBuf, settings: &Settings) -> Self {
        let given = project::state_dir().ok().map(|state_dir| consent::given(&state_dir, &root));
        let secrets = given.map(|given| given.into_iter().chain(settings.allow_secrets.iter().cloned()).collect());
        Self { files, secrets, shellcheck: ShellCheck::new(root) }
    }
}

impl ProjectContext {
    /// Looks the files up again when they are needed next.
    pub(crate) fn look_again(&self) {
        self.files.look_again();
    }
}

/// A project with its settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InProject<'a> {
    pub(crate) context: &'a ProjectContext,
    pub(crate) settings: &'a ProjectSettings,
}

impl Project for InProject<'_> {
    fn has_match(&self, path: &str) -> Option<bool> {
        self.context.files.has_match(path)
    }

    fn has_folder(&self, path: &str) -> Option<bool> {
        self.context.files.has_folder(path)
    }

    fn has_secret(&self, name: &str) -> Option<bool> {
        Some(self.context.secrets.as_ref()?.contains(name))
    }

    fn shell(&self) -> Option<Vec<String>> {
        self.settings.shell.as_ref().map(|shell| shell.0.clone())
    }

    fn remarks(&self, command: &str, dialect: Dialect) -> Arc<[Remark]> {
        self.context.shellcheck.remarks(command, dialect)
    }
}

/// Whether a path is that of a project's settings.
pub(crate) fn is_settings(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == PROJECT_FILE)
}

/// Analyses text as what its path says it is: a pipeline, or the settings of a project.
pub(crate) fn analyse(text: &str, path: &Path, project: Option<InProject<'_>>) -> Analysis {
    analyse_again(text, path, project, None)
}

/// Like `analyse`, after an edit: `before` is the analysis of the same file until then.
pub(crate) fn analyse_again(
    text: &str,
    path: &Path,
    project: Option<InProject<'_>>,
    before: Option<&Analysis>,
) -> Analysis {
    match project {
        _ if is_settings(path) => pipelens_core::analyze_settings(text),
        // What it makes is not known without executing it.
        _ if let Some(language) = crate::programs::language(path) => analyze(text, language, None),
        _ if let Some(before) = before => {
            let project = project.as_ref().map(|project| project as &dyn Project);
            pipelens_core::analyze_again(text, Format::of(path), project, before)
        }
        Some(project) => pipelens_core::analyze_in(text, Format::of(path), &project),
        None => pipelens_core::analyze(text, Format::of(path)),
    }
}

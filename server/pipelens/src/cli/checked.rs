//! Text from a file or from standard input, with its findings and their severities in this project.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipelens_core::diagnostic::{Diagnostic, Severity};
use pipelens_core::programs::{Language, Rendering, analyze};
use pipelens_core::text::LineIndex;
use pipelens_core::{Analysis, FileId};

use super::printable::printable;
use crate::project_context::{InProject, ProjectContext, analyse};
use crate::settings::{ProjectSettings, Settings};
use crate::{programs, project, source};

/// The command line argument for standard input.
pub(crate) const STANDARD_INPUT: &str = "-";

/// A file's text and its findings.
pub(crate) struct Checked {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) analysis: Analysis,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) root: PathBuf,
    pub(crate) project: ProjectSettings,
    context: Arc<ProjectContext>,
    /// What a program has made, once it was asked to.
    rendering: Option<Arc<Rendering>>,
    /// The same as its SDK prints it.
    pub(crate) envelope: Option<String>,
}

/// What is known of the projects that files belong to, read once for all of their files.
#[derive(Default)]
pub(crate) struct Projects(BTreeMap<PathBuf, (ProjectSettings, Arc<ProjectContext>)>);

impl Projects {
    fn of(&mut self, root: &Path) -> anyhow::Result<(ProjectSettings, Arc<ProjectContext>)> {
        if let Some(known) = self.0.get(root) {
            return Ok(known.clone());
        }
        let context = Arc::new(ProjectContext::new(root.to_owned(), &Settings::default()));
        let project = (ProjectSettings::read(root)?, context);
        self.0.insert(root.to_owned(), project.clone());
        Ok(project)
    }
}

/// A file with the positions of its lines.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) path: &'a Path,
    pub(crate) text: &'a str,
    pub(crate) line_index: &'a LineIndex,
}

impl Checked {
    /// Reads and analyses a file, or standard input as if it were a file of the current folder.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        Self::read_in(path, &mut Projects::default())
    }

    /// Like `read`, for one of several files.
    pub(crate) fn read_in(path: &Path, projects: &mut Projects) -> anyhow::Result<Self> {
        if path.as_os_str() == STANDARD_INPUT {
            let text = source::read_standard_input()?;
            let is_json = text.trim_start_matches('\u{feff}').trim_start().starts_with('{');
            return Self::new(Path::new(if is_json { "stdin.json" } else { "stdin.yml" }), text, projects);
        }
        Self::new(path, source::read(path)?, projects)
    }

    /// Analyses text as the content of a file with this name.
    pub(crate) fn new(path: &Path, text: String, projects: &mut Projects) -> anyhow::Result<Self> {
        let absolute = std::path::absolute(path)?;
        let root = project::root_of(&absolute, &[]);
        let (project, context) = projects.of(&root)?;
        let (path, analysis, diagnostics) = (path.to_owned(), Analysis::default(), Vec::new());
        let (rendering, envelope) = (None, None);
        let mut checked = Self { path, text, analysis, diagnostics, root, project, context, rendering, envelope };
        checked.analyze();
        Ok(checked)
    }

    /// Adds the findings of ShellCheck, if it is installed and turned on: it is asked once for all files of a project. Where it fails, the other
    /// findings are there; the first failure is returned.
    pub(crate) async fn lint(files: &mut [Self]) -> anyhow::Result<()> {
        let mut by_project: BTreeMap<PathBuf, Vec<&Self>> = BTreeMap::new();
        for file in files.iter().filter(|file| file.project.uses_shellcheck()) {
            by_project.entry(file.root.clone()).or_default().push(file);
        }
        let mut failed = None;
        for files in by_project.into_values() {
            let Some(first) = files.first() else { continue };
            if let Err(error) = first.context.shellcheck.read(files.iter().map(|file| &file.analysis)).await {
                failed.get_or_insert(error);
            }
        }
        for file in files.iter_mut().filter(|file| file.project.uses_shellcheck()) {
            if file.context.shellcheck.has_remarks(&file.analysis) {
                file.analyze();
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Reads a file, and executes it if it is a program: whoever runs, plans or draws it asks for that. Says so on standard error.
    pub(crate) fn made(path: &Path) -> anyhow::Result<Self> {
        let mut file = Self::read(path)?;
        file.render()?;
        Ok(file)
    }

    /// Executes a program; any other file is what it is.
    pub(crate) fn render(&mut self) -> anyhow::Result<()> {
        let program = std::path::absolute(&self.path)?;
        let settings = Settings::of_user()?;
        let language = programs::language_in(&program, &self.root, &settings.programs);
        let Some(language) = language else { return Ok(()) };
        let request = programs::Request::new(program, language, self.text.clone(), &settings.programs);
        let project = InProject { context: &self.context, settings: &self.project };
        let rendered = programs::render(&request, Some(&project), None);
        let mut said = String::new();
        if rendered.rendering.failure().is_some() && !rendered.output.trim().is_empty() {
            said.push_str(&format!("{}\n", rendered.output.trim_end()));
        }
        for notice in &rendered.notices {
            said.push_str(&format!("{}: {notice}\n", self.path.display()));
        }
        super::output::show_findings(&printable(&said));
        (self.rendering, self.envelope) = (Some(rendered.rendering), rendered.envelope);
        self.analyze();
        Ok(())
    }

    fn analyze(&mut self) {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let language = programs::language(&path).unwrap_or(Language::Other);
        self.analysis = match &self.rendering {
            Some(rendering) => analyze(&self.text, language, Some(rendering)),
            None => analyse(&self.text, &path, Some(InProject { context: &self.context, settings: &self.project })),
        };
        let found = self.analysis.diagnostics.iter();
        self.diagnostics = found.filter_map(|diagnostic| self.project.adjust(diagnostic)).collect();
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Returns the file that a range is in.
    pub(crate) fn source(&self, file: FileId) -> Source<'_> {
        match self.analysis.files.get(file) {
            None => Source { path: &self.path, text: &self.text, line_index: &self.analysis.line_index },
            Some(other) => Source { path: &other.path, text: &other.text, line_index: &other.line_index },
        }
    }

    /// Returns the index of the selected pipeline: by name, by zero-based index, or the only one.
    pub(crate) fn choose(&self, wanted: Option<&str>) -> Result<usize, String> {
        let pipelines = &self.analysis.pipelines;
        let path = self.path.display();
        let names = || pipelines.iter().filter_map(|pipeline| Some(pipeline.name.as_ref()?.value.as_str()));
        match wanted {
            None if pipelines.len() > 1 => Err(format!(
                "`{path}` has {} pipelines; choose one with `--pipeline`: {}",
                pipelines.len(),
                names().collect::<Vec<_>>().join(", ")
            )),
            None => Ok(0),
            Some(wanted) => pipelines
                .iter()
                .position(|pipeline| pipeline.name.as_ref().is_some_and(|name| name.value == *wanted))
                .or_else(|| wanted.parse().ok().filter(|index| *index < pipelines.len()))
                .ok_or_else(|| format!("`{path}` has no pipeline `{wanted}`")),
        }
    }
}

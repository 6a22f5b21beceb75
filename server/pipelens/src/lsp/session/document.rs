//! One document: its text, its analysis, and what is shown of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use lsp_types::{Diagnostic, Range, Uri};
use pipelens_core::diagnostic::Diagnostic as CoreDiagnostic;
use pipelens_core::model::Step;
use pipelens_core::plan::{Target, plan_with};
use pipelens_core::{Analysis, Format, ide};

use super::client::ShownTags;
use crate::lsp::findings::store::Analysed;
use crate::lsp::protocol::files::path_of;
use crate::lsp::protocol::positions::{Encoding, FileMap, TextMap, Units};
use crate::settings::ProjectSettings;
use crate::{project, project_context, ran};

/// What a document is, as far as this server is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Pipeline,
    /// It makes pipelines when it is executed.
    Program,
    /// The settings of a project.
    Settings,
    /// Such files get empty answers.
    Other,
}

/// One open text, and all that is known about it.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) uri: Uri,
    pub(crate) version: i32,
    pub(crate) text: String,
    pub(crate) analysis: Analysis,
    pub(crate) kind: Kind,
    /// The file itself, whatever links lead to it. `None`: there is none, or none yet.
    pub(super) file: Option<PathBuf>,
    pub(crate) project: Arc<ProjectSettings>,
    pub(super) units: Units,
    pub(super) encoding: Encoding,
    /// How the client can show findings.
    pub(super) tags: ShownTags,
    /// See `would_run`.
    pub(super) would_run: OnceLock<Vec<BTreeMap<String, u64>>>,
}

impl Document {
    /// Returns the converter between offsets and positions.
    pub(crate) fn map(&self) -> TextMap<'_> {
        TextMap::new(&self.text, &self.analysis.line_index, &self.units, self.encoding)
    }

    /// Returns the converter from ranges in any file of the analysis to locations.
    pub(crate) fn files(&self) -> FileMap<'_> {
        FileMap::new(&self.uri, self.map(), &self.analysis.files)
    }

    /// Whether it is a pipeline, or a program that makes some.
    pub(crate) fn is_pipeline(&self) -> bool {
        matches!(self.kind, Kind::Pipeline | Kind::Program)
    }

    /// Analyses another text as this document, apart from its project.
    pub(crate) fn analyse_alone(&self, text: &str) -> Analysis {
        project_context::analyse(text, &self.path().unwrap_or_else(|| PathBuf::from(self.uri.path().as_str())), None)
    }

    /// Returns the fingerprint of what a step of a pipeline would run now; `None` if it cannot run.
    pub(crate) fn would_run(&self, pipeline: usize, key: &str) -> Option<u64> {
        let of_all = || (0..self.analysis.pipelines.len()).map(|index| self.fingerprints(index)).collect();
        self.would_run.get_or_init(of_all).get(pipeline)?.get(key).copied()
    }

    fn fingerprints(&self, pipeline: usize) -> BTreeMap<String, u64> {
        let severity = |finding: &CoreDiagnostic| self.project.severity_of(finding);
        let Ok(plan) = plan_with(&self.analysis, pipeline, &Target::Pipeline, &self.stem(), severity) else {
            return BTreeMap::new();
        };
        let fingerprints = ran::fingerprints(&plan);
        plan.steps.into_iter().map(|step| step.key).zip(fingerprints).collect()
    }

    /// Returns the name of a pipeline, which is that of the file if it has none of its own.
    pub(crate) fn pipeline_name(&self, pipeline: usize) -> Option<String> {
        let name = self.analysis.pipelines.get(pipeline)?.name.as_ref();
        Some(name.map_or_else(|| self.stem(), |name| name.value.clone()))
    }

    fn stem(&self) -> String {
        self.path().map(|path| project::stem_of(&path)).unwrap_or_default()
    }

    /// Whether this is the text of a file, given by its path through all links.
    pub(crate) fn is_of(&self, file: &Path) -> bool {
        self.file.as_deref() == Some(file) || self.path().as_deref() == Some(file)
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        path_of(&self.uri)
    }

    pub(crate) fn format(&self) -> Format {
        Format::of(self.path().unwrap_or_else(|| PathBuf::from(self.uri.path().as_str())))
    }
}

impl Analysed for Document {
    fn version(&self) -> i32 {
        self.version
    }

    fn findings(&self) -> Vec<Diagnostic> {
        let found = self.analysis.diagnostics.iter();
        let shown = found.filter_map(|diagnostic| self.project.adjust(diagnostic));
        let converted = shown.map(|finding| {
            let tag = finding.tag().and_then(|tag| self.tags.shown(tag));
            self.tags.of(Diagnostic { tags: tag.map(|tag| vec![tag]), ..self.files().diagnostic(&finding) })
        });
        converted.collect()
    }

    /// Returns a line of the step's command, or its first.
    fn step(&self, pipeline: usize, key: &str, line: Option<usize>, ran: Option<u64>) -> Option<Range> {
        if ran.is_some() && self.would_run(pipeline, key) != ran {
            return None;
        }
        let steps = &self.analysis.pipelines.get(pipeline)?.steps;
        let has = |step: &&Step| step.combinations().iter().any(|combination| combination.key == key);
        let step = steps.iter().find(|step| step.key.value == key).or_else(|| steps.iter().find(has))?;
        let failed = line.zip(step.cmd.as_ref()).and_then(|(line, cmd)| ide::command_line(&self.text, cmd, line));
        if let Some(failed) = failed {
            return Some(self.map().range(failed));
        }
        let place = step.cmd.as_ref().map_or(step.key.range, |cmd| cmd.range);
        Some(self.map().range(place.first_line(&self.text)))
    }
}

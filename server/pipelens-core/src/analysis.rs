//! `Analysis`: everything known about one text.

use crate::diagnostic::Diagnostic;
use crate::files::{Files, Language};
use crate::model::{Pipeline, Step};
use crate::syntax::tree::Tree;
use crate::text::LineIndex;

/// Everything known about one text.
#[derive(Debug, Clone, Default)]
pub struct Analysis {
    pub line_index: LineIndex,
    /// The other files that findings and definitions refer to.
    pub files: Files,
    /// One for each YAML document, JSON file or envelope entry. Broken text still yields what could be read.
    pub pipelines: Vec<Pipeline>,
    /// In text order.
    pub diagnostics: Vec<Diagnostic>,
    /// The text could only be read after a repair: good enough for lenses and the outline, never for a run.
    pub is_repaired: bool,
    /// The text is a program in this language, which makes pipelines.
    pub language: Option<Language>,
    /// The steps, by pipeline and position, that have no place in the text: a program has changed since it made them.
    pub(crate) unplaced: Vec<(usize, usize)>,
    /// The text is a project's settings, not a pipeline.
    pub(crate) is_settings: bool,
    /// Errors silenced by a comment that still make a run impossible.
    pub(crate) silenced: Vec<Diagnostic>,
    pub(crate) text: String,
    pub(crate) tree: Tree,
    /// The syntax tree of a program.
    pub(crate) program: Option<tree_sitter::Tree>,
}

impl Analysis {
    /// Returns the steps of every pipeline, including those without a usable key.
    pub fn all_steps(&self) -> impl Iterator<Item = &Step> + Clone {
        self.pipelines.iter().flat_map(Pipeline::all_steps)
    }
}

//! What a program has made, and the parts of it that made it.

use std::sync::Arc;

use super::envelope::Envelope;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::Pipeline;

/// A position in a file: the line from zero, and the offset in it in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// The part of a file that was being executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub start: Position,
    /// `None`: only the line, or only where it starts, is known.
    pub end: Option<Position>,
}

/// One pipeline that a program has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Where it is declared.
    pub declared: Option<Frame>,
    /// For each of its steps, in their order, the part of the program that made it. `None`: it is in another file.
    pub steps: Vec<Option<Frame>>,
}

/// Why a program has made nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    /// The part of the program that failed. `None`: it is in another file, or not known.
    pub place: Option<Frame>,
    /// The other parts of the program that led there.
    pub related: Vec<Frame>,
}

/// What one text of a program has made, or why it has made nothing.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The text that was rendered.
    pub(super) text: String,
    /// The last envelope that the program has made.
    pub(super) envelope: Option<Arc<Envelope>>,
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The steps, by pipeline and position, that have no place in the text: it has changed since they were made.
    pub(super) unplaced: Vec<(usize, usize)>,
}

impl Rendering {
    /// Tells whether this is what a text has made.
    pub fn is_of(&self, text: &str) -> bool {
        self.text == text
    }

    /// Returns why the program has made nothing.
    pub fn failure(&self) -> Option<&Diagnostic> {
        self.diagnostics.iter().find(|finding| finding.code == Code::ProgramFailed)
    }
}

//! What a program has printed, before it has places in the program.

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analyze;
use crate::diagnostic::Diagnostic;
use crate::files::Format;
use crate::model::Pipeline;

/// An envelope, analysed. Its ranges are those of its own text.
#[derive(Debug)]
pub(super) struct Envelope {
    text: String,
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Envelope {
    /// Most edits of a program change nothing of what it prints, and then the last analysis is returned.
    pub(super) fn analyzed(text: &str, last: Option<&Arc<Self>>) -> Arc<Self> {
        if let Some(last) = last.filter(|last| last.text == text) {
            return last.clone();
        }
        // What the project says about it is found at the places of the program.
        let Analysis { pipelines, diagnostics, .. } = analyze::analyze(text, Format::Json, None, None);
        Arc::new(Self { text: text.to_owned(), pipelines, diagnostics })
    }
}

//! Findings: what is wrong, where, and what to do about it. Codes are stable; severities can be set by the user.

mod codes;
mod severity;
mod tag;

pub use codes::Code;
pub use severity::Severity;
pub use tag::Tag;

use std::borrow::Cow;

use crate::files::{FileEdit, FileId, FileRange};
use crate::printable::printable;
use crate::syntax::parse::floor_char_border;
use crate::text::{TextEdit, TextRange};

/// Names are quoted in full up to this length: a name can be as long as its file, with many findings about it.
const MAX_MESSAGE_BYTES: usize = 2_000;
/// Related places of one finding.
pub(crate) const MAX_RELATED: usize = 50;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    pub file: FileId,
    /// The smallest range that is wrong.
    pub range: TextRange,
    /// What, why, and what to do; names in backticks.
    pub message: String,
    pub related: Vec<Related>,
    /// Each of these fixes it on its own; the first is the preferred one.
    pub fixes: Vec<Fix>,
}

/// Another place that a finding is related to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    pub place: FileRange,
    pub message: String,
}

/// One way to fix a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// An imperative sentence without a full stop: "Change `bild` to `build`".
    pub title: String,
    /// The edit is obvious and keeps the author's meaning, so it can be applied automatically. Otherwise a person has
    /// to choose.
    pub is_safe: bool,
    pub edits: Vec<FileEdit>,
}

impl Fix {
    /// Makes a fix that edits the analysed text.
    pub(crate) fn new(title: impl Into<String>, is_safe: bool, edits: Vec<TextEdit>) -> Self {
        Self { title: shown(title.into()), is_safe, edits: edits.into_iter().map(FileEdit::from).collect() }
    }

    /// Returns its edits of one file.
    pub fn edits_in(&self, file: FileId) -> Vec<TextEdit> {
        FileEdit::in_file(&self.edits, file)
    }
}

impl Diagnostic {
    /// Makes a finding with the code's default severity. A message may quote the text: invisible characters in it are written out.
    pub fn new(code: Code, range: TextRange, message: impl Into<String>) -> Self {
        let (severity, file) = (code.severity(), FileId::DOCUMENT);
        Self { code, severity, file, range, message: shown(message.into()), related: Vec::new(), fixes: Vec::new() }
    }

    /// Returns how an editor may draw it besides its severity.
    pub fn tag(&self) -> Option<Tag> {
        Tag::of(self.code, &self.message)
    }

    #[must_use]
    pub(crate) fn with_related(mut self, place: impl Into<FileRange>, message: impl Into<String>) -> Self {
        if self.related.len() < MAX_RELATED {
            self.related.push(Related { place: place.into(), message: shown(message.into()) });
        }
        self
    }

    /// Adds a fix that replaces one range, for a person to choose.
    #[must_use]
    pub(crate) fn with_fix(mut self, title: impl Into<String>, range: TextRange, new_text: impl Into<String>) -> Self {
        self.fixes.push(Fix::new(title, false, vec![TextEdit { range, new_text: new_text.into() }]));
        self
    }

    /// Adds the obvious fix, which keeps the author's meaning.
    #[must_use]
    pub(crate) fn with_safe_fix(
        mut self,
        title: impl Into<String>,
        range: TextRange,
        new_text: impl Into<String>,
    ) -> Self {
        self.fixes.push(Fix::new(title, true, vec![TextEdit { range, new_text: new_text.into() }]));
        self
    }
}

fn shown(words: String) -> String {
    let mut words = match printable(&words) {
        Cow::Borrowed(_) => words,
        Cow::Owned(shown) => shown,
    };
    if words.len() > MAX_MESSAGE_BYTES {
        words.truncate(floor_char_border(&words, MAX_MESSAGE_BYTES));
        words.push('…');
    }
    words
}

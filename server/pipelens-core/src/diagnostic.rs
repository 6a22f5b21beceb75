//! Findings: what is wrong, where, and what to do about it. Codes are stable; severities can be set by the user.

mod codes;
mod severity;

pub use codes::Code;
pub use severity::Severity;

use std::borrow::Cow;

use crate::printable::printable;
use crate::syntax::parse::floor_char_border;
use crate::text::{TextEdit, TextRange};

/// Names are quoted whole up to here: a file can hold a name as long as itself, and many findings about it.
const MAX_MESSAGE_BYTES: usize = 2_000;
/// Other places of one finding.
const MAX_RELATED: usize = 50;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// The smallest range that is wrong.
    pub range: TextRange,
    /// What, why, and what to do; names in backticks.
    pub message: String,
    pub related: Vec<Related>,
    /// Edits that each mend it alone; the first is the preferred one.
    pub fixes: Vec<Fix>,
}

/// Another place that belongs to a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    pub range: TextRange,
    pub message: String,
}

/// One way to mend a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// An imperative sentence without a full stop: "Change `bild` to `build`".
    pub title: String,
    /// There is one obvious edit and it keeps what the author meant, so it can be applied unattended. Otherwise a person has
    /// to choose.
    pub is_safe: bool,
    pub edits: Vec<TextEdit>,
}

impl Diagnostic {
    /// Makes a finding of the code's own severity. A message may quote the text: what cannot be seen in it is written out.
    pub fn new(code: Code, range: TextRange, message: impl Into<String>) -> Self {
        let (related, fixes) = (Vec::new(), Vec::new());
        Self { code, severity: code.severity(), range, message: shown(message.into()), related, fixes }
    }

    #[must_use]
    pub(crate) fn with_related(mut self, range: TextRange, message: impl Into<String>) -> Self {
        if self.related.len() < MAX_RELATED {
            self.related.push(Related { range, message: shown(message.into()) });
        }
        self
    }

    /// Adds a way to mend it that replaces one range, for a person to choose.
    #[must_use]
    pub(crate) fn with_fix(mut self, title: impl Into<String>, range: TextRange, new_text: impl Into<String>) -> Self {
        let edits = vec![TextEdit { range, new_text: new_text.into() }];
        self.fixes.push(Fix { title: shown(title.into()), is_safe: false, edits });
        self
    }

    /// Adds the one obvious way to mend it, which keeps what the author meant.
    #[must_use]
    pub(crate) fn with_safe_fix(
        mut self,
        title: impl Into<String>,
        range: TextRange,
        new_text: impl Into<String>,
    ) -> Self {
        let edits = vec![TextEdit { range, new_text: new_text.into() }];
        self.fixes.push(Fix { title: shown(title.into()), is_safe: true, edits });
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

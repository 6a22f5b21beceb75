//! Findings: what is wrong, where, and what to do about it. Codes are stable; severities can be set by the user.

use crate::text::{TextEdit, TextRange};

/// How much a finding matters, before the user's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Error,
    Warning,
    Information,
    Hint,
}

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
    pub edits: Vec<TextEdit>,
}

/// The stable name of a kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    Syntax,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
        }
    }
}

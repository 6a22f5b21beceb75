//! The comment `# pipelens: ignore <code>`: silences a finding on its own line, or on the line below it.

use std::collections::{HashMap, HashSet};

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::text::{LineIndex, TextRange};

/// Takes the silenced findings out and returns them.
pub(crate) fn apply(
    text: &str,
    lines: &LineIndex,
    comments: &[TextRange],
    findings: &mut Vec<Diagnostic>,
) -> Vec<Diagnostic> {
    let mut ignored: HashMap<usize, HashSet<&str>> = HashMap::new();
    for comment in comments {
        let Some(codes) = codes(comment.of(text)) else { continue };
        let line = lines.line(comment.start);
        let before = text.get(lines.line_start(line)..comment.start).unwrap_or_default();
        // A comment on a line of its own applies to the next line, one after something to its own line.
        let target = if before.trim().is_empty() { line + 1 } else { line };
        ignored.entry(target).or_default().extend(codes);
    }
    if ignored.is_empty() {
        return Vec::new();
    }
    let is_silenced = |finding: &Diagnostic| {
        let codes = ignored.get(&lines.line(finding.range.start));
        codes.is_some_and(|codes| codes.contains(finding.code.as_str()))
    };
    let (silenced, kept) = std::mem::take(findings).into_iter().partition(is_silenced);
    *findings = kept;
    silenced
}

/// Tells whether a run is impossible even when the finding is silenced: a comment does not remove a cycle.
pub(crate) fn still_refuses(finding: &Diagnostic) -> bool {
    let is_harmless = matches!(
        finding.code,
        Code::UnknownKey | Code::MisplacedKey | Code::BadEnvName | Code::InvalidImage | Code::ShellSyntax
    );
    finding.severity == Severity::Error && !is_harmless
}

fn codes(comment: &str) -> Option<Vec<&str>> {
    let words =
        comment.strip_prefix('#')?.trim_start().strip_prefix("pipelens:")?.trim_start().strip_prefix("ignore")?;
    Some(words.split([' ', ',', '\t']).filter(|code| !code.is_empty()).collect())
}

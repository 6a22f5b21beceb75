//! Applies all safe fixes, again and again, since one may uncover the next.

use pipelens_core::Analysis;
use pipelens_core::diagnostic::Diagnostic;
use pipelens_core::fixes::fix_all;
use pipelens_core::text::apply_edits;

use crate::settings::ProjectSettings;

/// Fixes that undo each other would otherwise be applied forever.
const MAX_ROUNDS: usize = 20;

/// Text without the findings that have a safe fix.
pub(crate) struct Fixed {
    pub(crate) text: String,
    /// How many edits were applied.
    pub(crate) edits: usize,
}

/// Returns the fixed text, or nothing where there is nothing to fix. `findings` are those of the text as it is.
/// `analyse` finds what is wrong with text of this kind.
pub(crate) fn fix(
    text: &str,
    findings: &[Diagnostic],
    project: &ProjectSettings,
    analyse: impl Fn(&str) -> Analysis,
) -> Option<Fixed> {
    // Findings that a project has turned off are not fixed either.
    let edits_for =
        |findings: &[Diagnostic]| fix_all(findings.iter().filter(|diagnostic| project.adjust(diagnostic).is_some()));
    let mut fixed = Fixed { text: text.to_owned(), edits: 0 };
    let mut edits = edits_for(findings);
    for _ in 0..MAX_ROUNDS {
        if edits.is_empty() {
            break;
        }
        fixed.edits += edits.len();
        fixed.text = apply_edits(&fixed.text, &edits);
        edits = edits_for(&analyse(&fixed.text).diagnostics);
    }
    (fixed.text != text).then_some(fixed)
}

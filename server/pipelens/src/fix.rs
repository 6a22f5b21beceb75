//! Applies the fixes that cannot be wrong, again and again, since one may uncover the next.

use pipelens_core::Format;
use pipelens_core::diagnostic::Diagnostic;
use pipelens_core::fixes::fix_all;
use pipelens_core::text::apply_edits;

use crate::settings::ProjectSettings;

/// Fixes that undo each other would go on for ever.
const MAX_ROUNDS: usize = 20;

/// A text without the findings that needed no choice.
pub(crate) struct Mended {
    pub(crate) text: String,
    /// How many edits it took.
    pub(crate) edits: usize,
}

/// Returns the mended text, or nothing where there is nothing to mend. `findings` are those of the text as it is.
pub(crate) fn mend(text: &str, format: Format, findings: &[Diagnostic], project: &ProjectSettings) -> Option<Mended> {
    // What a project does not want to hear of, it does not want mended.
    let edits_for =
        |findings: &[Diagnostic]| fix_all(findings.iter().filter(|diagnostic| project.adjust(diagnostic).is_some()));
    let mut mended = Mended { text: text.to_owned(), edits: 0 };
    let mut edits = edits_for(findings);
    for _ in 0..MAX_ROUNDS {
        if edits.is_empty() {
            break;
        }
        mended.edits += edits.len();
        mended.text = apply_edits(&mended.text, &edits);
        edits = edits_for(&pipelens_core::analyze(&mended.text, format).diagnostics);
    }
    (mended.text != text).then_some(mended)
}

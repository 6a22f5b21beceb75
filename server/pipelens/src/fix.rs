//! Applies the fixes that cannot be wrong, again and again, since one may uncover the next.

use pipelens_core::Format;
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

/// Returns the mended text, or nothing where there is nothing to mend.
pub(crate) fn mend(text: &str, format: Format, project: &ProjectSettings) -> Option<Mended> {
    let mut mended = Mended { text: text.to_owned(), edits: 0 };
    for _ in 0..MAX_ROUNDS {
        let mut analysis = pipelens_core::analyze(&mended.text, format);
        // What a project does not want to hear of, it does not want mended.
        analysis.diagnostics.retain(|diagnostic| project.adjust(diagnostic).is_some());
        let edits = fix_all(&analysis);
        if edits.is_empty() {
            break;
        }
        mended.edits += edits.len();
        mended.text = apply_edits(&mended.text, &edits);
    }
    (mended.text != text).then_some(mended)
}

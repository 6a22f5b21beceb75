//! Applies all safe fixes at once.

use crate::diagnostic::{Diagnostic, Fix};
use crate::files::FileId;
use crate::text::TextEdit;

/// Returns the edits of the analysed text by every safe fix that can be applied together, in text order.
///
/// Of two fixes that touch, only the first is included, because it may make the second unnecessary: apply the edits, analyse
/// again, and repeat until no edits are left. Each round fixes at least one finding, so this terminates.
pub fn fix_all<'found>(findings: impl IntoIterator<Item = &'found Diagnostic>) -> Vec<TextEdit> {
    let mut edits: Vec<TextEdit> = Vec::new();
    let safe = |fixes: &[Fix]| fixes.iter().find(|fix| fix.is_safe).map(|fix| fix.edits_in(FileId::DOCUMENT));
    for fix in findings.into_iter().filter_map(|found| safe(&found.fixes)) {
        let touches = |edit: &TextEdit| {
            edits.iter().any(|other| other.range.touches(edit.range.start) || edit.range.touches(other.range.start))
        };
        if !fix.iter().any(touches) {
            edits.extend(fix);
        }
    }
    edits.sort_by_key(|edit| edit.range);
    edits
}

//! Applies the fixes that cannot be wrong, again and again, since one may uncover the next.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use pipelens_core::fixes::fix_all;
use pipelens_core::text::apply_edits;

use super::checked::Checked;

/// Fixes that undo each other would go on for ever.
const MAX_ROUNDS: usize = 20;

/// Returns the mended text and how many edits it took, or nothing where there is nothing to mend.
pub(crate) fn mend(file: &Checked) -> Option<(String, usize)> {
    let format = crate::lsp::format_of(&file.path);
    let mut text = file.text.clone();
    let mut count = 0;
    for _ in 0..MAX_ROUNDS {
        let mut analysis = pipelens_core::analyze(&text, format);
        // What a project does not want to hear of, it does not want mended.
        analysis.diagnostics.retain(|diagnostic| file.project.adjust(diagnostic).is_some());
        let edits = fix_all(&analysis);
        if edits.is_empty() {
            break;
        }
        count += edits.len();
        text = apply_edits(&text, &edits);
    }
    (text != file.text).then_some((text, count))
}

/// Replaces a file in one step: whoever reads it meanwhile sees the old text or the new, never half of one.
pub(crate) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let name = path.display();
    let target = std::fs::canonicalize(path).with_context(|| format!("Cannot find `{name}`"))?;
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(|| format!("Cannot write beside `{name}`"))?;
    file.write_all(text.as_bytes()).with_context(|| format!("Cannot write `{name}`"))?;
    let permissions = std::fs::metadata(&target).with_context(|| format!("Cannot read `{name}`"))?.permissions();
    file.as_file().set_permissions(permissions).with_context(|| format!("Cannot keep the permissions of `{name}`"))?;
    file.persist(&target).with_context(|| format!("Cannot replace `{name}`"))?;
    Ok(())
}

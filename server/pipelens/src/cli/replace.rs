//! Replaces a file in one step: whoever reads it meanwhile sees the old text or the new, never half of one.

use std::io::Write;
use std::path::Path;

use anyhow::Context;

/// Puts a text in a file's place, with the file's permissions.
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

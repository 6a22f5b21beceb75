//! Replaces a file atomically: a reader sees either the old text or the new one.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;

/// Writes a file, replacing whatever has that name, except a directory.
pub(crate) fn put(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = with_usual_permissions().tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// The permissions of a new file; the system applies the umask.
fn with_usual_permissions() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// Replaces the content of a file, and keeps the file's permissions.
pub(crate) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let name = path.display();
    let target = std::fs::canonicalize(path).with_context(|| format!("Cannot find `{name}`"))?;
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("Cannot write to the directory of `{name}`"))?;
    file.write_all(text.as_bytes()).with_context(|| format!("Cannot write `{name}`"))?;
    let permissions = std::fs::metadata(&target).with_context(|| format!("Cannot read `{name}`"))?.permissions();
    file.as_file().set_permissions(permissions).with_context(|| format!("Cannot keep the permissions of `{name}`"))?;
    file.persist(&target).with_context(|| format!("Cannot replace `{name}`"))?;
    Ok(())
}

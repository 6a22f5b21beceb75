//! Folders with a lock file in them, whose lock the kernel frees when its holder dies. Only who holds it alone may remove the folder.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::private;

pub(crate) const LOCK: &str = "lock";

/// Opens the lock file of a folder, which is made if it is missing.
pub(crate) fn lock_file(folder: &Path) -> io::Result<File> {
    private::touch(&folder.join(LOCK))?;
    File::open(folder.join(LOCK))
}

/// Whether a lock that was obtained is that of the directory, and not of one that was removed meanwhile.
#[cfg(unix)]
pub(crate) fn is_still_there(lock: &File, folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (held, current) = (lock.metadata().map(id), folder.join(LOCK).symlink_metadata().map(id));
    matches!((held, current), (Ok(held), Ok(current)) if held == current)
}

#[cfg(not(unix))]
pub(crate) fn is_still_there(_lock: &File, folder: &Path) -> bool {
    folder.join(LOCK).exists()
}

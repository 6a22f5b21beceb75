//! Folders with a lock file in them, whose lock the kernel frees when its holder dies. Only who holds it alone may remove the folder.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use crate::private;

pub(crate) const LOCK: &str = "lock";

/// A folder may be removed just before it is locked.
const TRIES: usize = 100;

/// Holds a folder, which is made if it is missing, alone or with others; `None`: it is in use.
pub(crate) fn hold(folder: &Path, is_exclusive: bool) -> io::Result<Option<File>> {
    for _ in 0..TRIES {
        private::create_folder(folder)?;
        let lock = match lock_file(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            lock => lock?,
        };
        let held = if is_exclusive { lock.try_lock() } else { lock.try_lock_shared() };
        match held {
            Ok(()) if is_still_there(&lock, folder) => return Ok(Some(lock)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other("it is removed again and again"))
}

/// Takes a shared lock on a folder; waits while another process has it exclusively.
pub(crate) fn share(folder: &Path) -> io::Result<File> {
    loop {
        if let Some(lock) = hold(folder, false)? {
            return Ok(lock);
        }
        lock_file(folder)?.lock_shared()?;
    }
}

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

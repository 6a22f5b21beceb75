//! How much a run may write to this machine's disk: its logs and artifacts. Knows no steps.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The limits for a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimits {
    pub logs_bytes: u64,
    /// Holes in files take no space and are not counted.
    pub artifacts_bytes: u64,
    /// How much must stay free on the disk for everything else. If less is left, nothing more is written.
    pub free_bytes: u64,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self { logs_bytes: 2 << 30, artifacts_bytes: 20 << 30, free_bytes: 128 << 20 }
    }
}

/// The free space is checked again after this many bytes: often enough even for a command that writes as fast as it can.
const ASK_DISK_EVERY_BYTES: u64 = 8 << 20;

/// The space for one kind of output, shared by all steps of a run.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: u64,
    used: AtomicU64,
    free_bytes: u64,
    /// How much may be written before the free space is checked again.
    unasked: AtomicU64,
}

/// Why there is no more space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Limit(u64),
    Disk,
}

impl Room {
    pub(crate) fn new(limit: u64, free_bytes: u64) -> Self {
        Self(Arc::new(Shared { limit, used: AtomicU64::new(0), free_bytes, unasked: AtomicU64::new(0) }))
    }

    /// Reserves space for a number of bytes in a directory, or nothing at all.
    pub(crate) fn take(&self, bytes: u64, folder: &Path) -> Result<(), Full> {
        let shared = &*self.0;
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= shared.limit);
        let taken = shared.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.map_err(|_| Full::Limit(shared.limit))?;
        let without_asking = |unasked: u64| unasked.checked_sub(bytes);
        if shared.unasked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, without_asking).is_ok() {
            return Ok(());
        }
        match free(folder) {
            Some(free) if free < shared.free_bytes.saturating_add(bytes) => {
                shared.used.fetch_sub(bytes, Ordering::Relaxed);
                Err(Full::Disk)
            }
            Some(_) | None => {
                shared.unasked.store(ASK_DISK_EVERY_BYTES, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

/// Returns the size of a file, or of all files below a folder, in bytes. What cannot be read counts as nothing.
pub fn size(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size(&entry.path())).sum()
}

/// Returns the free space on the disk of a directory; `None` if it is unknown.
#[cfg(unix)]
pub fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
pub fn free(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_shared_and_reserved_completely_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::new(10, 0);
        let other = room.clone();
        assert_eq!(room.take(6, folder.path()), Ok(()));
        assert_eq!(other.take(5, folder.path()), Err(Full::Limit(10)));
        assert_eq!(other.take(4, folder.path()), Ok(()));
        assert_eq!(room.take(u64::MAX, folder.path()), Err(Full::Limit(10)));
    }

    #[cfg(unix)]
    #[test]
    fn the_reserved_disk_space_stays_free() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::new(u64::MAX, u64::MAX / 2);
        assert_eq!(room.take(1, folder.path()), Err(Full::Disk));
    }
}

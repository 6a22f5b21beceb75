//! How much a run may write to this machine's disk: its logs and what its steps hand back. Knows no step.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a whole run may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimits {
    pub logs_bytes: u64,
    /// Holes in files take no room and count for nothing.
    pub artifacts_bytes: u64,
    /// What must stay free on the disk for everything else. Nothing more is written when less is left.
    pub free_bytes: u64,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self { logs_bytes: 2 << 30, artifacts_bytes: 20 << 30, free_bytes: 128 << 20 }
    }
}

/// The disk is asked again after this much: fast enough for a command that writes as fast as it can.
const ASK_DISK_EVERY_BYTES: u64 = 8 << 20;

/// Room for one kind of output, shared by all the steps of a run.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: u64,
    used: AtomicU64,
    free_bytes: u64,
    /// How much may be written before the disk is asked again.
    unasked: AtomicU64,
}

/// Why there is no more room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Limit(u64),
    Disk,
}

impl Room {
    pub(crate) fn new(limit: u64, free_bytes: u64) -> Self {
        Self(Arc::new(Shared { limit, used: AtomicU64::new(0), free_bytes, unasked: AtomicU64::new(0) }))
    }

    /// Takes room for so many bytes in a folder, or none at all.
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

/// Returns what is free on the disk of a folder; `None` where that cannot be told.
#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_shared_and_taken_whole() {
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
    fn what_must_stay_free_stays_free() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::new(u64::MAX, u64::MAX / 2);
        assert_eq!(room.take(1, folder.path()), Err(Full::Disk));
    }
}

//! What was in the root filesystem at a moment, in about 30 bytes for each file.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::mounts::Mounts;
use super::requests::failure;
use super::walk::{self, NoSink};
use crate::protocol::message::{self, Failure};

/// A listing of the root filesystem. The entries of a directory are next to each other, sorted by name.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Each with its length before it; names have at most 255 bytes.
    names: Vec<u8>,
    entries: Vec<Entry>,
    folders: Vec<Range<u32>>,
    milliseconds: u64,
}

/// A file or a directory, without its path.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// A hash of everything that changes with the file.
    fingerprint: u64,
    name: u32,
    /// The number of a directory + 1; 0: no directory, or one that cannot be read.
    folder: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FolderId(u32);

impl FolderId {
    pub(super) const ROOT: Self = Self(0);
}

impl Entry {
    pub(super) fn of(stat: &Stat) -> Self {
        let mut hasher = DefaultHasher::new();
        (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev).hash(&mut hasher);
        (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec).hash(&mut hasher);
        // The kernel gives directories of stacked filesystems new numbers and sizes as it likes.
        if !FileType::from_raw_mode(stat.st_mode).is_dir() {
            (stat.st_size, stat.st_ino).hash(&mut hasher);
        }
        Self { fingerprint: hasher.finish(), name: 0, folder: 0 }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }

    pub(super) fn folder(&self) -> Option<FolderId> {
        self.folder.checked_sub(1).map(FolderId)
    }
}

impl Listing {
    /// Returns the entries of a directory.
    pub(super) fn folder(&self, folder: FolderId) -> &[Entry] {
        let range = self.folders.get(folder.0 as usize).cloned().unwrap_or_default();
        self.entries.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    pub(super) fn name(&self, entry: &Entry) -> &[u8] {
        let rest = self.names.get(entry.name as usize..).unwrap_or_default();
        rest.split_first().and_then(|(length, rest)| rest.get(..usize::from(*length))).unwrap_or_default()
    }

    pub(super) fn begin_folder(&mut self) -> FolderId {
        let place = number(self.entries.len());
        self.folders.push(place..place);
        FolderId(number(self.folders.len() - 1))
    }

    /// Adds an entry to the directory that was begun last; returns its place.
    pub(super) fn add(&mut self, name: &[u8], mut entry: Entry) -> usize {
        entry.name = number(self.names.len());
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        self.names.push(length);
        self.names.extend(name.iter().take(usize::from(length)));
        self.entries.push(entry);
        self.entries.len() - 1
    }

    pub(super) fn end_folder(&mut self, folder: FolderId) {
        let end = number(self.entries.len());
        if let Some(range) = self.folders.get_mut(folder.0 as usize) {
            range.end = end;
        }
    }

    /// An entry is this directory.
    pub(super) fn set_folder(&mut self, place: usize, folder: Option<FolderId>) {
        if let Some(entry) = self.entries.get_mut(place) {
            entry.folder = folder.map_or(0, |folder| folder.0 + 1);
        }
    }

    pub(super) fn summary(&self) -> message::Listing {
        let bytes = self.names.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.folders.capacity() * size_of::<Range<u32>>();
        message::Listing { entries: self.entries.len() as u64, bytes: bytes as u64, milliseconds: self.milliseconds }
    }

    /// Gives back what was reserved for growth.
    pub(super) fn shrink(&mut self) {
        self.names.shrink_to_fit();
        self.entries.shrink_to_fit();
        self.folders.shrink_to_fit();
    }
}

/// No filesystem of a container has four thousand million files.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The listing that the next layer is compared with.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// `None`: it is being taken.
    current: Mutex<Option<Result<Arc<Listing>, String>>>,
    taken: Condvar,
}

impl Listings {
    /// Begins to take the first one.
    pub(super) fn begin() -> io::Result<Arc<Self>> {
        let listings = Arc::new(Self::default());
        let own = Arc::clone(&listings);
        thread::Builder::new().name("listing".into()).spawn(move || own.set(take()))?;
        Ok(listings)
    }

    /// Waits until there is one.
    pub(super) fn current(&self) -> Result<Arc<Listing>, Failure> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*current {
                Some(Ok(listing)) => return Ok(Arc::clone(listing)),
                Some(Err(sentence)) => return Err(failure(sentence.clone())),
                None => current = self.taken.wait(current).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Takes a new one.
    pub(super) fn renew(&self) -> Result<Arc<Listing>, Failure> {
        // The first one must not replace it later.
        self.current().ok();
        self.set(take());
        self.current()
    }

    pub(super) fn replace(&self, listing: Listing) {
        self.set(Ok(listing));
    }

    fn set(&self, listing: io::Result<Listing>) {
        let listing = listing.map(Arc::new).map_err(|error| error.to_string());
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(listing);
        self.taken.notify_all();
    }
}

pub(super) fn open_root() -> io::Result<std::os::fd::OwnedFd> {
    Ok(rustix::fs::open("/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn take() -> io::Result<Listing> {
    let began = Instant::now();
    let mut listing = walk::walk(&open_root()?, &Mounts::now()?, None, &mut NoSink)?;
    listing.shrink();
    listing.milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(listing)
}

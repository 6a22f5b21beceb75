//! What git knows about a project, read without running git, because a repository's configuration can name programs for git to run.

use std::path::{Component, Path, PathBuf};

use filetime::FileTime;
use gix_index::State;
use gix_index::decode::Options;

use crate::files::{ProjectFolder, Unreadable, readable_size};
use crate::private::is_of_same_owner;

/// The limit for files that contain only a path.
const MAX_POINTER_BYTES: u64 = 8 * 1024;
/// Enough for half a million files.
const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;
/// In memory, an index is a little larger than its file.
const MAX_INDEX_ALLOCATION: usize = 256 * 1024 * 1024;

/// The repository whose work tree a directory is in.
#[derive(Debug)]
pub(crate) struct Repository {
    top: PathBuf,
    /// The directories of the index and of what all work trees share; or why they are not read.
    folders: Result<GitFolders, Unreadable>,
}

/// The directories of a repository.
#[derive(Debug)]
pub(crate) struct GitFolders {
    /// Nothing outside of it is read.
    pub(crate) base: ProjectFolder,
    /// The path of the base.
    pub(crate) path: PathBuf,
    /// What belongs to one work tree. Relative to the base, as is the other one.
    pub(crate) own: PathBuf,
    /// What all work trees share.
    pub(crate) common: PathBuf,
}

/// The files of an index.
#[derive(Debug, Default)]
pub(crate) struct Tracked {
    /// Relative to the root of the work tree. None leads out of it lexically; links on the way are checked elsewhere.
    pub(crate) paths: Vec<PathBuf>,
    /// Why some or all files are missing.
    pub(crate) problem: Option<String>,
}

impl Repository {
    /// Finds the nearest directory with a `.git`, going upwards.
    pub(crate) fn of(root: &Path) -> Option<Self> {
        let is_top = |folder: &&Path| {
            let git = folder.join(".git");
            // In a directory that everyone can write to, anyone can create a `.git`.
            git.symlink_metadata().is_ok() && (*folder == root || is_of_same_owner(&git, root))
        };
        let top = root.ancestors().find(is_top)?;
        Some(Self { top: top.to_owned(), folders: GitFolders::find(top) })
    }

    /// Returns the root of the work tree.
    pub(crate) fn top(&self) -> &Path {
        &self.top
    }

    /// Returns the directories of the repository, or why they are not read.
    pub(crate) fn folders(&self) -> Result<&GitFolders, &Unreadable> {
        self.folders.as_ref()
    }

    /// Reads the repository's own ignore rules, which are not part of any commit.
    pub(super) fn exclude(&self, max_bytes: u64) -> Result<Vec<u8>, Unreadable> {
        match &self.folders {
            Ok(folders) => folders.base.read(&folders.common.join("info/exclude"), max_bytes),
            // The problem is reported with the index.
            Err(_) => Err(Unreadable::Missing),
        }
    }

    /// Whether the repository is read at all. If not, its `info/exclude` is ignored too.
    pub(crate) fn is_read(&self) -> bool {
        self.folders.is_ok()
    }

    /// Returns the length of the index without reading it.
    pub(crate) fn index_bytes(&self) -> u64 {
        self.folders.as_ref().map_or(0, |folders| folders.base.length(&folders.own.join("index")))
    }

    /// Reads which files are tracked.
    pub(crate) fn tracked(&self) -> Tracked {
        let bytes = match &self.folders {
            Ok(folders) => {
                folders.base.read(&folders.own.join("index"), MAX_INDEX_BYTES).map_err(|error| (error, folders))
            }
            Err(error) => return Tracked { paths: Vec::new(), problem: Some(error.to_string()) },
        };
        match bytes {
            Ok(bytes) => self.decode(&bytes),
            // No file was ever added.
            Err((Unreadable::Missing, _)) => Tracked::default(),
            Err((error, _)) => Tracked { paths: Vec::new(), problem: Some(error.to_string()) },
        }
    }

    fn decode(&self, bytes: &[u8]) -> Tracked {
        let mut tracked = Tracked::default();
        match state(bytes) {
            Ok(index) => {
                if let Some(link) = index.link() {
                    let name = format!("sharedindex.{}", link.shared_index_checksum);
                    match self.shared(&name) {
                        Ok(shared) => {
                            let mut is_deleted = vec![false; shared.entries().len()];
                            if let Some(bitmaps) = &link.bitmaps {
                                bitmaps
                                    .delete
                                    .for_each_set_bit(|at| is_deleted.get_mut(at).map(|is_deleted| *is_deleted = true));
                            }
                            let kept = shared.entries().iter().zip(is_deleted).filter(|(_, is_deleted)| !is_deleted);
                            tracked.paths.extend(kept.filter_map(|(entry, _)| safe_path(entry.path(&shared))));
                        }
                        Err(reason) => tracked.problem = Some(format!("`{name}`: {reason}")),
                    }
                }
                tracked.paths.extend(index.entries().iter().filter_map(|entry| safe_path(entry.path(&index))));
            }
            Err(error) => tracked.problem = Some(error.to_string()),
        }
        tracked
    }

    /// Reads the part of a split index that rarely changes.
    fn shared(&self, name: &str) -> Result<State, BadIndex> {
        let folders = self.folders.as_ref().map_err(|error| BadIndex(error.to_string()))?;
        let read = folders.base.read(&folders.own.join(name), MAX_INDEX_BYTES);
        state(&read.map_err(|error| BadIndex(error.to_string()))?)
    }
}

impl GitFolders {
    fn find(top: &Path) -> Result<Self, Unreadable> {
        let open = |path: &Path| ProjectFolder::open(path).map_err(Unreadable::Io);
        let project = open(top)?;
        if project.has_folder(Path::new(".git")) {
            return Ok(Self { base: project, path: top.to_owned(), own: ".git".into(), common: ".git".into() });
        }
        // A work tree beside the main one, or a submodule.
        let pointer = project.read_text(Path::new(".git"), MAX_POINTER_BYTES)?;
        let target = pointer.strip_prefix("gitdir:").ok_or(Unreadable::Missing)?.trim();
        let target = normalized(&top.join(target));
        if let Ok(inside) = target.strip_prefix(top) {
            return Ok(Self { base: project, path: top.to_owned(), own: inside.to_owned(), common: inside.to_owned() });
        }
        // It leads out of the project, and anyone could have written it: it is followed only if the other side points back.
        let above = top.ancestors().skip(1).find(|folder| target.starts_with(folder.join(".git/modules")));
        if let Some((above, own)) = above.and_then(|above| Some((above, target.strip_prefix(above).ok()?))) {
            // The enclosing project is not trusted either, so links in its `.git` are not followed out of it.
            let base = open(above)?;
            if !base.has_folder(own) {
                return Err(Unreadable::LeavesProject);
            }
            return Ok(Self { base, path: above.to_owned(), own: own.to_owned(), common: own.to_owned() });
        }
        let is_work_tree = target.parent().is_some_and(|folder| folder.ends_with("worktrees"));
        let (true, Some(name), Some(common)) = (is_work_tree, target.file_name(), target.ancestors().nth(2)) else {
            return Err(Unreadable::LeavesProject);
        };
        let own = Path::new("worktrees").join(name);
        let base = open(common).map_err(|_| Unreadable::LeavesProject)?;
        let back = base.read_text(&own.join("gitdir"), MAX_POINTER_BYTES).map_err(|_| Unreadable::LeavesProject)?;
        if common.join(&own).join(back.trim()).parent().and_then(|folder| folder.canonicalize().ok())
            != top.canonicalize().ok()
        {
            return Err(Unreadable::LeavesProject);
        }
        Ok(Self { base, path: common.to_owned(), own, common: PathBuf::new() })
    }
}

/// Adds up the lengths of the paths in an index of version 4, which stores only how each differs from the one before: a small file can
/// stand for terabytes. Other versions store whole paths.
fn has_endless_paths(bytes: &[u8]) -> bool {
    /// The bytes before an entry's path: times, numbers, the hash.
    const FIXED_BYTES: usize = 60;
    let Some((b"DIRC\0\0\0\x04", mut rest)) = bytes.split_at_checked(8) else { return false };
    rest = rest.get(4..).unwrap_or_default();
    let (mut length, mut all) = (0_usize, 0_usize);
    let mut next = || -> Option<usize> {
        let flags = rest.get(FIXED_BYTES)?;
        rest = rest.get(FIXED_BYTES + if flags & 0x40 == 0 { 2 } else { 4 }..)?;
        let mut dropped = 0_usize;
        let mut is_first = true;
        loop {
            let (byte, after) = rest.split_first()?;
            rest = after;
            dropped = dropped.checked_add(usize::from(!is_first))?.checked_mul(128)? + usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
            is_first = false;
        }
        let end = rest.iter().position(|byte| *byte == 0)?;
        rest = rest.get(end + 1..)?;
        length = length.checked_sub(dropped)? + end;
        Some(length)
    };
    // If the entries end early, whatever is read after them does not matter.
    while let Some(length) = next() {
        all = all.saturating_add(length);
        if all > MAX_INDEX_BYTES as usize {
            return true;
        }
    }
    false
}

/// Why git's index cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadIndex(String);

fn state(bytes: &[u8]) -> Result<State, BadIndex> {
    if has_endless_paths(bytes) {
        return Err(BadIndex(format!("its paths are longer than {} in total", readable_size(MAX_INDEX_BYTES))));
    }
    let options = Options {
        // Small, and read while the user types, so not worth a thread.
        thread_limit: Some(1),
        alloc_limit_bytes: Some(MAX_INDEX_ALLOCATION),
        ..Options::default()
    };
    let decoded = State::from_bytes(bytes, FileTime::zero(), gix_hash::Kind::Sha1, options);
    decoded.map(|(state, _)| state).map_err(|error| BadIndex(error.to_string()))
}

/// Resolves `.` and `..` lexically, so that following a path reads nothing outside the project.
fn normalized(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => path.push(part),
        }
        path
    })
}

/// Returns a path from an index, unless it leads out of the work tree or into `.git`; git never writes such paths.
fn safe_path(name: &[u8]) -> Option<PathBuf> {
    if name.is_empty() || name.contains(&0) {
        return None;
    }
    let path = path_from_bytes(name);
    let is_safe = |part: Component<'_>| match part {
        Component::Normal(name) => !name.eq_ignore_ascii_case(".git"),
        Component::CurDir | Component::ParentDir | Component::RootDir | Component::Prefix(_) => false,
    };
    path.components().all(is_safe).then_some(path)
}

/// Returns a path as the system or git writes it.
#[cfg(unix)]
pub(crate) fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(not(unix))]
pub(crate) fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

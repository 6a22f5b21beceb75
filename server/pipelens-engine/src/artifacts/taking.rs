//! Writes the artifacts of one step as they come, with the links between them. Blocks on the disk.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::{Artifacts, Taken, links};
use crate::files::ProjectFolder;
use crate::limits::Full;
use crate::private;
use crate::sparse::{self, Stopped};

/// The engine's archives contain holes as zeros, so a file that is mostly a hole takes long to read. A file that claims to be larger
/// than this many times the limit for all files is not read.
const MOST_HOLES: u64 = 10;

/// The artifacts of one step, while they are copied. All paths are relative to the working directory.
pub(crate) struct Taking {
    artifacts: Artifacts,
    /// The paths at which steps see the working directory.
    workdirs: Vec<PathBuf>,
    taken: Taken,
    files: BTreeSet<PathBuf>,
    /// Directories that exist in the target and are no links.
    folders: HashSet<PathBuf>,
    /// They are made last, when all files are known, and nothing is written through them.
    symlinks: BTreeMap<PathBuf, PathBuf>,
    /// Files that match no pattern, with the artifacts that are links to them.
    originals: BTreeMap<PathBuf, Vec<PathBuf>>,
    /// The originals that have been asked for, because links may lead in a circle.
    asked: HashSet<PathBuf>,
}

/// A file that matches no pattern, and the artifacts that are links to it.
pub(crate) struct Original {
    pub(crate) path: PathBuf,
    links: Vec<PathBuf>,
}

type Copied = Result<u64, Stopped<Full>>;
type AskForRoom<'a> = &'a mut dyn FnMut(u64) -> Result<(), Full>;

impl Taking {
    /// An absolute link below one of `workdirs` leads into the working directory.
    pub(crate) fn new(artifacts: Artifacts, workdirs: Vec<PathBuf>) -> Self {
        Self {
            artifacts,
            workdirs,
            taken: Taken::default(),
            files: BTreeSet::new(),
            folders: HashSet::new(),
            symlinks: BTreeMap::new(),
            originals: BTreeMap::new(),
            asked: HashSet::new(),
        }
    }

    /// Extracts matching files from an archive of `place`.
    pub(crate) fn take_from_archive(&mut self, place: &str, archive: impl Read) -> io::Result<()> {
        let mut archive = tar::Archive::new(archive);
        // The archive's first directory is `place` itself, under the last part of its name.
        let in_place = |name: &Path| {
            let inside: PathBuf = name.components().skip(1).collect();
            if inside.as_os_str().is_empty() { PathBuf::from(place) } else { Path::new(place).join(inside) }
        };
        for entry in archive.entries()? {
            let mut entry = entry?;
            let relative = in_place(&entry.path()?);
            if !self.is_artifact(&relative) {
                continue;
            }
            let kind = entry.header().entry_type();
            let link = entry.link_name()?.map(|link| link.into_owned());
            if kind.is_symlink() {
                self.symlinks.extend(link.map(|link| (relative, link)));
            } else if kind.is_hard_link() {
                if let Some(original) = link.map(|link| in_place(&link)).filter(|original| is_plain(original)) {
                    self.link(relative, original)?;
                }
            } else if kind.is_file() {
                if entry.size() > self.artifacts.limit_bytes.saturating_mul(MOST_HOLES) {
                    // The next entry of the archive comes only after all of this file's data.
                    self.taken.leave_out(relative, Full::Limit(self.artifacts.limit_bytes));
                    return Ok(());
                }
                let mode = entry.header().mode().unwrap_or(0o644);
                self.take(&relative, mode, |target, room| sparse::copy(&mut entry, target, room))?;
            }
        }
        Ok(())
    }

    /// Copies matching files from the working directory.
    pub(crate) fn take_from_folder(&mut self, workdir: &Path) -> io::Result<()> {
        let mut inodes = HashMap::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(workdir.join(&folder))? {
                let entry = entry?;
                let relative = folder.join(entry.file_name());
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(relative);
                } else if !self.is_artifact(&relative) {
                    continue;
                } else if kind.is_symlink() {
                    self.symlinks.insert(relative, fs::read_link(entry.path())?);
                } else if kind.is_file() {
                    let mut file = fs::File::open(entry.path())?;
                    let metadata = file.metadata()?;
                    if let Some(inode) = inode_of_several(&metadata) {
                        let original = inodes.entry(inode).or_insert_with(|| relative.clone());
                        if *original != relative {
                            let original = original.clone();
                            self.link(relative, original)?;
                            continue;
                        }
                    }
                    self.take(&relative, mode_of(&metadata), |target, room| {
                        sparse::copy_file(&mut file, target, room)
                    })?;
                }
            }
        }
        // The directory is the step's, but a link in it may lead to other files of the machine.
        let project = ProjectFolder::open(workdir)?;
        self.follow_links();
        while let Some(original) = self.next_original() {
            if let Ok(target) = project.read_link(&original.path) {
                self.follow_on(original, &target);
            } else if let Ok(mut file) = project.open_file(&original.path) {
                let mode = mode_of(&file.metadata()?);
                self.take_original(original, mode, |target, room| sparse::copy_file(&mut file, target, room))?;
            } else {
                self.leave_out(original);
            }
        }
        Ok(())
    }

    /// Chooses the symbolic links that can be kept, and looks for the content of the others.
    pub(crate) fn follow_links(&mut self) {
        for (link, target) in std::mem::take(&mut self.symlinks) {
            match links::resolved(&link, &target, &self.workdirs) {
                Some(path) if cfg!(unix) && self.has(&path) => drop(self.symlinks.insert(link, path)),
                Some(path) => self.originals.entry(path).or_default().push(link),
                None => self.taken.leave_out_link(link),
            }
        }
        // A link to another link stays a link if that one does.
        let mut rejected = true;
        while std::mem::take(&mut rejected) {
            let followed: Vec<(PathBuf, Vec<PathBuf>)> = self
                .originals
                .iter()
                .filter(|(path, _)| self.symlinks.contains_key(*path))
                .map(|(path, links)| (path.clone(), links.clone()))
                .collect();
            for (path, links) in followed {
                self.originals.remove(&path);
                rejected = true;
                self.symlinks.extend(links.into_iter().map(|link| (link, path.clone())));
            }
        }
    }

    /// Returns the next file whose content is missing. It has to be given back to one of the functions below.
    pub(crate) fn next_original(&mut self) -> Option<Original> {
        let (path, links) = self.originals.pop_first()?;
        self.asked.insert(path.clone());
        Some(Original { path, links })
    }

    /// Extracts an original from an archive of it.
    pub(crate) fn take_original_from_archive(&mut self, original: Original, archive: impl Read) -> io::Result<()> {
        let mut archive = tar::Archive::new(archive);
        let Some(mut entry) = archive.entries()?.next().transpose()? else {
            self.leave_out(original);
            return Ok(());
        };
        let kind = entry.header().entry_type();
        let link = entry.link_name()?.filter(|_| kind.is_symlink()).map(|target| target.into_owned());
        if let Some(target) = link {
            self.follow_on(original, &target);
        } else if kind.is_file() && entry.size() <= self.artifacts.limit_bytes.saturating_mul(MOST_HOLES) {
            let mode = entry.header().mode().unwrap_or(0o644);
            self.take_original(original, mode, |target, room| sparse::copy(&mut entry, target, room))?;
        } else {
            self.leave_out(original);
        }
        Ok(())
    }

    /// Makes the links, and returns what was copied.
    pub(crate) fn finish(mut self) -> io::Result<Taken> {
        let mut linked = Vec::new();
        for (link, path) in std::mem::take(&mut self.symlinks) {
            // An archive that claims to have both a link and files in it has a directory here.
            if self.has(&link) {
                continue;
            }
            let at = self.make_way(&link)?;
            create_symlink(&links::text(&link, &path), &at)?;
            self.taken.files += 1;
            linked.push(link);
        }
        linked.extend(self.files);
        self.artifacts.delivery.set(linked, self.taken.left_out == 0);
        Ok(self.taken)
    }

    fn is_artifact(&self, relative: &Path) -> bool {
        is_plain(relative) && !self.artifacts.is_mounted(relative) && self.artifacts.globs.is_match(relative)
    }

    /// Tells whether a file has arrived, or any file in a directory.
    fn has(&self, path: &Path) -> bool {
        self.files.range(path.to_owned()..).next().is_some_and(|file| file.starts_with(path))
    }

    /// An original is a symbolic link itself.
    fn follow_on(&mut self, original: Original, target: &Path) {
        match links::resolved(&original.path, target, &self.workdirs) {
            Some(next) if !self.asked.contains(&next) => {
                self.originals.entry(next).or_default().extend(original.links);
            }
            Some(_) | None => self.leave_out(original),
        }
    }

    fn leave_out(&mut self, original: Original) {
        original.links.into_iter().for_each(|link| self.taken.leave_out_link(link));
    }

    /// Adds a second name of a file.
    fn link(&mut self, relative: PathBuf, original: PathBuf) -> io::Result<()> {
        if !self.files.contains(&original) {
            self.originals.entry(original).or_default().push(relative);
            return Ok(());
        }
        let from = self.artifacts.target.join(&original);
        let to = self.make_way(&relative)?;
        // Not every file system has hard links.
        if fs::hard_link(&from, &to).is_err() {
            let mut from = fs::File::open(&from)?;
            let mode = mode_of(&from.metadata()?);
            return self.take(&relative, mode, |target, room| sparse::copy_file(&mut from, target, room));
        }
        self.taken.files += 1;
        self.files.insert(relative);
        Ok(())
    }

    fn take_original(
        &mut self,
        original: Original,
        mode: u32,
        copy: impl FnOnce(&mut fs::File, AskForRoom<'_>) -> Copied,
    ) -> io::Result<()> {
        let mut links = original.links.into_iter();
        let Some(first) = links.next() else { return Ok(()) };
        self.take(&first, mode, copy)?;
        if !self.files.contains(&first) {
            // It did not fit.
            self.taken.left_out += links.len() as u64;
            return Ok(());
        }
        links.try_for_each(|link| self.link(link, first.clone()))
    }

    fn take(
        &mut self,
        relative: &Path,
        mode: u32,
        copy: impl FnOnce(&mut fs::File, AskForRoom<'_>) -> Copied,
    ) -> io::Result<()> {
        let target = self.make_way(relative)?;
        let mut room = |bytes| self.artifacts.room.take(bytes, &self.artifacts.target);
        let written = match copy(&mut private::create_file(&target)?, &mut room) {
            Ok(written) => written,
            Err(Stopped::Failed(error)) => return Err(error),
            Err(Stopped::NoRoom(full)) => {
                // A partial file could be mistaken for a complete one.
                fs::remove_file(&target)?;
                self.taken.leave_out(relative.to_owned(), full);
                return Ok(());
            }
        };
        set_mode(&target, mode)?;
        self.taken.files += 1;
        self.taken.bytes += written;
        self.files.insert(relative.to_owned());
        Ok(())
    }

    /// Creates the directory for a new file, and removes an older file with its name. Nothing is written through a link, because an earlier run
    /// may have left it.
    fn make_way(&mut self, relative: &Path) -> io::Result<PathBuf> {
        let mut folder = self.artifacts.target.clone();
        let parent = relative.parent().unwrap_or(Path::new(""));
        if !self.folders.contains(parent) {
            private::create_folder(&folder)?;
            for part in parent.components() {
                folder.push(part);
                if folder.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir()) {
                    fs::remove_file(&folder)?;
                }
                private::create_folder(&folder)?;
            }
            self.folders.insert(parent.to_owned());
        }
        let target = self.artifacts.target.join(relative);
        match fs::remove_file(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(target),
        }
    }
}

fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Returns what identifies a file that has several names.
#[cfg(unix)]
fn inode_of_several(metadata: &fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn inode_of_several(_metadata: &fs::Metadata) -> Option<(u64, u64)> {
    None
}

#[cfg(unix)]
fn create_symlink(text: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(text, at)
}

/// Here, `follow_links` keeps no links.
#[cfg(not(unix))]
fn create_symlink(_text: &Path, _at: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn mode_of(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(metadata)
}

#[cfg(not(unix))]
fn mode_of(_metadata: &fs::Metadata) -> u32 {
    0o644
}

/// Other users cannot read it, as with the logs, and it never runs with the rights of another user.
#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode((mode & 0o700) | 0o600))
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

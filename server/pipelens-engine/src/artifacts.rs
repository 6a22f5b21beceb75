//! Copies a step's artifacts from the filesystem it left into a directory of their own, and never anywhere else. Knows nothing about engines.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use bytes::{Buf as _, Bytes};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::files::readable_size;
use crate::limits::{Full, Room};
use crate::private;
use crate::sparse::{self, Stopped};

/// The engine's archives contain holes as zeros, so a file that is mostly a hole takes long to read. A file that claims to be larger
/// than this many times the limit for all files is not read.
const MOST_HOLES: u64 = 10;

/// Which artifacts a step has, and where they go.
#[derive(Debug, Clone)]
pub(crate) struct Artifacts {
    globs: GlobSet,
    patterns: Vec<String>,
    /// Created for this step alone and written only by this module, so it contains no link that leads out.
    target: PathBuf,
    room: Room,
    /// The limit for all artifacts of the run together.
    limit_bytes: u64,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) files: u64,
    /// Not counting holes.
    pub(crate) bytes: u64,
    /// How many files did not fit.
    pub(crate) left_out: u64,
    /// The first file that did not fit, and why.
    pub(crate) first_left_out: Option<(PathBuf, Full)>,
}

impl Artifacts {
    pub(crate) fn new(patterns: &[String], target: PathBuf, room: Room, limit_bytes: u64) -> Result<Self, EngineError> {
        let glob = |pattern: &str| GlobBuilder::new(pattern).literal_separator(true).build();
        let mut globs = GlobSetBuilder::new();
        let patterns: Vec<String> = patterns.iter().map(|pattern| plain(pattern)).collect();
        for pattern in &patterns {
            let bad = |error: globset::Error| EngineError::Refused {
                doing: "look for the artifacts",
                reason: format!("`{pattern}` is not a valid pattern: {error}"),
            };
            globs.add(glob(pattern).map_err(bad)?);
            // A folder means everything in it.
            globs.add(glob(&format!("{pattern}/**")).map_err(bad)?);
        }
        let none =
            |error: globset::Error| EngineError::Refused { doing: "look for the artifacts", reason: error.to_string() };
        Ok(Self { globs: globs.build().map_err(none)?, patterns, target, room, limit_bytes })
    }

    /// Returns the directories, relative to the working directory, that contain everything the patterns can match; the empty path is the whole.
    pub(crate) fn places(&self) -> Vec<String> {
        let mut places: Vec<String> = self.patterns.iter().map(|pattern| literal_start(pattern)).collect();
        places.sort();
        places.dedup();
        // A directory inside another one is searched with it.
        let all = places.clone();
        places.retain(|place| !all.iter().any(|other| other != place && is_in(place, other)));
        places
    }

    /// Extracts matching files from an archive of `place`. Blocks on the disk.
    pub(crate) fn take_from_archive(&self, place: &str, archive: impl Read) -> io::Result<Taken> {
        let mut taken = Taken::default();
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries()? {
            let mut entry = entry?;
            // Links could lead anywhere, and devices are useless here.
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = entry.path()?.into_owned();
            // The archive's first directory is `place` itself, under the last part of its name.
            let inside: PathBuf = name.components().skip(1).collect();
            let relative =
                if inside.as_os_str().is_empty() { PathBuf::from(place) } else { Path::new(place).join(inside) };
            let mode = entry.header().mode().unwrap_or(0o644);
            if entry.size() > self.limit_bytes.saturating_mul(MOST_HOLES) {
                // The next entry of the archive comes only after all of this file's data.
                taken.leave_out(relative, Full::Limit(self.limit_bytes));
                return Ok(taken);
            }
            self.take(&relative, mode, &mut taken, |target, room| sparse::copy(&mut entry, target, room))?;
        }
        Ok(taken)
    }

    /// Copies matching files from a directory. Blocks on the disk.
    pub(crate) fn take_from_folder(&self, workdir: &Path) -> io::Result<Taken> {
        let mut taken = Taken::default();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(workdir.join(&folder))? {
                let entry = entry?;
                let relative = folder.join(entry.file_name());
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(relative);
                } else if kind.is_file() && self.globs.is_match(&relative) {
                    let mut file = fs::File::open(entry.path())?;
                    let mode = mode_of(&file.metadata()?);
                    self.take(&relative, mode, &mut taken, |target, room| sparse::copy_file(&mut file, target, room))?;
                }
            }
        }
        Ok(taken)
    }

    /// Returns a sentence about what was copied.
    pub(crate) fn summary(&self, step: &str, taken: &Taken) -> String {
        if taken.files == 0 && taken.left_out == 0 {
            return format!("No file of step `{step}` matches `{}`.", self.patterns.join("`, `"));
        }
        let files = counted_files(taken.files);
        let mut text =
            format!("Artifacts of `{step}`: {files}, {}, in `{}`.", readable_size(taken.bytes), self.target.display());
        if let Some((first, full)) = &taken.first_left_out {
            let why = match full {
                Full::Limit(limit) => format!("the artifacts of a run are limited to {}", readable_size(*limit)),
                Full::Disk => "the disk is almost full".to_owned(),
            };
            let (files, first) = (counted_files(taken.left_out), first.display());
            text.push_str(&format!(" Left out: {files}, starting with `{first}`, because {why}."));
        }
        text
    }

    fn take(
        &self,
        relative: &Path,
        mode: u32,
        taken: &mut Taken,
        copy: impl FnOnce(&mut fs::File, &mut dyn FnMut(u64) -> Result<(), Full>) -> Result<u64, Stopped<Full>>,
    ) -> io::Result<()> {
        let is_plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || !self.globs.is_match(relative) {
            return Ok(());
        }
        let target = self.target.join(relative);
        if let Some(parent) = target.parent() {
            private::create_folder(parent)?;
        }
        let mut room = |bytes| self.room.take(bytes, &self.target);
        let written = match copy(&mut private::create_file(&target)?, &mut room) {
            Ok(written) => written,
            Err(Stopped::Failed(error)) => return Err(error),
            Err(Stopped::NoRoom(full)) => {
                // A partial file could be mistaken for a complete one.
                fs::remove_file(&target)?;
                taken.leave_out(relative.to_owned(), full);
                return Ok(());
            }
        };
        set_mode(&target, mode)?;
        taken.files += 1;
        taken.bytes += written;
        Ok(())
    }
}

impl Taken {
    pub(crate) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.left_out += other.left_out;
        self.first_left_out = self.first_left_out.take().or(other.first_left_out);
    }

    fn leave_out(&mut self, file: PathBuf, full: Full) {
        self.left_out += 1;
        self.first_left_out.get_or_insert((file, full));
    }
}

fn counted_files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn plain(pattern: &str) -> String {
    let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
    if pattern.is_empty() || pattern == "." { "**".to_owned() } else { pattern.to_owned() }
}

/// Returns the part of a pattern before the first wildcard, as a path; a plain path is returned unchanged.
fn literal_start(pattern: &str) -> String {
    let parts: Vec<&str> = pattern.split('/').collect();
    let literal = parts.iter().take_while(|part| !part.contains(['*', '?', '[', ']', '{', '}', '\\'])).copied();
    literal.collect::<Vec<_>>().join("/")
}

fn is_in(place: &str, other: &str) -> bool {
    other.is_empty() || place.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
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

/// Reads an asynchronous stream on a thread that may block.
pub(crate) struct StreamedBytes {
    pub(crate) chunks: mpsc::Receiver<io::Result<Bytes>>,
    pub(crate) rest: Bytes,
}

impl Read for StreamedBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(0),
            }
        }
        let count = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifacts(patterns: &[&str], target: &Path) -> Artifacts {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        limited(&patterns, target, u64::MAX)
    }

    fn limited(patterns: &[String], target: &Path, limit: u64) -> Artifacts {
        Artifacts::new(patterns, target.to_owned(), Room::new(limit, 0), limit).unwrap()
    }

    #[test]
    fn only_directories_that_can_contain_a_match_are_searched() {
        let places = |patterns: &[&str]| artifacts(patterns, Path::new("/t")).places();
        assert_eq!(places(&["target/release/app", "dist/*.tgz", "dist/deep/x"]), ["dist", "target/release/app"]);
        assert_eq!(places(&["a/b", "*.log"]), [""]);
    }

    #[test]
    fn no_archive_can_write_outside_the_target() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |name: &str, kind: tar::EntryType, link: Option<&str>| {
            let mut header = tar::Header::new_gnu();
            // Written by hand, because the library refuses such names.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(kind);
            header.set_mode(0o4755);
            let content: &[u8] = if link.is_some() { b"" } else { b"content" };
            if let Some(link) = link {
                header.set_link_name(link).unwrap();
            }
            header.set_size(content.len() as u64);
            header.set_cksum();
            archive.append(&header, content).unwrap();
        };
        let file = tar::EntryType::Regular;
        add("out/good", file, None);
        add("out/../../climbed", file, None);
        add("/absolute", file, None);
        add("out/link", tar::EntryType::Symlink, Some(".."));
        add("out/link/through", file, None);
        add("out/hard", tar::EntryType::Link, Some("/etc/passwd"));
        let bytes = archive.into_inner().unwrap();
        let taken = artifacts(&["out"], &target).take_from_archive("out", bytes.as_slice()).unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["target"]);
        assert_eq!(fs::read_to_string(target.join("out/good")).unwrap(), "content");
        // Instead of the link there is an ordinary directory.
        assert!(target.join("out/link").symlink_metadata().unwrap().is_dir());
        assert!(!target.join("out/hard").exists());
        assert_eq!(taken.files, 3);
    }

    #[test]
    fn files_that_do_not_fit_are_left_out_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let (from, target) = (folder.path().join("from"), folder.path().join("target"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("large"), vec![1; 50_000]).unwrap();
        fs::write(from.join("small"), b"text").unwrap();
        let artifacts = limited(&["**".to_owned()], &target, 40_000);
        let taken = artifacts.take_from_folder(&from).unwrap();
        assert_eq!((taken.files, taken.left_out), (1, 1));
        assert!(!target.join("large").exists() && target.join("small").exists());
        let summary = artifacts.summary("a", &taken);
        assert!(
            summary.ends_with(
                "Left out: 1 file, starting with `large`, because the artifacts of a run are limited to 40.0 kB."
            ),
            "{summary}"
        );
        // The budget is shared by all steps of a run.
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1 << 40);
        header.set_cksum();
        archive.append_data(&mut header, "out/huge", io::empty()).ok();
        let bytes = archive.into_inner().unwrap();
        let taken = artifacts.take_from_archive("out", bytes.as_slice()).unwrap();
        assert_eq!(taken.first_left_out, Some(("out/huge".into(), Full::Limit(40_000))));
    }
}

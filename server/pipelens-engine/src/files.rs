//! Reads the files of a project. Anything other than a small regular file (a link that leaves the project, a pipe,
//! a device, a huge file) is refused at once, with a reason.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, FileType, OpenOptions};
use thiserror::Error;

/// Longer settings, ignore files and manifests are not read; real ones are a thousand times shorter.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A directory whose files are read without ever leaving it, whatever links it contains.
#[derive(Debug)]
pub struct ProjectFolder {
    folder: Dir,
}

/// Why a file of a project was not read. Used as the end of a sentence that names the file; never quotes its content.
#[derive(Debug, Error)]
pub enum Unreadable {
    #[error("No such file or directory")]
    Missing,
    #[error("it leads out of the project through a symbolic link")]
    LeavesProject,
    #[error("it is a symbolic link, not a regular file")]
    IsLink,
    #[error("it is {0}, not a regular file")]
    NotRegular(&'static str),
    #[error("it is longer than {}", readable_size(*max_bytes))]
    TooLong { max_bytes: u64 },
    #[error("it is not UTF-8")]
    NotText,
    #[error("{0}")]
    Io(io::Error),
}

impl ProjectFolder {
    /// Opens a folder that the user has chosen.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { folder: Dir::open_ambient_dir(path, ambient_authority())? })
    }

    /// Reads a file, named relative to the folder, of at most `max_bytes`.
    pub fn read(&self, path: &Path, max_bytes: u64) -> Result<Vec<u8>, Unreadable> {
        let file = self.open_file(path)?;
        if file.metadata().map_err(Unreadable::Io)?.len() > max_bytes {
            return Err(Unreadable::TooLong { max_bytes });
        }
        let mut bytes = Vec::new();
        // The file may have grown.
        file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(Unreadable::Io)?;
        if bytes.len() as u64 > max_bytes { Err(Unreadable::TooLong { max_bytes }) } else { Ok(bytes) }
    }

    /// Reads a file with rules for other files. It must not be a link, because the link's target may have been written for another purpose.
    pub fn read_unlinked(&self, path: &Path, max_bytes: u64) -> Result<Vec<u8>, Unreadable> {
        match self.folder.symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => Err(Unreadable::IsLink),
            Ok(_) => self.read(path, max_bytes),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// The same, as text.
    pub fn read_unlinked_text(&self, path: &Path, max_bytes: u64) -> Result<String, Unreadable> {
        text(self.read_unlinked(path, max_bytes)?)
    }

    /// Reads a file as text.
    pub fn read_text(&self, path: &Path, max_bytes: u64) -> Result<String, Unreadable> {
        text(self.read(path, max_bytes)?)
    }

    /// Reads the beginning of a file.
    pub fn read_head(&self, path: &Path, bytes: u64) -> Result<Vec<u8>, Unreadable> {
        let mut head = Vec::new();
        self.open_file(path)?.take(bytes).read_to_end(&mut head).map_err(Unreadable::Io)?;
        Ok(head)
    }

    /// Opens a regular file. Never waits: a pipe without a writer is refused, not opened.
    pub(crate) fn open_file(&self, path: &Path) -> Result<File, Unreadable> {
        let metadata = self.folder.metadata(path).map_err(unreadable)?;
        if let Some(kind) = other_than_file(metadata.file_type()) {
            return Err(Unreadable::NotRegular(kind));
        }
        let mut options = OpenOptions::new();
        options.read(true);
        without_waiting(&mut options);
        let file = self.folder.open_with(path, &options).map_err(unreadable)?;
        // It may have been replaced since.
        let metadata = file.metadata().map_err(Unreadable::Io)?;
        match other_than_file(metadata.file_type()) {
            Some(kind) => Err(Unreadable::NotRegular(kind)),
            None => Ok(file.into_std()),
        }
    }

    /// Returns the target of a link in the project, as it is stored in the link.
    pub(crate) fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.folder.read_link_contents(path)
    }

    /// Lists a directory: the name of each entry, and whether it is a directory itself, not a link to one. If there is none, the list is empty.
    pub(crate) fn list(&self, path: &Path) -> Result<Vec<(OsString, bool)>, Unreadable> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let entries = match self.folder.read_dir(path).map_err(unreadable) {
            Ok(entries) => entries,
            Err(Unreadable::Missing) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Unreadable::Io)?;
            names.push((entry.file_name(), entry.file_type().is_ok_and(|kind| kind.is_dir())));
        }
        // A directory lists its entries in any order.
        names.sort();
        Ok(names)
    }

    /// Whether the project has a directory at this path.
    pub fn has_folder(&self, path: &Path) -> bool {
        self.folder.metadata(path).is_ok_and(|metadata| metadata.is_dir())
    }

    /// Returns the length of a file; 0 if there is none.
    pub(crate) fn length(&self, path: &Path) -> u64 {
        self.folder.metadata(path).map_or(0, |metadata| metadata.len())
    }

    /// Whether the project has a regular file at this path.
    pub fn has_file(&self, path: &Path) -> bool {
        self.folder.metadata(path).is_ok_and(|metadata| metadata.is_file())
    }
}

impl From<Unreadable> for io::Error {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Io(error) => error,
            Unreadable::Missing => Self::new(io::ErrorKind::NotFound, error.to_string()),
            Unreadable::LeavesProject
            | Unreadable::IsLink
            | Unreadable::NotRegular(_)
            | Unreadable::TooLong { .. }
            | Unreadable::NotText => Self::other(error.to_string()),
        }
    }
}

fn text(bytes: Vec<u8>) -> Result<String, Unreadable> {
    String::from_utf8(bytes).map_err(|_| Unreadable::NotText)
}

fn unreadable(error: io::Error) -> Unreadable {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Unreadable::Missing,
        // Errors from the system have a number; those from `cap-std` have none.
        io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => Unreadable::LeavesProject,
        _ => Unreadable::Io(error),
    }
}

/// Returns a readable size: `3.1 MB`.
pub(crate) fn readable_size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if size < 1_000.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{size:.1} {unit}") };
        }
        size /= 1_000.0;
    }
    format!("{size:.1} TB")
}

#[cfg(unix)]
fn other_than_file(kind: FileType) -> Option<&'static str> {
    use cap_std::fs::FileTypeExt as _;
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a folder")
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

#[cfg(not(unix))]
fn other_than_file(kind: FileType) -> Option<&'static str> {
    match (kind.is_file(), kind.is_dir()) {
        (true, _) => None,
        (false, true) => Some("a folder"),
        (false, false) => Some("a device"),
    }
}

#[cfg(unix)]
fn without_waiting(options: &mut OpenOptions) {
    use cap_std::fs::OpenOptionsExt as _;
    use rustix::fs::OFlags;
    options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
}

#[cfg(not(unix))]
fn without_waiting(_options: &mut OpenOptions) {}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType as NodeType, Mode, mknodat};

    use super::*;

    #[test]
    fn only_a_small_regular_file_of_the_project_is_read() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("project");
        fs::create_dir_all(root.join("folder")).unwrap();
        fs::write(outer.path().join("secret"), "token").unwrap();
        fs::write(root.join("a"), "text").unwrap();
        fs::write(root.join("latin"), b"\xff").unwrap();
        File::create(root.join("huge")).unwrap().set_len(1 << 40).unwrap();
        mknodat(CWD, root.join("pipe"), NodeType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        for (link, target) in [
            ("inside", "a"),
            ("zero", "/dev/zero"),
            ("out", "../secret"),
            ("absolute", "/etc/passwd"),
            ("up", ".."),
            ("dangling", "gone"),
            ("loop", "loop"),
            ("to-pipe", "pipe"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let folder = ProjectFolder::open(&root).unwrap();
        let read = |path: &str| match folder.read_text(Path::new(path), 4) {
            Ok(text) => text,
            Err(error) => error.to_string(),
        };
        let out = "it leads out of the project through a symbolic link";
        for (path, expected) in [
            ("a", "text"),
            ("inside", "text"),
            ("latin", "it is not UTF-8"),
            ("huge", "it is longer than 4 bytes"),
            ("pipe", "it is a named pipe, not a regular file"),
            ("to-pipe", "it is a named pipe, not a regular file"),
            ("socket", "it is a socket, not a regular file"),
            ("folder", "it is a folder, not a regular file"),
            ("none", "No such file or directory"),
            ("a/b", "No such file or directory"),
            ("dangling", "No such file or directory"),
            ("zero", out),
            ("out", out),
            ("absolute", out),
            ("up/secret", out),
            ("../secret", out),
            ("/etc/passwd", out),
        ] {
            assert_eq!(read(path), expected, "{path}");
        }
        assert!(matches!(folder.read(Path::new("loop"), 4), Err(Unreadable::Io(_))));
        assert!(folder.has_folder(Path::new("folder")) && !folder.has_folder(Path::new("up")));
    }
}

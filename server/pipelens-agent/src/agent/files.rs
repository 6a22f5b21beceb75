//! What the client wants to know of the container: single files, and who the agent is.

use std::fs::{self, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::command::own_variables;
use super::requests::failure;
use crate::protocol::message::{Answer, Failure, FileKind, Identity, Stat};

/// The largest file that is read at once.
const SMALL_BYTES: u64 = 1024 * 1024;

/// Returns the path as it is meant: relative to the root.
pub(super) fn absolute(path: &[u8]) -> std::path::PathBuf {
    Path::new("/").join(std::ffi::OsStr::from_bytes(path))
}

/// Whether there is nothing at a path.
pub(super) fn is_absent(error: &io::Error) -> bool {
    let is_endless = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    is_endless || matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

pub(super) fn about(path: &Path, error: &io::Error) -> Failure {
    failure(format!("`{}` cannot be read: {error}", path.display()))
}

pub(super) fn stat(path: &[u8]) -> Result<Answer, Failure> {
    let path = absolute(path);
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(Answer::Absent),
        Err(error) => return Err(about(&path, &error)),
    };
    Ok(Answer::Stat(Stat {
        kind: kind_of(metadata.file_type()),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        size: metadata.size(),
        modified_seconds: metadata.mtime(),
        link_target: fs::read_link(&path).ok().map(|target| target.into_os_string().into_vec()),
        real_path: fs::canonicalize(&path).ok().map(|real| real.into_os_string().into_vec()),
    }))
}

fn kind_of(kind: FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Folder
    } else if kind.is_symlink() {
        FileKind::Symlink
    } else {
        FileKind::Other
    }
}

pub(super) fn read_small_file(path: &[u8]) -> Result<Answer, Failure> {
    let path = absolute(path);
    match read(&path) {
        Ok(content) => Ok(Answer::Content(content)),
        Err(error) if is_absent(&error) => Ok(Answer::Absent),
        Err(error) => Err(about(&path, &error)),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe in its place would keep the agent waiting.
    if !fs::metadata(path).as_ref().is_ok_and(Metadata::is_file) && path.exists() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut content = Vec::new();
    fs::File::open(path)?.take(SMALL_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > SMALL_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(content)
}

pub(super) fn identity() -> Identity {
    let uid = rustix::process::geteuid().as_raw();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = |name: std::ffi::OsString| name.into_string().ok();
    Identity {
        uid,
        gid: rustix::process::getegid().as_raw(),
        home: home_of(uid),
        architecture: match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
        .into(),
        variables: own_variables().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect(),
        now_seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
    }
}

fn home_of(uid: u32) -> String {
    let users = read(Path::new("/etc/passwd")).unwrap_or_default();
    let users = String::from_utf8_lossy(&users);
    let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let own = fields.find(|fields| fields.get(2).and_then(|text| text.parse().ok()) == Some(uid));
    own.and_then(|fields| fields.get(5).filter(|home| !home.is_empty()).map(|home| (*home).to_owned()))
        .unwrap_or_else(|| "/".into())
}

//! What is in the user's state directory besides what the engine counts: logs, artifacts, the database. Lists it, and removes it.

use std::fs;
use std::path::{Path, PathBuf};

use pipelens_engine::limits::size;
use pipelens_engine::run::STATE_LOCK;

use crate::present;

/// How the names of the database and of its companions begin, also of one that was set aside.
const DATABASE: &str = "pipelens.";
/// What the records in the database are about.
const RECORDED: [&str; 2] = ["cache-mounts", "host-snapshots"];

/// Something in the state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatePart {
    pub(crate) what: String,
    pub(crate) bytes: u64,
    paths: Vec<PathBuf>,
    /// Whether what is kept cannot be found without it.
    is_record: bool,
}

/// Returns what pipelens has put there.
pub(crate) fn parts(state_dir: &Path) -> Vec<StatePart> {
    let part = |what: String, paths: Vec<PathBuf>| {
        let bytes = paths.iter().map(|path| size(path)).sum();
        StatePart { what, bytes, paths, is_record: false }
    };
    let runs = state_dir.join("runs");
    let count = fs::read_dir(&runs).map_or(0, |entries| entries.flatten().count());
    let logs = part(format!("logs and artifacts of {}", present::plural(count, "run")), vec![runs]);
    let database = part("database of earlier runs".to_owned(), database(state_dir));
    let consents = part("your decisions about secrets".to_owned(), vec![state_dir.join("consents")]);
    let graphs = part("drawn graphs".to_owned(), vec![state_dir.join("graphs")]);
    let all = [logs, StatePart { is_record: true, ..database }, consents, graphs];
    all.into_iter().filter(|part| part.paths.iter().any(|path| path.exists())).collect()
}

/// Removes parts, and the directory itself if nothing is left in it. `keeps_records`: something that is kept can only be found by them. Returns how many
/// bytes were freed. The caller holds the directory.
pub(crate) fn remove(state_dir: &Path, keeps_records: bool) -> anyhow::Result<u64> {
    let mut freed = 0;
    for part in parts(state_dir).into_iter().filter(|part| !(keeps_records && part.is_record)) {
        part.paths.iter().try_for_each(|path| remove_one(path))?;
        freed += part.bytes;
    }
    if !keeps_records {
        RECORDED.iter().try_for_each(|name| remove_one(&state_dir.join(name)))?;
        // Last: a process that waits for the lock then creates a new one.
        remove_one(&state_dir.join(STATE_LOCK))?;
        // It stays if it contains files that are not ours.
        fs::remove_dir(state_dir).ok();
    }
    Ok(freed)
}

fn database(state_dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(state_dir) else { return Vec::new() };
    let is_ours = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(DATABASE)) && !path.is_dir()
    };
    entries.flatten().map(|entry| entry.path()).filter(is_ours).collect()
}

fn remove_one(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(anyhow::Error::new(error).context(format!("Cannot remove `{}`", path.display())))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

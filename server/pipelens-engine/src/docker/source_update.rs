//! Brings the sources in a snapshot up to date: sends what changed, and removes what no longer exists in the project. Knows no steps.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::archive::Packing;
use crate::docker::worker::Worker;
use crate::error::EngineError;
use crate::sources::Delta;
use crate::supervisor::{NEWLINE_VARIABLE, quoted};

/// Far below the limit for a program's arguments and environment.
const ARGUMENT_BYTES: usize = 64 * 1024;

/// The exit code of a line whose directory does not exist. No program it calls has this one.
const ABSENT: i64 = 113;

/// Which modification times the changed files get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dating {
    /// Those they have in the project.
    AsInProject,
    /// A time after everything in the snapshot: `make` and its kind ignore a change that is older than what they have built, and a file may
    /// have changed while its earlier content was being built, or been replaced by an older one.
    Now,
}

/// Applies a delta to the directory in which an earlier run placed the sources.
pub(super) async fn apply(
    worker: &mut Worker,
    delta: Delta,
    folder: &str,
    dating: Dating,
    is_compressed: bool,
) -> Result<(), EngineError> {
    let delta = match dating {
        // No step has run since.
        Dating::AsInProject => delta,
        Dating::Now => adapted(worker, delta, folder).await?,
    };
    for line in removals(folder, &delta) {
        let (code, said) = worker.run_own(line).await?;
        if code != 0 && code != ABSENT {
            let reason = said.lines().next().unwrap_or("the image may have no `rm`").to_owned();
            return Err(EngineError::Refused { doing: "remove files that no longer exist in the project", reason });
        }
    }
    if delta.changed.entries.is_empty() {
        return Ok(());
    }
    let container = &worker.container;
    let (user_id, group_id) = container.user_ids().await?;
    let target = container.resolve(folder).await?.for_sources(&delta.changed);
    let modified = match dating {
        Dating::AsInProject => None,
        Dating::Now => Some(container.time_after_its_files().await?.max(delta.newest_before.saturating_add(1))),
    };
    let modified = modified.map(|seconds| u64::try_from(seconds).unwrap_or(0));
    let packing = Packing { folder: target.name, user_id, group_id, is_compressed, modified };
    container.unpack(&target.parent, Arc::new(delta.changed), packing).await
}

/// Adapts a delta to what a step has done to the directories and files in it.
async fn adapted(worker: &mut Worker, delta: Delta, folder: &str) -> Result<Delta, EngineError> {
    let folders: Vec<PathBuf> = delta.folders().into_iter().collect();
    let is_folder = r#"[ -d "$pipelens_path" ] && [ ! -h "$pipelens_path" ]"#;
    // A link in the place of a directory leads elsewhere, so nothing is added or removed behind it.
    let missing = failing(worker, folder, &folders, is_folder).await?;
    let mut delta = delta.without_folders(&missing);
    let is_no_folder = r#"[ ! -d "$pipelens_path" ] || [ -h "$pipelens_path" ]"#;
    // A directory that a step has put in the place of a file stays.
    let replaced = failing(worker, folder, &delta.removed_files, is_no_folder).await?;
    delta.removed_files.retain(|path| !replaced.contains(path));
    Ok(delta)
}

/// Returns the paths that fail a test. The shell needs no program of the image for it.
async fn failing(
    worker: &mut Worker,
    folder: &str,
    paths: &[PathBuf],
    test: &str,
) -> Result<BTreeSet<PathBuf>, EngineError> {
    let mut failing = BTreeSet::new();
    for (first, list) in lists(paths) {
        let begin = format!("{}pipelens_i={first}; for pipelens_path in", enter(folder));
        let end = format!("; do {{ {test}; }} || echo $pipelens_i; pipelens_i=$((pipelens_i + 1)); done\n");
        let line = [begin.as_bytes(), &list, end.as_bytes()].concat();
        let (code, said) = worker.run_own(line.into()).await?;
        if code == ABSENT {
            return Ok(paths.iter().cloned().collect());
        }
        if code != 0 {
            let reason = said.lines().next().unwrap_or("the working directory cannot be entered").to_owned();
            return Err(EngineError::Refused { doing: "look up what is in the working directory", reason });
        }
        let numbers = said.lines().filter_map(|line| line.parse::<usize>().ok());
        failing.extend(numbers.filter_map(|number| paths.get(number)).cloned());
    }
    Ok(failing)
}

/// The beginning of a line that works in a directory, unless it does not exist.
fn enter(folder: &str) -> String {
    let folder = quoted(folder);
    format!("{NEWLINE_VARIABLE}[ -d {folder} ] || exit {ABSENT}; cd -P {folder} || exit 1; ")
}

/// An archive cannot remove anything, so the image's shell does it.
fn removals(folder: &str, delta: &Delta) -> Vec<Bytes> {
    // A directory stays if a step has created something in it.
    let kinds = [("rm -f --", "", &delta.removed_files), ("rmdir --", " 2>/dev/null || :", &delta.removed_folders)];
    let enter = enter(folder);
    kinds
        .into_iter()
        .flat_map(|(program, rest, paths)| {
            let lists = lists(paths);
            let enter = &enter;
            let line = move |(_, list): (usize, Vec<u8>)| {
                let parts = [enter.as_bytes(), program.as_bytes(), &list, rest.as_bytes(), b"\n"];
                Bytes::from(parts.concat())
            };
            lists.into_iter().map(line).collect::<Vec<_>>()
        })
        .collect()
}

/// Returns the paths as words for the shell, in lists of a limited size, each with the number of its first path.
fn lists(paths: &[PathBuf]) -> Vec<(usize, Vec<u8>)> {
    let mut lists = Vec::new();
    let (mut first, mut list) = (0, Vec::new());
    for (number, path) in paths.iter().enumerate() {
        list.push(b' ');
        list.extend(quoted_path(path));
        if list.len() > ARGUMENT_BYTES {
            lists.push((std::mem::replace(&mut first, number + 1), std::mem::take(&mut list)));
        }
    }
    if !list.is_empty() {
        lists.push((first, list));
    }
    lists
}

/// Quotes a path for the shell, on one line, whatever bytes it consists of.
fn quoted_path(path: &Path) -> Vec<u8> {
    let mut quoted_path = Vec::new();
    for part in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        quoted_path.extend(quoted(part.valid()).into_bytes());
        if !part.invalid().is_empty() {
            quoted_path.extend([b"'", part.invalid(), b"'"].concat());
        }
    }
    quoted_path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_any_name_can_be_removed() {
        let delta = Delta {
            removed_files: vec!["it's\nodd".into(), "-f".into()],
            removed_folders: vec!["a/b".into(), "a".into()],
            ..Delta::default()
        };
        let lines = removals("/work space", &delta);
        let text: Vec<&str> = lines.iter().map(|line| std::str::from_utf8(line).unwrap()).collect();
        assert!(
            text[0].ends_with("cd -P '/work space' || exit 1; rm -f -- 'it'\\''s'\"$pipelens_n\"'odd' '-f'\n"),
            "{}",
            text[0]
        );
        assert!(text[1].ends_with("rmdir -- 'a/b' 'a' 2>/dev/null || :\n"), "{}", text[1]);
    }

    #[test]
    fn a_long_list_is_split_into_several_calls() {
        let paths: Vec<PathBuf> = (0..20_000).map(|number| format!("folder/file-{number}").into()).collect();
        let lists = lists(&paths);
        assert!(lists.iter().all(|(_, list)| list.len() < 2 * ARGUMENT_BYTES));
        assert!(lists.len() > 1);
        let (first, list) = &lists[1];
        assert!(list.starts_with(format!(" 'folder/file-{first}' ").as_bytes()));
    }
}

//! Which secrets the user's projects may use. A pipeline can name any variable of the environment; the user is asked about each
//! name once per project, and the answer is kept in the state directory, out of the project's reach.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use pipelens_core::plan::Plan;
use pipelens_engine::files::{MAX_FILE_BYTES, ProjectFolder};
use serde::{Deserialize, Serialize};

/// A secret that a pipeline names and its project may not use yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) step: String,
}

/// What is remembered about a project.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Given {
    /// For people who look into the file.
    project: PathBuf,
    secrets: BTreeSet<String>,
}

/// Returns the secrets a project may use so far. An unreadable file grants none.
pub(crate) fn given(state_dir: &Path, project: &Path) -> BTreeSet<String> {
    let file = file_of(state_dir, project);
    let read = || {
        let folder = ProjectFolder::open(file.parent()?).ok()?;
        // Anything other than a regular file is not waited for, and not trusted.
        folder.read_unlinked(Path::new(file.file_name()?), MAX_FILE_BYTES).ok()
    };
    serde_json::from_slice::<Given>(&read().unwrap_or_default()).map(|given| given.secrets).unwrap_or_default()
}

/// Remembers that a project may use secrets.
pub(crate) fn give(state_dir: &Path, project: &Path, names: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    let mut secrets = given(state_dir, project);
    let before = secrets.len();
    secrets.extend(names);
    if secrets.len() == before {
        return Ok(());
    }
    let file = file_of(state_dir, project);
    let write = || -> anyhow::Result<()> {
        let folder = file.parent().unwrap_or(state_dir);
        pipelens_engine::private::create_folder(folder)?;
        // Readable only by the user, and replaced atomically, because another editor may be reading it.
        let mut text = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut text, &Given { project: project.to_owned(), secrets })?;
        text.flush()?;
        text.persist(&file)?;
        Ok(())
    };
    write().with_context(|| format!("Cannot remember the consent in `{}`", file.display()))
}

/// Returns each secret of a plan that is not among those allowed, with the first step that names it.
pub(crate) fn missing(plan: &Plan, is_allowed: impl Fn(&str) -> bool) -> Vec<Asked> {
    let mut asked: Vec<Asked> = Vec::new();
    for step in &plan.steps {
        for name in step.all_secrets() {
            if !is_allowed(name) && asked.iter().all(|asked| asked.name != name) {
                asked.push(Asked { name: name.to_owned(), step: step.key.clone() });
            }
        }
    }
    asked
}

/// Returns the secrets and their steps as part of a sentence.
pub(crate) fn listed(asked: &[Asked]) -> String {
    let each = asked.iter().map(|asked| format!("`{}` (step `{}`)", asked.name, asked.step));
    each.collect::<Vec<_>>().join(", ")
}

fn file_of(state_dir: &Path, project: &Path) -> PathBuf {
    let project = project.canonicalize().unwrap_or_else(|_| project.to_owned());
    state_dir.join("consents").join(pipelens_engine::cache::workspace_id(&project)).with_extension("json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consent_is_for_a_name_in_a_project() {
        let state = tempfile::tempdir().unwrap();
        let (mine, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        give(state.path(), mine.path(), ["TOKEN".to_owned()]).unwrap();
        give(state.path(), mine.path(), ["KEY".to_owned()]).unwrap();
        assert_eq!(given(state.path(), mine.path()).into_iter().collect::<Vec<_>>(), ["KEY", "TOKEN"]);
        assert!(given(state.path(), other.path()).is_empty());
        std::fs::write(file_of(state.path(), mine.path()), "not JSON").unwrap();
        assert!(given(state.path(), mine.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn an_invalid_consent_file_grants_nothing_and_is_replaced() {
        let (state, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let elsewhere = tempfile::tempdir().unwrap();
        let kept = || given(state.path(), project.path()).into_iter().collect::<Vec<_>>();
        give(state.path(), project.path(), ["TOKEN".to_owned()]).unwrap();
        let file = file_of(state.path(), project.path());
        std::fs::rename(&file, elsewhere.path().join("given")).unwrap();
        for target in [Path::new("/dev/zero"), &elsewhere.path().join("given")] {
            std::os::unix::fs::symlink(target, &file).unwrap();
            assert!(kept().is_empty(), "{}", target.display());
            std::fs::remove_file(&file).unwrap();
        }
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert!(kept().is_empty());
        give(state.path(), project.path(), ["KEY".to_owned()]).unwrap();
        assert_eq!(kept(), ["KEY"]);
    }
}

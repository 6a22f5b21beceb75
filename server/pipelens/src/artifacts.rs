//! The artifacts of a run on this machine: where the user wants them, and where they are.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use pipelens_core::plan::Plan;
use pipelens_engine::private;
use pipelens_engine::run::step_folder;

use crate::present;

/// The artifacts that a run's steps have left, by the step's index in the plan.
#[derive(Debug, Default)]
pub(crate) struct Artifacts(BTreeMap<usize, StepArtifacts>);

/// The artifacts of one step.
#[derive(Debug, Clone)]
pub(crate) struct StepArtifacts {
    pub(crate) folder: PathBuf,
    pub(crate) files: u64,
}

impl Artifacts {
    pub(crate) fn add(&mut self, step: usize, folder: &Path, files: u64) {
        self.0.insert(step, StepArtifacts { folder: folder.to_owned(), files });
    }

    pub(crate) fn of_step(&self, step: usize) -> Option<&StepArtifacts> {
        self.0.get(&step)
    }

    /// Returns where they all are: the folder of the only step that has some, or the one of all steps.
    pub(crate) fn folder(&self) -> Option<&Path> {
        let mut folders = self.0.values().map(|step| step.folder.as_path());
        let first = folders.next()?;
        Some(if folders.next().is_some() { first.parent().unwrap_or(first) } else { first })
    }

    /// Returns what the summary of a run says of them: `Artifacts: 3 files in /…`.
    pub(crate) fn sentence(&self) -> Option<String> {
        let files = self.0.values().map(|step| step.files).sum();
        Some(format!("Artifacts: {} in {}", count(files), self.folder()?.display()))
    }
}

/// Returns `1 file`, `3 files`.
pub(crate) fn count(files: u64) -> String {
    present::plural(usize::try_from(files).unwrap_or(usize::MAX), "file")
}

/// Creates the folder for artifacts if it does not exist, and returns its full path, or why nothing can be put there. `chosen_by` is what named
/// it.
pub(crate) fn usable_folder(folder: &Path, chosen_by: &str) -> Result<PathBuf, String> {
    let refused = |why: &str| refused(folder, why, chosen_by);
    if folder.metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(refused("it is not a folder"));
    }
    let failed = |error: io::Error| refused(&error.to_string());
    private::create_folder(folder).map_err(failed)?;
    let folder = folder.canonicalize().map_err(failed)?;
    // Whether it can be written to is best asked before the first step runs.
    let probe = probe(&folder);
    private::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).map_err(failed)?;
    Ok(folder)
}

/// The file that shows whether a folder can be written to.
pub(crate) fn probe(folder: &Path) -> PathBuf {
    folder.join(format!(".pipelens-{}", std::process::id()))
}

/// Returns the folder that the setting names for a plan's artifacts, like [`usable_folder`]. `None`: the plan has no artifacts.
pub(crate) fn folder_of_setting(setting: &Path, root: &Path, plan: &Plan) -> Result<Option<PathBuf>, String> {
    const CHOSEN_BY: &str = "the setting `pipelens.artifactsDir`";
    let mut steps = plan.steps.iter().filter(|step| !step.artifacts.is_empty()).peekable();
    if steps.peek().is_none() {
        return Ok(None);
    }
    if setting.is_absolute() {
        return usable_folder(setting, CHOSEN_BY).map(Some);
    }
    // The user means a folder of the project. The project could have links there that lead anywhere else.
    let refused = |why: &str| refused(setting, why, CHOSEN_BY);
    if setting.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(refused("a relative path is a folder inside the project"));
    }
    let mut folder = root.to_owned();
    for part in setting.components() {
        folder.push(part);
        if is_link(&folder) {
            return Err(refused(&format!("`{}` is a link", folder.display())));
        }
    }
    if let Some(link) = steps.map(|step| step_folder(&folder, &step.key)).find(|path| is_link(path)) {
        return Err(refused(&format!("`{}` is a link", link.display())));
    }
    usable_folder(&folder, CHOSEN_BY).map(Some)
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink())
}

fn refused(folder: &Path, why: &str, chosen_by: &str) -> String {
    format!("The artifacts cannot be put in `{}`: {why}. Choose another folder for {chosen_by}", folder.display())
}

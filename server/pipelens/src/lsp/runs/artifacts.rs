//! Finds the folder of artifacts to open.

use std::path::PathBuf;

use super::registry::Registry;
use super::run::Run;
use crate::lsp::protocol::commands::OpenArtifactsArgs;

/// Returns the folder that the arguments name, in the newest run that left such artifacts unless one is named. Looks at the disk.
pub(crate) fn folder(registry: &Registry, args: &OpenArtifactsArgs) -> Result<PathBuf, String> {
    let runs = registry.newest_first();
    let mut named = runs.iter().filter(|run| args.run_id.is_none_or(|id| run.id == id));
    let folder = named.find_map(|run| left_by(run, args.step.as_deref())).ok_or_else(|| match &args.step {
        Some(key) => format!("Step `{key}` has left no artifacts"),
        None => "No run has left artifacts".to_owned(),
    })?;
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(format!("The artifacts are no longer in `{}`; run the step again", folder.display()))
}

fn left_by(run: &Run, step: Option<&str>) -> Option<PathBuf> {
    match step {
        Some(key) => run.artifacts_of(key).map(|artifacts| artifacts.folder),
        None => run.artifacts(|artifacts| artifacts.folder().map(ToOwned::to_owned)),
    }
}

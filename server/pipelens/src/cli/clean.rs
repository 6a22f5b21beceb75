//! `pipelens clean`: removes the cached results of earlier runs.

use std::path::PathBuf;

use clap::Args;

use crate::{present, project};

#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// A file or directory of the project
    #[arg(default_value = ".")]
    project: PathBuf,
    /// Clean all projects
    #[arg(long, conflicts_with = "project")]
    all: bool,
}

/// Removes cached snapshots and prints how much space that freed.
pub(crate) async fn clean(args: CleanArgs) -> anyhow::Result<u8> {
    let state_dir = project::state_dir()?;
    let root = match args.all {
        true => None,
        false => Some(project::root_around(Some(&args.project))?),
    };
    let cleaned = pipelens_engine::run::clean(&state_dir, None, root.as_deref(), None).await;
    let freed = cleaned.map_err(|error| anyhow::Error::msg(error.sentence()))?;
    super::output::print(&format!("Removed {} of cached results.\n", present::bytes(freed)))
}

//! `pipelens clean`: removes the cached results of earlier runs.

use std::path::PathBuf;

use clap::Args;
use pipelens_core::printable::printable;
use pipelens_engine::run::{KeptKind, KeptThing};

use crate::{present, project};

#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// A file or directory of the project
    #[arg(default_value = ".")]
    project: PathBuf,
    /// Clean all projects
    #[arg(long, conflicts_with = "project")]
    all: bool,
    /// Only list what would be removed, with sizes
    #[arg(long)]
    dry_run: bool,
}

/// Removes cached snapshots and prints how much space that freed.
pub(crate) async fn clean(args: CleanArgs) -> anyhow::Result<u8> {
    let state_dir = project::state_dir()?;
    let root = match args.all {
        true => None,
        false => Some(project::root_around(Some(&args.project))?),
    };
    if args.dry_run {
        let kept = pipelens_engine::run::kept(&state_dir, None, root.as_deref()).await;
        let kept = kept.map_err(|error| anyhow::Error::msg(error.sentence()))?;
        return super::output::print(&listed(&kept));
    }
    let cleaned = pipelens_engine::run::clean(&state_dir, None, root.as_deref(), None).await;
    let freed = cleaned.map_err(|error| anyhow::Error::msg(error.sentence()))?;
    super::output::print(&format!("Removed {} of cached results.\n", present::bytes(freed)))
}

/// Returns a line for each thing, and one for all together.
fn listed(kept: &[KeptThing]) -> String {
    let mut text = String::new();
    for KeptThing { what, bytes } in kept {
        let what = match what {
            KeptKind::Result(step) => format!("result of `{}`", printable(step)),
            KeptKind::Sources => "image with the sources".to_owned(),
            KeptKind::Mount(name) => format!("cache mount `{}`", printable(name)),
        };
        text.push_str(&format!("{:>9}  {what}\n", present::bytes(*bytes)));
    }
    let all = kept.iter().map(|thing| thing.bytes).sum();
    text.push_str(&format!("Would remove {} of cached results and cache mounts.\n", present::bytes(all)));
    text
}

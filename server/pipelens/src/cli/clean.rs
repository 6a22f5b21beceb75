//! `pipelens clean`: removes what earlier runs have kept.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use pipelens_core::printable::printable;
use pipelens_engine::run::{Engines, KeptKind, KeptThing, hold_state};

use crate::settings::Settings;
use crate::state_folder::{self, StatePart};
use crate::{present, project};

#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// A file or directory of the project
    #[arg(default_value = ".")]
    project: PathBuf,
    /// Remove everything of all projects, also logs, artifacts, the history and your decisions about secrets
    #[arg(long, conflicts_with = "project")]
    all: bool,
    /// Only the results of this step, or of all combinations of its matrix
    #[arg(long, value_name = "KEY", conflicts_with = "all")]
    step: Option<String>,
    /// Only list what would be removed, with sizes
    #[arg(long)]
    dry_run: bool,
}

/// Removes what is kept and prints how much space that freed.
pub(crate) async fn clean(args: CleanArgs) -> anyhow::Result<u8> {
    let (state_dir, engines) = (project::state_dir()?, Settings::of_user()?.engines());
    let root = match args.all {
        true => None,
        false => Some(project::root_around(Some(&args.project))?),
    };
    if args.dry_run {
        let kept = pipelens_engine::run::kept(&state_dir, &engines, root.as_deref(), args.step.as_deref()).await;
        let kept = kept.map_err(|error| anyhow::Error::msg(error.sentence()))?;
        let parts = if args.all { state_folder::parts(&state_dir) } else { Vec::new() };
        return super::output::print(&listed(&kept, &parts));
    }
    if args.all {
        return clean_all(&state_dir, &engines).await;
    }
    let cleaned = pipelens_engine::run::clean(&state_dir, &engines, root.as_deref(), args.step.as_deref()).await;
    let freed = cleaned.map_err(|error| anyhow::Error::msg(error.sentence()))?;
    super::output::print(&format!("Removed {} of cached results.\n", present::bytes(freed)))
}

/// Removes everything of all projects, with the logs and the database.
async fn clean_all(state_dir: &Path, engines: &Engines) -> anyhow::Result<u8> {
    let cleaned = pipelens_engine::run::clean_all(state_dir, engines).await;
    let (mut freed, left) = cleaned.map_err(|error| anyhow::Error::msg(error.sentence()))?;
    let held = hold_state(state_dir).with_context(|| format!("`{}`", state_dir.display()))?;
    let mut stays = Vec::new();
    if !left.is_empty() {
        let names = left.iter().map(|thing| words(&thing.what));
        stays.push(format!(
            "These stay, because something uses them or their container engine does not answer: {}. `pipelens clean --all` removes them then.",
            names.collect::<Vec<_>>().join(", ")
        ));
    }
    match held {
        Some(_held) => freed += state_folder::remove(state_dir, !left.is_empty())?,
        None => {
            let parts = state_folder::parts(state_dir);
            let names: Vec<&str> = parts.iter().map(|part| part.what.as_str()).collect();
            stays.push(format!("Another pipelens process is running, so these stay: {}.", names.join(", ")));
        }
    }
    let stays: String = stays.iter().map(|sentence| format!("{sentence}\n")).collect();
    super::output::print(&format!("Removed {}.\n{stays}", present::bytes(freed)))
}

/// Returns a line for each thing, and one for all together.
fn listed(kept: &[KeptThing], parts: &[StatePart]) -> String {
    let mut text = String::new();
    let kept = kept.iter().map(|thing| (thing.bytes, words(&thing.what)));
    let parts = parts.iter().map(|part| (part.bytes, part.what.clone()));
    let what = if parts.len() > 0 { "" } else { " of cached results and cache mounts" };
    let mut all = 0;
    for (bytes, words) in kept.chain(parts) {
        all += bytes;
        text.push_str(&format!("{:>9}  {words}\n", present::bytes(bytes)));
    }
    text.push_str(&format!("Would remove {}{what}.\n", present::bytes(all)));
    text
}

fn words(what: &KeptKind) -> String {
    match what {
        KeptKind::Result(step) => format!("result of `{}`", printable(step)),
        KeptKind::Sources => "image with the sources".to_owned(),
        KeptKind::Mount(name) => format!("cache mount `{}`", printable(name)),
    }
}

//! `pipelens kept-shell`: what the command line calls that is shown for a failed step in a cluster. It is not for people to type.

use std::io::{self, IsTerminal as _};

use clap::Args;
use pipelens_engine::person::ShellStart;
use pipelens_engine::private;
use pipelens_engine::run::{KeptShell, RunRequest};
use pipelens_engine::runners;

use super::output::{EXIT_USAGE, complain};
use super::shell::open;
use crate::project;
use crate::settings::Settings;

#[derive(Debug, Args)]
pub(crate) struct KeptShellArgs {
    /// What to open, as pipelens has written it
    description: String,
}

/// Opens the shell, and returns its exit code.
pub(crate) async fn shell(args: KeptShellArgs) -> u8 {
    match prepare(&args.description) {
        Ok((request, place)) => open(request, 0, ShellStart::At(place)).await,
        Err(why) => {
            complain(&why);
            EXIT_USAGE
        }
    }
}

fn prepare(description: &str) -> Result<(RunRequest, String), String> {
    let kept = KeptShell::parse(description).map_err(|error| {
        format!("This is not a command line that pipelens has shown for a failed step, or not all of it: {error}")
    })?;
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err("The shell needs a terminal as its standard input and output".to_owned());
    }
    let failed = |error: anyhow::Error| format!("{error:#}");
    let settings = Settings::of_user().map_err(failed)?;
    let state_dir = project::state_dir().map_err(failed)?;
    let request = project::run_request(kept.plan(), state_dir, &settings, &settings.project);
    let request = request.map_err(|not_started| not_started.sentence())?;
    // What was kept is all that it needs: it gets the sources of an empty folder.
    let source_root = request.log_dir.join("sources");
    private::create_folder(&source_root).map_err(|error| format!("{}: {error}", source_root.display()))?;
    let runner = runners::find("kubernetes").unwrap_or(request.runner);
    let request = RunRequest { runner, cluster: Some(kept.cluster()), cache: None, source_root, ..request };
    Ok((request, kept.image))
}

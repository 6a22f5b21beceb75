//! `pipelens run`: runs what the arguments ask for.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use pipelens_core::diagnostic::{Diagnostic, Severity};
use pipelens_core::plan::{Plan, Refusal, Target, plan_with};
use pipelens_engine::event::RunOutcome;
use pipelens_engine::runners::{self, RUNNERS};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::checked::Checked;
use super::output::{EXIT_USAGE, Format, complain};
use super::printer::Printer;
use crate::settings::{RunSettings, Runner, Settings};
use crate::{artifacts, consent, present, project};

/// Events between the engine and the terminal. If a slow terminal lets them fill up, lines are dropped and counted; the log file has them.
const EVENT_QUEUE: usize = 4096;
/// Signals within this time are one.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The pipeline file
    pub(super) file: PathBuf,
    /// Run one step, and the `builds_in` ancestors it starts from
    #[arg(long, value_name = "KEY", conflicts_with = "from")]
    step: Option<String>,
    /// Run a step and everything that depends on it
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    /// Pipeline name or zero-based index, if the file has several
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// The runner for steps that do not name one
    #[arg(long, value_parser = runner_parser(), default_value = runners::default().name())]
    runner: Runner,
    /// Let steps that say `runner: host` run directly on this machine
    #[arg(long)]
    allow_host_runner: bool,
    /// Let steps have privileged containers and mount folders of the container engine's machine
    #[arg(long)]
    allow_machine_access: bool,
    /// Share cached results with the Harmont tools if a plan contains their cache key
    #[arg(long)]
    allow_harmont_cache: bool,
    /// Share the cache mounts with this name among all projects (can be repeated)
    #[arg(long, value_name = "NAME")]
    shared_cache_mount: Vec<String>,
    /// Size limit for the log files of the run, in MiB
    #[arg(long, value_name = "MIB", default_value_t = RunSettings::default().logs_mib)]
    logs_mib: u64,
    /// Size limit for the artifacts of the run, in MiB, not counting holes
    #[arg(long, value_name = "MIB", default_value_t = RunSettings::default().artifacts_mib)]
    artifacts_mib: u64,
    /// Put the artifacts of each step in a folder of its own in this folder, instead of the run's
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Ignore cached results
    #[arg(long)]
    no_cache: bool,
    /// How many steps run at once [default: the number of CPUs of the engine's machine plus two; on `host`, the number of CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallelism: Option<u16>,
    /// A file of `NAME=value` lines with secrets; the environment takes precedence
    #[arg(long, value_name = "FILE")]
    secrets_file: Option<PathBuf>,
    /// Let this project's steps use the secret with this name, now and in later runs [may be repeated]
    #[arg(long = "allow-secret", value_name = "NAME")]
    allow_secrets: Vec<String>,
    /// Print the output of steps unfiltered, including control sequences and commands for a CI system
    #[arg(long)]
    raw_log: bool,
    /// Output format; `json` prints one event per line
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(super) format: Format,
}

/// Reads the name of a runner; `--help` lists them all.
fn runner_parser() -> impl TypedValueParser<Value = Runner> {
    let names = RUNNERS.iter().map(|runner| PossibleValue::new(runner.name()).help(runner.doc()));
    PossibleValuesParser::new(names).try_map(Runner::try_from)
}

/// Runs what the arguments ask for, and returns the exit code.
pub(crate) async fn run(args: RunArgs) -> u8 {
    let file = match Checked::read(&args.file) {
        Ok(file) => file,
        Err(error) => {
            complain(&format!("{error:#}"));
            return EXIT_USAGE;
        }
    };
    let request = match plan(&args, &file).and_then(|plan| {
        let mut project = file.project.clone();
        project.parallelism = args.parallelism.map(usize::from).or(project.parallelism);
        remember_consent(&args, &file)?;
        let mut request = project::run_request(plan, file.root.clone(), &settings(&args), &project)
            .map_err(|not_started| not_started.sentence())?;
        if let Some(cache) = &mut request.cache {
            cache.is_read = !args.no_cache;
        }
        request.artifacts_dir = match &args.artifacts {
            Some(folder) => Some(artifacts::usable_folder(folder, "`--artifacts`")?),
            None => None,
        };
        Ok(request)
    }) {
        Ok(request) => request,
        Err(why) => {
            complain(&why);
            return EXIT_USAGE;
        }
    };
    let cancel = CancellationToken::new();
    let mut printer =
        Printer::new(args.format, args.raw_log, request.run_id, request.plan.clone(), request.log_dir.clone());
    let (events, mut incoming) = mpsc::channel(EVENT_QUEUE);
    let engine = tokio::spawn(pipelens_engine::run::run(request, events, cancel.clone()));
    let stops = tokio::spawn(watch_signals(cancel.clone()));
    while let Some(event) = incoming.recv().await {
        if printer.print(&event).is_err() {
            // The reader has closed its end, as `| head` does: start nothing more.
            cancel.cancel();
        }
    }
    let outcome = engine.await.unwrap_or_else(|error| {
        complain(&format!("The run ended because of a bug in pipelens: {error}"));
        RunOutcome::Failed
    });
    stops.abort();
    printer.finish();
    outcome.exit_code()
}

fn remember_consent(args: &RunArgs, file: &Checked) -> Result<(), String> {
    let give = || consent::give(&project::state_dir()?, &file.root, args.allow_secrets.iter().cloned());
    // If this fails, the run still gets its secrets, and the next one asks again.
    give().map_err(|error| format!("{error:#}"))
}

pub(super) fn settings(args: &RunArgs) -> Settings {
    Settings {
        runner: args.runner,
        allow_host_runner: args.allow_host_runner,
        allow_machine_access: args.allow_machine_access,
        allow_harmont_cache: args.allow_harmont_cache,
        shared_cache_mounts: args.shared_cache_mount.clone(),
        run: RunSettings { logs_mib: args.logs_mib, artifacts_mib: args.artifacts_mib, ..RunSettings::default() },
        secrets_file: args.secrets_file.clone(),
        is_secrets_file_for_this_run: true,
        allow_secrets: args.allow_secrets.clone(),
        ..Settings::default()
    }
}

/// Plans what the arguments ask for, or returns why that is not possible; errors in the file are printed with their source.
pub(super) fn plan(args: &RunArgs, file: &Checked) -> Result<Plan, String> {
    let target = match (&args.step, &args.from) {
        (Some(step), _) => Target::Step(step.clone()),
        (None, Some(step)) => Target::From(step.clone()),
        (None, None) => Target::Pipeline,
    };
    let index = file.choose(args.pipeline.as_deref())?;
    let stem = project::stem_of(&args.file);
    let severity = |finding: &Diagnostic| file.project.severity_of(finding);
    plan_with(&file.analysis, index, &target, &stem, severity).map_err(|refusal| match refusal {
        Refusal::HasErrors(_) | Refusal::IsRepaired | Refusal::NoSuchPipeline => {
            let mut findings = super::render::findings(file, Severity::Error);
            // A setting or a comment may have turned it off, but it leaves the plan without meaning.
            if let Refusal::HasErrors(error) = &refusal
                && !file.diagnostics.contains(error)
            {
                findings.push_str(&super::render::finding(file, error));
            }
            // If standard error is closed, there is no way to show them.
            drop(write!(anstream::stderr(), "{findings}"));
            present::refusal(&refusal, &args.file.display().to_string())
        }
        Refusal::NoSuchStep { .. } => present::refusal(&refusal, &args.file.display().to_string()),
    })
}

/// The first signal cancels the run and waits for the cleanup; a second one does not wait. `timeout`, npm and make pass on a signal that the
/// whole group has got already, so one that follows at once is the same one.
async fn watch_signals(cancel: CancellationToken) {
    crate::signals::terminated().await;
    complain("Cancelling… press Ctrl-C again to exit without cleanup");
    cancel.cancel();
    tokio::time::sleep(SAME_SIGNAL).await;
    let code = crate::signals::terminated().await;
    std::process::exit(code.into());
}

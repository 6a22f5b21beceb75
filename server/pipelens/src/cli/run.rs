//! `pipelens run`: runs what the arguments ask for.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use pipelens_core::diagnostic::{Diagnostic, Severity};
use pipelens_core::plan::{Plan, Refusal, Target, plan_with};
use pipelens_core::problems::Matchers;
use pipelens_core::shell;
use pipelens_engine::event::RunOutcome;
use pipelens_engine::run::RunRequest;
use pipelens_engine::runners::RUNNERS;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::checked::Checked;
use super::files;
use super::output::{EXIT_USAGE, RunFormat, complain};
use super::printer::Printer;
use super::problems::Problems;
use crate::record::Recorder;
use crate::settings::matchers::compiled;
use crate::settings::{ProjectSettings, Runner, Settings};
use crate::{artifacts, consent, present, project};

/// Events between the engine and the terminal. If a slow terminal lets them fill up, lines are dropped and counted; the log file has them.
pub(super) const EVENT_QUEUE: usize = 4096;
/// Signals within this time are one.
pub(super) const SAME_SIGNAL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The pipeline file [default: the only pipeline in this directory and below]
    pub(super) file: Option<PathBuf>,
    /// Run one step, and the `builds_in` ancestors it starts from [may be repeated]
    #[arg(long = "step", value_name = "KEY")]
    steps: Vec<String>,
    /// Run a step and everything that depends on it, besides the steps that `--step` names [may be repeated]
    #[arg(long, value_name = "KEY")]
    from: Vec<String>,
    #[command(flatten)]
    pub(super) options: RunOptions,
}

/// How to run.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Pipeline name or zero-based index, if the file has several
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// The runner for steps that do not name one [default: that of your settings, or `docker`]
    #[arg(long, value_parser = runner_parser())]
    runner: Option<Runner>,
    /// Let steps that say `runner: host` run directly on this machine
    #[arg(long)]
    allow_host_runner: bool,
    /// Let steps that say `runner: kubernetes` run in the cluster of your settings
    #[cfg(feature = "kubernetes")]
    #[arg(long)]
    allow_kubernetes_runner: bool,
    /// Let steps have privileged containers and mount folders of the container engine's machine
    #[arg(long)]
    allow_machine_access: bool,
    /// Share cached results with the Harmont tools if a plan contains their cache key
    #[arg(long)]
    allow_harmont_cache: bool,
    /// A repository in a registry through which machines share cached results, such as `registry.example.com/team/cache`
    #[arg(long, value_name = "REPOSITORY")]
    cache_registry: Option<String>,
    /// Pull results from the cache registry, but push none
    #[arg(long)]
    no_push: bool,
    /// Share the cache mounts with this name among all projects [may be repeated]
    #[arg(long = "shared-cache-mount", value_name = "NAME")]
    shared_cache_mounts: Vec<String>,
    /// Set a variable for all steps, over what the file says; without a value, it gets the one it has here [may be repeated]
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Size limit for the log files of the run, in MiB [default: 2048]
    #[arg(long, value_name = "MIB")]
    logs_mib: Option<u64>,
    /// Size limit for the artifacts of the run, in MiB, not counting holes [default: 20480]
    #[arg(long, value_name = "MIB")]
    artifacts_mib: Option<u64>,
    /// Put the artifacts of each step in a folder of its own in this folder, instead of the run's
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Ignore cached results
    #[arg(long)]
    pub(super) no_cache: bool,
    /// How many steps run at once [default: the number of CPUs of the engine's machine plus two; on `host`, the number of CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallelism: Option<u16>,
    /// A file of `NAME=value` lines with secrets, such as `.env`; the environment takes precedence
    #[arg(long, value_name = "FILE")]
    secrets_file: Option<PathBuf>,
    /// Let this project's steps use the secret with this name, now and in later runs [may be repeated]
    #[arg(long = "allow-secret", value_name = "NAME")]
    allow_secrets: Vec<String>,
    /// Print the output of steps unfiltered, including control sequences and commands for a CI system
    #[arg(long)]
    raw_log: bool,
    /// Output format; `json` prints one event per line, `github` and `sarif` report the problems that tools print
    #[arg(long, value_enum, default_value_t = RunFormat::Human)]
    pub(super) format: RunFormat,
}

/// Reads the name of a runner; `--help` lists them all.
fn runner_parser() -> impl TypedValueParser<Value = Runner> {
    let names = RUNNERS.iter().map(|runner| PossibleValue::new(runner.name()).help(runner.doc()));
    PossibleValuesParser::new(names).try_map(Runner::try_from)
}

/// Runs what the arguments ask for, and returns the exit code.
pub(super) async fn run(args: RunArgs) -> u8 {
    start(prepare(&args), &args.options).await
}

/// Runs a plan, unless it could not be made, and returns the exit code.
pub(super) async fn start(prepared: Result<Prepared, String>, options: &RunOptions) -> u8 {
    let (request, origin) = match prepared.and_then(|prepared| request(prepared, options)) {
        Ok(prepared) => prepared,
        Err(why) => {
            complain(&why);
            return EXIT_USAGE;
        }
    };
    let cancel = CancellationToken::new();
    let stops = tokio::spawn(watch_signals(cancel.clone()));
    let outcome = play(request, &origin, options, &cancel, &cancel).await;
    stops.abort();
    outcome.exit_code()
}

/// Runs a request and prints it. If the output is closed, `closed` is cancelled.
pub(super) async fn play(
    request: RunRequest,
    origin: &Origin,
    options: &RunOptions,
    cancel: &CancellationToken,
    closed: &CancellationToken,
) -> RunOutcome {
    let mut printer =
        Printer::new(options.format, options.raw_log, request.run_id, request.plan.clone(), request.log_dir.clone());
    let mut problems = match options.format {
        RunFormat::Human | RunFormat::Json => None,
        RunFormat::Github | RunFormat::Sarif => {
            Some(Problems::new(options.format, &request, matchers(&request, options)))
        }
    };
    let mut recorder = Recorder::begin(&request.log_dir, &origin.file, origin.pipeline, &origin.target, &request.plan);
    let (events, mut incoming) = mpsc::channel(EVENT_QUEUE);
    let engine = tokio::spawn(pipelens_engine::run::run(request, events, cancel.clone()));
    while let Some(event) = incoming.recv().await {
        recorder.see(&event);
        let seen = problems.as_mut().map_or(Ok(()), |problems| problems.see(&event));
        if printer.print(&event).is_err() || seen.is_err() {
            // The reader has closed its end, as `| head` does: start nothing more.
            closed.cancel();
        }
    }
    let outcome = engine.await.unwrap_or_else(|error| {
        complain(&format!("The run ended because of a bug in pipelens: {error}"));
        RunOutcome::Failed
    });
    printer.finish();
    if let Some(Err(error)) = problems.map(|problems| problems.finish()) {
        complain(&format!("Cannot print the problems: {error}"));
    }
    outcome
}

/// Returns the matchers of the project and the user, which were checked when they were read.
fn matchers(request: &RunRequest, options: &RunOptions) -> Matchers {
    let project = ProjectSettings::read(&request.source_root).unwrap_or_default();
    let user = settings(options).map(|settings| settings.project).unwrap_or_default();
    compiled(&project.overlaid(&user).problem_matchers).unwrap_or_default()
}

/// What a run or its prediction needs.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) origin: Origin,
    pub(super) root: PathBuf,
    pub(super) settings: Settings,
    /// The project's settings, overridden by the user's and the command line's.
    pub(super) project: ProjectSettings,
}

/// What a plan was made of.
pub(super) struct Origin {
    file: PathBuf,
    pipeline: usize,
    target: Target,
}

/// Prepares what the arguments ask for; errors in the file are printed with their source.
pub(super) fn prepare(args: &RunArgs) -> Result<Prepared, String> {
    prepare_target(args.file.as_deref(), &args.options, |_, _| {
        Ok(match (args.steps.as_slice(), args.from.as_slice()) {
            ([], []) => Target::Pipeline,
            ([], [step]) => Target::From(step.clone()),
            ([step], []) => Target::Step(step.clone()),
            (steps, from) => Target::Several { steps: steps.to_vec(), from: from.to_vec() },
        })
    })
}

/// Like `prepare`, for the target that is chosen once the file is read: of the pipeline with this index.
pub(super) fn prepare_target(
    file: Option<&Path>,
    options: &RunOptions,
    choose: impl FnOnce(&Checked, usize) -> Result<Target, String>,
) -> Result<Prepared, String> {
    let variables = variables(&options.env)?;
    let settings = settings(options)?;
    let file = files::only(file).and_then(|file| Checked::made(&file)).map_err(|error| format!("{error:#}"))?;
    let index = file.choose(options.pipeline.as_deref())?;
    let target = choose(&file, index)?;
    let mut plan = plan_target(&file, index, &target)?;
    if !variables.is_empty() {
        for step in &mut plan.steps {
            Arc::make_mut(&mut step.env).extend(variables.clone());
        }
    }
    let project = file.project.overlaid(&settings.project);
    let origin = Origin { file: file.path, pipeline: index, target };
    Ok(Prepared { plan, origin, root: file.root, settings, project })
}

pub(super) fn request(prepared: Prepared, options: &RunOptions) -> Result<(RunRequest, Origin), String> {
    let Prepared { plan, origin, root, settings, project } = prepared;
    // If this fails, the run still gets its secrets, and the next one asks again.
    let give = || consent::give(&project::state_dir()?, &root, options.allow_secrets.iter().cloned());
    give().map_err(|error| format!("{error:#}"))?;
    let mut request =
        project::run_request(plan, root, &settings, &project).map_err(|not_started| not_started.sentence())?;
    if let Some(cache) = &mut request.cache {
        cache.is_read = !options.no_cache;
    }
    if let Some(folder) = &options.artifacts {
        request.artifacts_dir = Some(artifacts::usable_folder(folder, "`--artifacts`")?);
    }
    Ok((request, origin))
}

/// Returns the user's settings, overridden by the arguments.
pub(super) fn settings(options: &RunOptions) -> Result<Settings, String> {
    let mut settings = Settings::of_user().map_err(|error| format!("{error:#}"))?;
    settings.runner = options.runner.unwrap_or(settings.runner);
    settings.allow_host_runner |= options.allow_host_runner;
    #[cfg(feature = "kubernetes")]
    {
        settings.allow_kubernetes_runner |= options.allow_kubernetes_runner;
    }
    settings.allow_machine_access |= options.allow_machine_access;
    settings.allow_harmont_cache |= options.allow_harmont_cache;
    settings.cache_registry = options.cache_registry.clone().or(settings.cache_registry);
    settings.push_to_cache_registry &= !options.no_push;
    settings.shared_cache_mounts.extend(options.shared_cache_mounts.iter().cloned());
    settings.run.logs_mib = options.logs_mib.unwrap_or(settings.run.logs_mib);
    settings.run.artifacts_mib = options.artifacts_mib.unwrap_or(settings.run.artifacts_mib);
    settings.project.parallelism = options.parallelism.map(usize::from).or(settings.project.parallelism);
    settings.allow_secrets.extend(options.allow_secrets.iter().cloned());
    // A file in the settings is for every project; one on the command line is meant for this run.
    settings.is_secrets_file_for_this_run = options.secrets_file.is_some();
    settings.secrets_file = options.secrets_file.clone().or(settings.secrets_file);
    if options.artifacts.is_some() {
        settings.artifacts_dir = None;
    }
    Ok(settings)
}

/// Plans a target of one of the file's pipelines.
pub(super) fn plan_target(file: &Checked, index: usize, target: &Target) -> Result<Plan, String> {
    let stem = project::stem_of(&file.path);
    let severity = |finding: &Diagnostic| file.project.severity_of(finding);
    plan_with(&file.analysis, index, target, &stem, severity).map_err(|refusal| match refusal {
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
            present::refusal(&refusal, &file.path.display().to_string())
        }
        Refusal::NoSuchStep { .. } => present::refusal(&refusal, &file.path.display().to_string()),
    })
}

/// Reads `NAME=VALUE`; `NAME` alone takes the value it has here.
fn variables(words: &[String]) -> Result<BTreeMap<String, String>, String> {
    let read = |word: &String| {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        if !shell::is_name(name) {
            return Err(format!(
                "`--env {word}`: `{name}` is not the name of a variable: letters, digits and `_`, no digit at the start"
            ));
        }
        let value = value.or_else(|| std::env::var(name).ok());
        let value = value.ok_or_else(|| {
            format!("`--env {name}`: the variable has no value here; give it one with `{name}=VALUE`")
        })?;
        Ok((name.to_owned(), value))
    };
    words.iter().map(read).collect()
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

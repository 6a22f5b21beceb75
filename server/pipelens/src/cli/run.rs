//! `pipelens run`: runs a plan, prints the output of its steps as it comes, and a table of the outcomes at the end.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use owo_colors::{AnsiColors, OwoColorize};
use pipelens_core::diagnostic::{Diagnostic, Severity};
use pipelens_core::plan::{Plan, Refusal, Target, plan_with};
use pipelens_engine::event::{BuildEvent, LogLine, Outcome, RunOutcome, StdStream};
use pipelens_engine::private;
use pipelens_engine::run::log_file;
use pipelens_engine::runners::{self, RUNNERS};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::checked::Checked;
use super::output::{EXIT_USAGE, Format, complain};
use super::replay::Replay;
use crate::settings::{RunSettings, Runner, Settings};
use crate::{consent, present, project, terminal, wire};

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
        request.artifacts_dir = args.artifacts.as_deref().map(usable_artifacts_dir).transpose()?;
        Ok(request)
    }) {
        Ok(request) => request,
        Err(why) => {
            complain(&why);
            return EXIT_USAGE;
        }
    };
    let cancel = CancellationToken::new();
    let mut printer = Printer::new(&args, request.run_id, request.plan.clone(), request.log_dir.clone());
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

/// Creates the folder for artifacts if it does not exist, and returns its full path, or why nothing can be put there.
fn usable_artifacts_dir(folder: &Path) -> Result<PathBuf, String> {
    let refused = |why: &str| {
        format!("The artifacts cannot be put in `{}`: {why}. Choose another folder for `--artifacts`", folder.display())
    };
    if folder.metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(refused("it is not a folder"));
    }
    let failed = |error: io::Error| refused(&error.to_string());
    private::create_folder(folder).map_err(failed)?;
    let folder = folder.canonicalize().map_err(failed)?;
    // Whether it can be written to is best asked before the first step runs.
    let probe = folder.join(format!(".pipelens-{}", std::process::id()));
    private::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).map_err(failed)?;
    Ok(folder)
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

/// Prints a run.
enum Printer {
    Human(Box<Human>),
    Json(Json),
}

impl Printer {
    fn new(args: &RunArgs, run_id: uuid::Uuid, plan: Plan, log_dir: PathBuf) -> Self {
        match args.format {
            Format::Human => Self::Human(Box::new(Human::new(plan, log_dir, args.raw_log))),
            Format::Json => Self::Json(Json { run_id, plan, log_dir, is_raw: args.raw_log, replays: BTreeMap::new() }),
        }
    }

    fn print(&mut self, event: &BuildEvent) -> io::Result<()> {
        match self {
            Self::Human(human) => human.print(event),
            Self::Json(json) => json.print(event),
        }
    }

    fn finish(&self) {
        match self {
            Self::Human(human) => human.progress.finish_and_clear(),
            Self::Json(_) => {}
        }
    }
}

/// One event a line, as `wire` defines it.
struct Json {
    run_id: uuid::Uuid,
    plan: Plan,
    log_dir: PathBuf,
    is_raw: bool,
    replays: BTreeMap<usize, Replay>,
}

impl Json {
    fn print(&mut self, event: &BuildEvent) -> io::Result<()> {
        match event {
            BuildEvent::StepLog { step, lines } => {
                self.replays.entry(*step).or_default().printed(lines.len() as u64);
                self.print_event(event)
            }
            BuildEvent::StepLogSkipped { step, lines } if !io::stdout().is_terminal() => {
                self.print_skipped(*step, *lines)
            }
            _ => self.print_event(event),
        }
    }

    /// Prints lines that did not reach us in time, from the log file, which does not tell the two streams apart.
    fn print_skipped(&mut self, step: usize, lines: u64) -> io::Result<()> {
        let key = self.plan.steps.get(step).map_or("?", |step| step.key.as_str());
        let path = log_file(&self.log_dir, key);
        let mut replay = self.replays.remove(&step).unwrap_or_default();
        let mut read = replay.read(&path, lines);
        while let Some(lines) = read.next_lines() {
            let time = pipelens_engine::clock::now();
            let line = |text: String| LogLine { stream: StdStream::Stdout, time, text: text.into() };
            self.print_event(&BuildEvent::StepLog { step, lines: lines.into_iter().map(line).collect() })?;
        }
        let missing = read.missing();
        self.replays.insert(step, replay);
        if missing > 0 { self.print_event(&BuildEvent::StepLogSkipped { step, lines: missing }) } else { Ok(()) }
    }

    fn print_event(&self, event: &BuildEvent) -> io::Result<()> {
        let kind = wire::RunEventKind::new(event, &self.plan, &self.plan.name, &self.log_dir);
        let event = wire::RunEvent { version: wire::VERSION, run_id: self.run_id, uri: None, kind };
        let line = serde_json::to_string(&event)?;
        let line = if self.is_raw { line.into() } else { terminal::inert_json(&line) };
        let mut output = io::stdout().lock();
        output.write_all(line.as_bytes())?;
        output.write_all(b"\n")?;
        output.flush()
    }
}

/// Prefixed lines, a progress line on a terminal, and a table at the end.
struct Human {
    plan: Plan,
    log_dir: PathBuf,
    /// Whether lines of steps are printed unfiltered.
    is_raw: bool,
    width: usize,
    progress: ProgressBar,
    running: BTreeMap<usize, Instant>,
    done: BTreeMap<usize, (Outcome, Duration)>,
    replays: BTreeMap<usize, Replay>,
    /// The folder of each step's artifacts, and how many files are in it.
    artifacts: BTreeMap<usize, (PathBuf, u64)>,
}

const COLORS: [AnsiColors; 6] = [
    AnsiColors::Cyan,
    AnsiColors::Magenta,
    AnsiColors::Blue,
    AnsiColors::Yellow,
    AnsiColors::Green,
    AnsiColors::BrightCyan,
];
/// Longer keys are printed in full, but do not widen the column.
const MAX_PREFIX_WIDTH: usize = 24;

impl Human {
    fn new(plan: Plan, log_dir: PathBuf, is_raw: bool) -> Self {
        let width = plan.steps.iter().map(|step| step.key.chars().count()).max().unwrap_or(0).min(MAX_PREFIX_WIDTH);
        let target = if io::stdout().is_terminal() && io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let progress = ProgressBar::with_draw_target(Some(plan.steps.len() as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {wide_msg} {elapsed_precise}") {
            progress.set_style(style);
        }
        progress.enable_steady_tick(Duration::from_millis(250));
        Self {
            plan,
            log_dir,
            is_raw,
            width,
            progress,
            running: BTreeMap::new(),
            done: BTreeMap::new(),
            replays: BTreeMap::new(),
            artifacts: BTreeMap::new(),
        }
    }

    fn print(&mut self, event: &BuildEvent) -> io::Result<()> {
        let text = match event {
            BuildEvent::BuildStart { runner, step_count, .. } => {
                format!("{} · {} on {runner}\n", self.plan.name.bold(), present::plural(*step_count, "step"))
            }
            BuildEvent::Notice { message } => format!("{message}\n"),
            BuildEvent::StepStart { step, runner, image, attempt, .. } => {
                self.running.insert(*step, Instant::now());
                let started = present::started(runner, image.as_deref(), *attempt);
                self.line(*step, &started.dimmed().to_string())
            }
            BuildEvent::StepLog { step, lines } => {
                self.replays.entry(*step).or_default().printed(lines.len() as u64);
                self.lines(*step, lines)
            }
            BuildEvent::StepLogSkipped { step, lines } if io::stdout().is_terminal() => self.skipped(*step, *lines),
            BuildEvent::StepLogSkipped { step, lines } => return self.print_skipped(*step, *lines),
            BuildEvent::ImageResolved { step, image, digest } => {
                self.line(*step, &present::image(image, digest).dimmed().to_string())
            }
            BuildEvent::StepKept { step, shell } => self.line(*step, &present::shell(shell)),
            BuildEvent::StepEnd { step, outcome, duration, .. } => {
                self.running.remove(step);
                self.done.insert(*step, (outcome.clone(), *duration));
                self.progress.set_position(self.done.len() as u64);
                let why = match outcome {
                    Outcome::Skipped(why) | Outcome::Errored(why) => format!(": {why}"),
                    Outcome::Succeeded
                    | Outcome::Cached
                    | Outcome::Failed(_)
                    | Outcome::TimedOut
                    | Outcome::Cancelled => String::new(),
                };
                self.line(*step, &format!("{}{why}", colored(outcome, &present::step_outcome(outcome, *duration))))
            }
            BuildEvent::BuildEnd { outcome, duration } => self.table(*outcome, *duration),
            BuildEvent::StepPhase { step, phase } => {
                self.progress.set_message(format!("{} · {}", self.key(*step), wire::phase_text(phase)));
                return Ok(());
            }
            BuildEvent::StepArtifacts { step, folder, files, .. } => {
                self.artifacts.insert(*step, (folder.clone(), *files));
                return Ok(());
            }
            BuildEvent::StepQueued { .. } | BuildEvent::StepCacheHit { .. } => return Ok(()),
        };
        self.show_running();
        let is_log = matches!(event, BuildEvent::StepLog { .. });
        if is_log { self.write(&text) } else { self.write(&terminal::inert(&terminal::visible(&text))) }
    }

    fn skipped(&self, step: usize, lines: u64) -> String {
        let file = log_file(&self.log_dir, self.key(step));
        self.line(step, &format!("… {} more lines in {}", present::count(lines), file.display()))
    }

    /// Prints lines that did not reach us in time, from the log file: what goes to a file or a pipe is complete.
    fn print_skipped(&mut self, step: usize, lines: u64) -> io::Result<()> {
        let path = log_file(&self.log_dir, self.key(step));
        let mut read = self.replays.entry(step).or_default().read(&path, lines);
        while let Some(lines) = read.next_lines() {
            let shown = |line: &String| match self.is_raw {
                true => line_of(&self.plan, self.width, step, line),
                false => line_of(&self.plan, self.width, step, &terminal::styled(line)),
            };
            let text: String = lines.iter().map(shown).collect();
            write(&self.progress, &text)?;
        }
        let missing = read.missing();
        if missing > 0 { self.write(&self.skipped(step, missing)) } else { Ok(()) }
    }

    fn lines(&self, step: usize, lines: &[LogLine]) -> String {
        let shown = |line: &LogLine| {
            if self.is_raw { self.line(step, &line.text) } else { self.line(step, &terminal::styled(&line.text)) }
        };
        lines.iter().map(shown).collect()
    }

    fn line(&self, step: usize, text: &str) -> String {
        line_of(&self.plan, self.width, step, text)
    }

    fn show_running(&self) {
        let keys: Vec<&str> = self.running.keys().map(|step| self.key(*step)).collect();
        self.progress.set_message(keys.join(", "));
    }

    fn table(&self, outcome: RunOutcome, took: Duration) -> String {
        let mut text = String::from("\n");
        let steps: Vec<&str> = self.plan.steps.iter().map(|step| step.key.as_str()).collect();
        let width = steps.iter().map(|key| key.chars().count()).max().unwrap_or(0);
        for (index, key) in steps.iter().enumerate() {
            let padding = " ".repeat(width - key.chars().count());
            let row = match self.done.get(&index) {
                Some((outcome, took)) => self.row(index, outcome, *took),
                None => "never started".to_owned(),
            };
            text.push_str(&format!("  {key}{padding}  {row}\n"));
        }
        text.push_str(&format!(
            "{} {}\n",
            self.plan.name.bold(),
            run_colored(outcome, &present::run_outcome(outcome, took))
        ));
        text.push_str(&self.artifacts_line());
        match outcome {
            RunOutcome::EngineUnreachable => text.push_str(&format!("{}\n", present::WITHOUT_ENGINE)),
            RunOutcome::Succeeded | RunOutcome::Failed | RunOutcome::Cancelled | RunOutcome::TimedOut => {}
        }
        text
    }

    /// Returns where the artifacts of the run are: the folder of its only step that has some, or the one of all steps.
    fn artifacts_line(&self) -> String {
        let mut folders = self.artifacts.values().map(|(folder, _)| folder.as_path());
        let folder = match (folders.next(), folders.next()) {
            (None, _) => return String::new(),
            (Some(folder), None) => folder,
            (Some(folder), Some(_)) => folder.parent().unwrap_or(folder),
        };
        let files: u64 = self.artifacts.values().map(|(_, files)| files).sum();
        let files = present::plural(usize::try_from(files).unwrap_or(usize::MAX), "file");
        format!("Artifacts: {files} in {}\n", folder.display())
    }

    fn row(&self, step: usize, outcome: &Outcome, took: Duration) -> String {
        let what = colored(outcome, &present::step_outcome(outcome, took));
        match outcome {
            Outcome::Failed(_) | Outcome::TimedOut => {
                let file = log_file(&self.log_dir, self.key(step));
                format!("{what} after {}, log in {}", present::duration(took), file.display())
            }
            Outcome::Skipped(why) | Outcome::Errored(why) => format!("{what}: {why}"),
            Outcome::Succeeded | Outcome::Cached | Outcome::Cancelled => what,
        }
    }

    fn key(&self, step: usize) -> &str {
        self.plan.steps.get(step).map_or("?", |step| step.key.as_str())
    }

    fn write(&self, text: &str) -> io::Result<()> {
        write(&self.progress, text)
    }
}

/// Returns lines of a step with its name in front of each.
fn line_of(plan: &Plan, width: usize, step: usize, text: &str) -> String {
    let key = plan.steps.get(step).map_or("?", |step| step.key.as_str());
    let color = COLORS.get(step % COLORS.len()).copied().unwrap_or(AnsiColors::Cyan);
    let padding = " ".repeat(width.saturating_sub(key.chars().count()));
    let prefix = format!("{}{padding} ", format!("[{key}]").color(color));
    // Every line of a multi-line message gets a prefix, so that none begins with text from a file or a step.
    text.split('\n').map(|line| format!("{prefix}{line}\n")).collect()
}

/// Writes past the progress line. `anstream` takes the colours out where no terminal shows them.
fn write(progress: &ProgressBar, text: &str) -> io::Result<()> {
    progress.suspend(|| {
        let mut output = anstream::stdout().lock();
        output.write_all(text.as_bytes())?;
        output.flush()
    })
}

fn colored(outcome: &Outcome, text: &str) -> String {
    match outcome {
        Outcome::Succeeded | Outcome::Cached => text.green().to_string(),
        Outcome::Failed(_) | Outcome::TimedOut | Outcome::Errored(_) => text.red().to_string(),
        Outcome::Cancelled | Outcome::Skipped(_) => text.yellow().to_string(),
    }
}

fn run_colored(outcome: RunOutcome, text: &str) -> String {
    match outcome {
        RunOutcome::Succeeded => text.green().to_string(),
        RunOutcome::Failed | RunOutcome::TimedOut | RunOutcome::EngineUnreachable => text.red().to_string(),
        RunOutcome::Cancelled => text.yellow().to_string(),
    }
}

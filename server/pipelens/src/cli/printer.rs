//! What `pipelens run` prints of a run: prefixed lines and a table, or one JSON event per line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use owo_colors::{AnsiColors, OwoColorize};
use pipelens_core::arguments::services;
use pipelens_core::plan::{Plan, PlanStep};
use pipelens_engine::event::{BuildEvent, LogLine, Outcome, Phase, RunOutcome, StdStream};
use pipelens_engine::run::{NO_ENGINE, log_file, shell_word};

use super::output::RunFormat;
use super::replay::Replay;
use crate::artifacts::Artifacts;
use crate::settings::Settings;
use crate::{present, terminal, wire};

/// Prints a run.
pub(super) enum Printer {
    Human(Box<Human>),
    Json(Json),
}

impl Printer {
    /// `is_raw`: lines of steps are printed unfiltered.
    pub(super) fn new(format: RunFormat, is_raw: bool, run_id: uuid::Uuid, plan: Plan, log_dir: PathBuf) -> Self {
        match format {
            RunFormat::Human | RunFormat::Github => Self::Human(Box::new(Human::new(plan, log_dir, is_raw, false))),
            RunFormat::Sarif => Self::Human(Box::new(Human::new(plan, log_dir, is_raw, true))),
            RunFormat::Json => Self::Json(Json { run_id, plan, log_dir, is_raw, replays: BTreeMap::new() }),
        }
    }

    pub(super) fn print(&mut self, event: &BuildEvent) -> io::Result<()> {
        match self {
            Self::Human(human) => human.print(event),
            Self::Json(json) => json.print(event),
        }
    }

    pub(super) fn finish(&self) {
        match self {
            Self::Human(human) => human.progress.finish_and_clear(),
            Self::Json(_) => {}
        }
    }
}

/// One event a line, as `wire` defines it.
pub(super) struct Json {
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
        let missing = replay.each(&path, lines, |lines| {
            let time = pipelens_engine::clock::now();
            let line = |text: String| LogLine { stream: StdStream::Stdout, time, text: text.into() };
            self.print_event(&BuildEvent::StepLog { step, lines: lines.into_iter().map(line).collect() })
        })?;
        self.replays.insert(step, replay);
        if missing > 0 { self.print_event(&BuildEvent::StepLogSkipped { step, lines: missing }) } else { Ok(()) }
    }

    fn print_event(&self, event: &BuildEvent) -> io::Result<()> {
        let convert = if self.is_raw { wire::RunEventKind::unfiltered } else { wire::RunEventKind::new };
        let kind = convert(event, &self.plan, &self.plan.name, &self.log_dir);
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
pub(super) struct Human {
    plan: Plan,
    log_dir: PathBuf,
    /// Whether lines of steps are printed unfiltered.
    is_raw: bool,
    /// Whether standard output is for something else.
    to_stderr: bool,
    width: usize,
    progress: ProgressBar,
    running: BTreeMap<usize, Instant>,
    done: BTreeMap<usize, (Outcome, Duration)>,
    replays: BTreeMap<usize, Replay>,
    artifacts: Artifacts,
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
    fn new(plan: Plan, log_dir: PathBuf, is_raw: bool, to_stderr: bool) -> Self {
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
            to_stderr,
            width,
            progress,
            running: BTreeMap::new(),
            done: BTreeMap::new(),
            replays: BTreeMap::new(),
            artifacts: Artifacts::default(),
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
            BuildEvent::StepKept { step, shell } => self.line(*step, &self.shell(*step, shell)),
            // The sentence with all places that were tried has said it already.
            BuildEvent::StepEnd { outcome: Outcome::Skipped(why), .. } if why == NO_ENGINE => return Ok(()),
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
            BuildEvent::BuildEnd { outcome, duration } => self.end(*outcome, *duration),
            BuildEvent::StepPhase { phase: Phase::Running, .. } => {
                self.show_running();
                return Ok(());
            }
            BuildEvent::StepPhase { step, phase } => {
                self.progress.set_message(format!("{} · {}", self.key(*step), wire::phase_text(phase)));
                return Ok(());
            }
            BuildEvent::StepArtifacts { step, folder, files, .. } => {
                self.artifacts.add(*step, folder, *files);
                return Ok(());
            }
            BuildEvent::StepQueued { .. } | BuildEvent::StepCacheHit { .. } => return Ok(()),
        };
        self.show_running();
        let is_log = matches!(event, BuildEvent::StepLog { .. });
        if is_log { self.write(&text) } else { self.write(&terminal::inert(&terminal::visible(&text))) }
    }

    /// Returns how to open a shell in a failed step. What is not part of its files needs more than the engine's own client.
    fn shell(&self, step: usize, command: &str) -> String {
        let has_more = |step: &PlanStep| {
            let services = step.runner_args.as_ref().is_some_and(|arguments| !services(arguments).is_empty());
            services || !step.cache_mounts.is_empty() || !step.secrets.is_empty()
        };
        let plain = present::shell(command);
        match self.plan.steps.get(step).filter(|step| has_more(step)) {
            Some(step) => format!(
                "{plain}\nWith its services, cache mounts and secrets: pipelens shell --failed {}",
                shell_word(&step.key)
            ),
            None => plain,
        }
    }

    fn skipped(&self, step: usize, lines: u64) -> String {
        let file = log_file(&self.log_dir, self.key(step));
        self.line(step, &format!("… {} more lines in {}", present::count(lines), file.display()))
    }

    /// Prints lines that did not reach us in time, from the log file: what goes to a file or a pipe is complete.
    fn print_skipped(&mut self, step: usize, lines: u64) -> io::Result<()> {
        let path = log_file(&self.log_dir, self.key(step));
        let mut replay = self.replays.remove(&step).unwrap_or_default();
        let missing = replay.each(&path, lines, |lines| {
            self.write(&lines.iter().map(|line| self.log_line(step, line)).collect::<String>())
        })?;
        self.replays.insert(step, replay);
        if missing > 0 { self.write(&self.skipped(step, missing)) } else { Ok(()) }
    }

    fn lines(&self, step: usize, lines: &[LogLine]) -> String {
        lines.iter().map(|line| self.log_line(step, &line.text)).collect()
    }

    fn log_line(&self, step: usize, text: &str) -> String {
        if self.is_raw { self.line(step, text) } else { self.line(step, &terminal::styled(text)) }
    }

    /// Returns lines of a step with its name in front of each.
    fn line(&self, step: usize, text: &str) -> String {
        let key = self.key(step);
        let color = COLORS.get(step % COLORS.len()).copied().unwrap_or(AnsiColors::Cyan);
        let padding = " ".repeat(self.width.saturating_sub(key.chars().count()));
        let prefix = format!("{}{padding} ", format!("[{key}]").color(color));
        // Every line of a multi-line message gets a prefix, so that none begins with text from a file or a step.
        text.split('\n').map(|line| format!("{prefix}{line}\n")).collect()
    }

    fn show_running(&self) {
        let keys: Vec<&str> = self.running.keys().map(|step| self.key(*step)).collect();
        self.progress.set_message(keys.join(", "));
    }

    fn end(&self, outcome: RunOutcome, took: Duration) -> String {
        let last =
            format!("{} {}\n", self.plan.name.bold(), run_colored(outcome, &present::run_outcome(outcome, took)));
        match outcome {
            RunOutcome::EngineUnreachable => format!(
                "{last}To run directly on this machine instead, without containers: `{}`, or `runner: host` in your settings{}\n",
                on_host(std::env::args_os().skip(1)),
                Settings::user_file().map(|file| format!(", `{}`", file.display())).unwrap_or_default()
            ),
            RunOutcome::Succeeded | RunOutcome::Failed | RunOutcome::Cancelled | RunOutcome::TimedOut => {
                let artifacts = self.artifacts.sentence().map(|sentence| sentence + "\n");
                format!("\n{}{last}{}", self.table(), artifacts.unwrap_or_default())
            }
        }
    }

    fn table(&self) -> String {
        let mut text = String::new();
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
        text
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

    /// Writes past the progress line. `anstream` takes the colours out where no terminal shows them.
    fn write(&self, text: &str) -> io::Result<()> {
        self.progress.suspend(|| {
            if self.to_stderr {
                return anstream::stderr().write_all(text.as_bytes());
            }
            let mut output = anstream::stdout().lock();
            output.write_all(text.as_bytes())?;
            output.flush()
        })
    }
}

/// Returns the command line with these words on the `host` runner, as it can be typed.
fn on_host(words: impl Iterator<Item = OsString>) -> String {
    let mut line = vec!["pipelens".to_owned()];
    let mut words = words.map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        if word == "--runner" {
            words.next();
        } else if !word.starts_with("--runner=") {
            line.push(shell_word(&word));
        }
    }
    line.extend(["--runner".to_owned(), "host".to_owned()]);
    line.join(" ")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_for_the_host_can_be_typed() {
        let line = |words: &[&str]| on_host(words.iter().map(OsString::from));
        assert_eq!(line(&["run"]), "pipelens run --runner host");
        assert_eq!(
            line(&["run", "--runner", "docker", "my ci.yml", "--step", "a"]),
            "pipelens run 'my ci.yml' --step a --runner host"
        );
        assert_eq!(line(&["rerun", "--runner=docker"]), "pipelens rerun --runner host");
    }
}

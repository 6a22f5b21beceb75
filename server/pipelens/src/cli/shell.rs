//! `pipelens shell`: a shell where a step's command would run, or where it failed.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use pipelens_core::plan::{Plan, PlanStep, Target};
use pipelens_engine::event::{BuildEvent, Outcome, Phase, RunOutcome};
use pipelens_engine::person::{ShellRequest, ShellStart};
use pipelens_engine::run::RunRequest;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::output::{EXIT_USAGE, RunFormat, complain, tell};
use super::own_terminal::OwnTerminal;
use super::printable::printable;
use super::printer::Printer;
use super::run::{EVENT_QUEUE, Prepared, RunOptions, SAME_SIGNAL, plan_target, prepare_target, request};
use crate::{present, terminal};

/// More combinations of a matrix are not listed where one has to be chosen.
const MOST_LISTED: usize = 20;

#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct ShellArgs {
    /// The pipeline file [default: the only pipeline in this directory and below]
    file: Option<PathBuf>,
    /// The step; of a step with a matrix, one combination, such as `test (1.90, alpine)`
    step: String,
    /// Start from what the step left when it failed last, instead of what its command would start from
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    options: RunOptions,
}

/// Opens the shell, and returns its exit code.
pub(crate) async fn shell(args: ShellArgs) -> u8 {
    match prepare(&args) {
        Ok((request, step)) => {
            let start = if args.failed { ShellStart::AfterFailure } else { ShellStart::BeforeCommand };
            open(request, step, start).await
        }
        Err(why) => {
            complain(&why);
            EXIT_USAGE
        }
    }
}

/// Returns what has to run before the shell, and the position of its step.
fn prepare(args: &ShellArgs) -> Result<(RunRequest, usize), String> {
    if args.options.format != RunFormat::Human {
        return Err("`pipelens shell` is for a person, so it has only `--format human`".to_owned());
    }
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err("`pipelens shell` needs a terminal as its standard input and output; \
                    `pipelens run --step` runs a step without one"
            .to_owned());
    }
    let mut prepared = prepare_target(args.file.as_deref(), &args.options, |file, pipeline| {
        let target = Target::Step(args.step.clone());
        one_of(&plan_target(file, pipeline, &target)?, &args.step)?;
        Ok(target)
    })?;
    let step = one_of(&prepared.plan, &args.step)?;
    if args.failed {
        forget_others(&mut prepared, step);
    }
    Ok((request(prepared, &args.options)?.0, step))
}

/// Returns the position of the only step that was asked for.
fn one_of(plan: &Plan, asked: &str) -> Result<usize, String> {
    let wanted: Vec<(usize, &PlanStep)> = plan.steps.iter().enumerate().filter(|(_, step)| step.is_wanted).collect();
    match wanted.as_slice() {
        [(position, _)] => Ok(*position),
        several => {
            let keys = several.iter().map(|(_, step)| step.key.clone());
            Err(format!(
                "Step `{asked}` has {}; name one: {}",
                present::plural(several.len(), "combination"),
                present::some_of(keys, MOST_LISTED)
            ))
        }
    }
}

/// Steps that do not run need no secrets.
fn forget_others(prepared: &mut Prepared, step: usize) {
    let others = prepared.plan.steps.iter_mut().enumerate().filter(|(position, _)| *position != step);
    for (_, other) in others {
        other.secrets.clear();
        other.runner_args = None;
    }
}

/// Opens the shell of a step, and returns its exit code.
pub(super) async fn open(request: RunRequest, step: usize, start: ShellStart) -> u8 {
    let own = Arc::new(OwnTerminal::default());
    let cancel = CancellationToken::new();
    let stops = tokio::spawn(stop_at_signal(cancel.clone(), Arc::clone(&own)));
    let mut printer =
        Printer::new(RunFormat::Human, false, request.run_id, request.plan.clone(), request.log_dir.clone());
    let greeting = request.plan.steps.get(step).map(|step| greeting(step, &start)).unwrap_or_default();
    let (events, mut incoming) = mpsc::channel(EVENT_QUEUE);
    let mut shown = Shown { shell: step, start: start.clone(), has_started: false };
    let shell = ShellRequest { step, start, terminal: own.clone() };
    let engine = tokio::spawn(pipelens_engine::run::shell(request, shell, events, cancel.clone()));
    // What is reported while the shell has the terminal.
    let mut held = Vec::new();
    while let Some(event) = incoming.recv().await {
        if matches!(event, BuildEvent::StepPhase { step: of, phase: Phase::Running } if of == step) {
            printer.finish();
            tell(&terminal::inert(&printable(&greeting)));
            own.let_go();
        } else if own.is_let_go() {
            held.push(event);
        } else {
            shown.show(&mut printer, &event, &cancel);
        }
        if !own.is_let_go() {
            held.drain(..).for_each(|event| shown.show(&mut printer, &event, &cancel));
        }
    }
    let outcome = engine.await.unwrap_or_else(|error| {
        complain(&format!("The run ended because of a bug in pipelens: {error}"));
        RunOutcome::Failed
    });
    own.restore();
    held.drain(..).for_each(|event| shown.show(&mut printer, &event, &cancel));
    printer.finish();
    stops.abort();
    own.exit_code().unwrap_or_else(|| outcome.exit_code())
}

/// What is printed besides the shell.
struct Shown {
    /// The position of its step.
    shell: usize,
    start: ShellStart,
    has_started: bool,
}

impl Shown {
    /// Prints what happens before the shell and what goes wrong, not that the step itself starts and ends.
    fn show(&mut self, printer: &mut Printer, event: &BuildEvent, cancel: &CancellationToken) {
        let is_routine = match event {
            BuildEvent::BuildStart { .. } => true,
            BuildEvent::BuildEnd { outcome, .. } => *outcome != RunOutcome::EngineUnreachable,
            BuildEvent::StepStart { step, .. } | BuildEvent::StepEnd { step, outcome: Outcome::Succeeded, .. } => {
                self.has_started |= *step == self.shell;
                *step == self.shell
            }
            BuildEvent::StepEnd { outcome: Outcome::Cached, .. } => self.start == ShellStart::AfterFailure,
            // About the sources, which it does not get.
            BuildEvent::Notice { .. } => !self.has_started && matches!(self.start, ShellStart::At(_)),
            _ => false,
        };
        if !is_routine && printer.print(event).is_err() {
            // The terminal is gone.
            cancel.cancel();
        }
    }
}

fn greeting(step: &PlanStep, start: &ShellStart) -> String {
    let key = &step.key;
    match start {
        ShellStart::BeforeCommand => {
            let lines = step.cmd.trim_end().lines().map(|line| format!("\n  {line}"));
            format!(
                "The shell of `{key}`; `exit` or Ctrl-D ends it. The step would now run:{}",
                lines.collect::<String>()
            )
        }
        ShellStart::AfterFailure | ShellStart::At(_) => {
            format!("The shell of `{key}`, as it failed; `exit` or Ctrl-D ends it.")
        }
    }
}

/// The first signal ends the shell, and waits for the cleanup; a second one does not wait.
async fn stop_at_signal(cancel: CancellationToken, own: Arc<OwnTerminal>) {
    crate::signals::terminated().await;
    own.restore();
    complain("Cancelling… press Ctrl-C again to exit without cleanup");
    cancel.cancel();
    tokio::time::sleep(SAME_SIGNAL).await;
    let code = crate::signals::terminated().await;
    own.restore();
    std::process::exit(code.into());
}

//! A container that carries out one command after another. Knows no schedule.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::docker::command::{StepCommand, TERM_LINE};
use crate::docker::container::Container;
use crate::docker::conversation::{Conversation, Report};
use crate::error::EngineError;
use crate::logs::StepLogs;
use crate::runner::{Ending, GRACE, RunContext};

/// Between KILL and the end of the output: a process that cannot die (a hung disk) must not hold the run.
const DEATH_WITHIN: Duration = Duration::from_secs(30);
/// A supervisor that hears the end of its input. If it cannot, it is killed.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// The exit code after SIGKILL, whoever sent it.
const KILLED: i64 = 137;

/// A container with its supervisor.
pub(super) struct Worker {
    pub(super) container: Container,
    life: Life,
    /// How long commands have run in it since its filesystem was last saved.
    pub(super) unsaved: Duration,
}

/// How far a worker has come.
enum Life {
    Created,
    /// Its supervisor waits for the next command, and nothing else runs.
    Waiting(Conversation),
    /// The same, but the next command would notice, or the supervisor may take a line for one that was none.
    Used(Conversation),
    /// Whatever it does, nobody hears of it.
    Spent,
}

impl Worker {
    pub(super) fn new(container: Container) -> Self {
        Self { container, life: Life::Created, unsaved: Duration::ZERO }
    }

    /// Hands the command to the supervisor and its output to the logs, and returns how it ended once all of it is there.
    pub(super) async fn run(
        &mut self,
        context: &RunContext,
        command: &StepCommand,
        logs: &mut StepLogs,
        lost: impl Future<Output = EngineError>,
    ) -> Result<Ending, EngineError> {
        if context.stop.is_cancelled() {
            return Ok(Ending::Stopped);
        }
        let began = Instant::now();
        let (stdin, lines) = mpsc::channel(3);
        let mut conversation = self.begin(&stdin).await?;
        stdin.try_send(command.line.clone()).ok();
        let container = &self.container;
        let ended = async {
            let report = conversation.converse(lines, logs).await;
            logs.finish_streams().await;
            let report = report?;
            let code = match report {
                Some(report) => report.exit_code,
                // Asked for only now: the engine may know the code before we have all of the output.
                None => container.exit_code().await?,
            };
            Ok::<_, EngineError>((code, report))
        };
        let (ending, report) = {
            tokio::pin!(ended);
            see_to_its_end(container, context, &mut ended, &stdin, lost).await?
        };
        self.unsaved += began.elapsed();
        match (ending, report) {
            (Ending::Exited(_), Some(report)) => {
                if report.was_short_of_memory {
                    say_out_of_memory(context);
                }
                let new_life = if report.is_clean { Life::Waiting } else { Life::Used };
                self.life = new_life(conversation);
            }
            // A line that asks for TERM may still be on its way to whoever reads next.
            (Ending::TimedOut | Ending::Stopped, Some(_)) => self.life = Life::Used(conversation),
            (Ending::Exited(KILLED), None) => {
                if self.container.ran_out_of_memory().await? {
                    say_out_of_memory(context);
                }
            }
            // A shell would have reported; without one, what an init process ends with is its own affair.
            (Ending::Exited(_), None) => self.container.check_for_shell().await?,
            (Ending::TimedOut | Ending::Stopped, None) => {}
        }
        Ok(ending)
    }

    /// Returns the talk with the supervisor, which is started if nothing has run yet.
    async fn begin(&mut self, stdin: &mpsc::Sender<Bytes>) -> Result<Conversation, EngineError> {
        match std::mem::replace(&mut self.life, Life::Spent) {
            Life::Waiting(conversation) => Ok(conversation),
            Life::Created | Life::Used(_) | Life::Spent => {
                // Attached first: nothing the command says can be missed.
                let conversation = Conversation::new(self.container.attach().await?);
                stdin.try_send(conversation.mark_line()).ok();
                self.container.start().await?;
                Ok(conversation)
            }
        }
    }

    /// Runs a command of our own ahead of the step's, and returns its exit code with what it said.
    pub(super) async fn run_own(&mut self, line: Bytes) -> Result<(i64, String), EngineError> {
        let (stdin, lines) = mpsc::channel(2);
        let mut conversation = self.begin(&stdin).await?;
        stdin.try_send(line).ok();
        let mut said = Vec::new();
        let report = conversation.converse(lines, &mut said).await?;
        let code = match report {
            Some(report) => report.exit_code,
            None => self.container.exit_code().await?,
        };
        if report.is_some() {
            self.life = Life::Waiting(conversation);
        }
        Ok((code, String::from_utf8_lossy(&said).into_owned()))
    }

    /// Whether the next command of its line may run in it.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.life, Life::Waiting(_))
    }

    /// Whether nothing writes to its filesystem any more.
    pub(super) fn is_quiet(&self) -> bool {
        match self.life {
            Life::Created | Life::Waiting(_) => true,
            Life::Used(_) | Life::Spent => false,
        }
    }

    /// Removes the container, running or not.
    pub(super) async fn remove(self) {
        match self.life {
            // A supervisor that is told to go is gone sooner than one that the engine has to kill.
            Life::Waiting(conversation) | Life::Used(conversation) => {
                drop(conversation);
                drop(tokio::time::timeout(GONE_WITHIN, self.container.exit_code()).await);
            }
            Life::Created | Life::Spent => {}
        }
        self.container.remove().await;
    }
}

/// Waits for the end of the command, and brings it about when it is time.
async fn see_to_its_end(
    container: &Container,
    context: &RunContext,
    ended: &mut (impl Future<Output = Result<(i64, Option<Report>), EngineError>> + Unpin),
    stdin: &mpsc::Sender<Bytes>,
    lost: impl Future<Output = EngineError>,
) -> Result<(Ending, Option<Report>), EngineError> {
    tokio::pin!(lost);
    let mut stopped = None;
    let mut time_to_stop = context.time_to_stop(Instant::now()).boxed();
    loop {
        tokio::select! {
            result = &mut *ended => {
                let (code, report) = result?;
                return Ok((stopped.unwrap_or(Ending::Exited(code)), report));
            }
            lost = &mut lost => return Err(lost),
            ending = &mut time_to_stop => match stopped {
                None => {
                    stopped = Some(ending);
                    stdin.try_send(Bytes::from_static(TERM_LINE)).ok();
                    time_to_stop = tokio::time::sleep(GRACE).map(move |()| ending).boxed();
                }
                Some(_) => {
                    container.kill().await?;
                    return match tokio::time::timeout(DEATH_WITHIN, &mut *ended).await {
                        Ok(result) => result.map(|_| (ending, None)),
                        Err(_) => Ok((ending, None)),
                    };
                }
            }
        }
    }
}

/// Nothing in the output of a killed command tells why.
fn say_out_of_memory(context: &RunContext) {
    let key = &context.step().key;
    context.outbox.notice(format!("Step `{key}` ran out of memory: the engine's kernel killed it."));
}

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
/// The exit code of a shell, or an init process, that does not find its command.
const COMMAND_NOT_FOUND: i64 = 127;
/// The exit code after SIGKILL, whoever sent it.
const KILLED: i64 = 137;

/// A container with its supervisor.
pub(super) struct Worker {
    pub(super) container: Container,
    life: Life,
}

/// How far a worker has come.
enum Life {
    Created,
    /// Its supervisor waits for the next command, and nothing else runs.
    Waiting(Conversation),
    /// It may run still, but no other command may be sent to it.
    Spent,
}

impl Worker {
    pub(super) fn new(container: Container) -> Self {
        Self { container, life: Life::Created }
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
        let (stdin, lines) = mpsc::channel(3);
        let mut conversation = match std::mem::replace(&mut self.life, Life::Spent) {
            Life::Waiting(conversation) => conversation,
            Life::Created | Life::Spent => {
                // Attached first: nothing the command says can be missed.
                let conversation = Conversation::new(self.container.attach().await?);
                stdin.try_send(conversation.mark_line()).ok();
                self.container.start().await?;
                conversation
            }
        };
        stdin.try_send(command.line.clone()).ok();
        let container = &self.container;
        let ended = async {
            let report = conversation.converse(lines, logs).await?;
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
        match (ending, report) {
            (Ending::Exited(_), Some(report)) => {
                if report.was_short_of_memory {
                    say_out_of_memory(context);
                }
                if report.is_clean {
                    self.life = Life::Waiting(conversation);
                }
            }
            (Ending::Exited(COMMAND_NOT_FOUND), None) => self.container.check_for_shell().await?,
            (Ending::Exited(KILLED), None) => {
                if self.container.ran_out_of_memory().await? {
                    say_out_of_memory(context);
                }
            }
            // A line that asks for TERM may still be on its way to whoever reads next.
            (Ending::Exited(_) | Ending::TimedOut | Ending::Stopped, _) => {}
        }
        Ok(ending)
    }

    /// Whether the next command of its line may run in it.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.life, Life::Waiting(_))
    }

    /// Whether nothing writes to its filesystem any more.
    pub(super) fn is_quiet(&self) -> bool {
        match self.life {
            Life::Created | Life::Waiting(_) => true,
            Life::Spent => false,
        }
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

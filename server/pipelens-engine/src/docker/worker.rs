//! A container that carries out one command after another. Knows no schedule.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::docker::command::{StepCommand, TERM_LINE, Then};
use crate::docker::container::Container;
use crate::docker::conversation::{Conversation, Listener, Report, State};
use crate::error::EngineError;
use crate::logs::StepLogs;
use crate::runner::{Ending, GRACE, RunContext};

/// Between KILL and the end of the output: a process that cannot die (a hung disk) must not hold the run.
pub(super) const DEATH_WITHIN: Duration = Duration::from_secs(30);
/// The exit code after SIGKILL, whoever sent it.
pub(super) const KILLED: i64 = 137;

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
    Quiet(Conversation),
    /// Something of the last command may still run.
    Busy(Conversation),
    /// Its last command has ended, and it ends by itself.
    Ending,
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
        then: Then,
        logs: &mut StepLogs,
        lost: impl Future<Output = EngineError>,
    ) -> Result<Ending, EngineError> {
        if context.stop.is_cancelled() {
            return Ok(Ending::Stopped);
        }
        let began = Instant::now();
        let (stdin, lines) = mpsc::channel(4);
        let mut talk = self.talk(&stdin).await?;
        stdin.try_send(Bytes::from_static(then.line())).ok();
        stdin.try_send(command.line.clone()).ok();
        let container = &self.container;
        let (starts, started) = oneshot::channel();
        let ended = async {
            let report = talk.carry_on(container, lines, logs, starts).await;
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
            see_to_its_end(container, context, &mut ended, started, &stdin, lost).await?
        };
        self.unsaved += began.elapsed();
        match (ending, report) {
            (Ending::Exited(_), Some(report)) => {
                if report.was_short_of_memory {
                    say_out_of_memory(context);
                }
                self.life = Life::after(report.state, then, talk.conversation);
            }
            (Ending::TimedOut | Ending::Stopped, Some(report)) => {
                // A line that asks for TERM may still be on its way to whoever reads next.
                let state = if report.state == State::Clean { State::Quiet } else { report.state };
                self.life = Life::after(state, then, talk.conversation);
            }
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

    /// Returns the talk with the supervisor, or the beginning of one.
    async fn talk(&mut self, stdin: &mpsc::Sender<Bytes>) -> Result<Talk, EngineError> {
        match std::mem::replace(&mut self.life, Life::Spent) {
            Life::Waiting(conversation) => Ok(Talk { conversation, is_new: false }),
            Life::Created | Life::Quiet(_) | Life::Busy(_) | Life::Ending | Life::Spent => {
                // Attached first: nothing the command says can be missed.
                let conversation = Conversation::new(self.container.attach().await?);
                stdin.try_send(conversation.mark_line()).ok();
                Ok(Talk { conversation, is_new: true })
            }
        }
    }

    /// Runs a command of our own ahead of the step's, and returns its exit code with what it said.
    pub(super) async fn run_own(&mut self, line: Bytes) -> Result<(i64, String), EngineError> {
        let (stdin, lines) = mpsc::channel(3);
        let mut talk = self.talk(&stdin).await?;
        stdin.try_send(Bytes::from_static(Then::Next.line())).ok();
        stdin.try_send(line).ok();
        let mut said = Vec::new();
        let report = talk.carry_on(&self.container, lines, &mut said, oneshot::channel().0).await?;
        let code = match report {
            Some(report) => report.exit_code,
            None => self.container.exit_code().await?,
        };
        match report.map(|report| report.state) {
            // What only compares differently is our own doing.
            Some(State::Clean | State::Quiet) => self.life = Life::Waiting(talk.conversation),
            Some(State::Busy) => {
                let reason = "what prepares it does not end".into();
                return Err(EngineError::Refused { doing: "prepare the container", reason });
            }
            None => {}
        }
        Ok((code, String::from_utf8_lossy(&said).into_owned()))
    }

    /// Starts the container ahead of the step's command, for those that join its network.
    pub(super) async fn wake(&mut self) -> Result<(), EngineError> {
        if self.is_waiting() {
            return Ok(());
        }
        let (code, _) = self.run_own(Bytes::from_static(b":\n")).await?;
        if self.is_waiting() {
            return Ok(());
        }
        self.container.check_for_shell().await?;
        let reason = format!("it ended with exit code {code} before the step's command");
        Err(EngineError::Refused { doing: "start the container", reason })
    }

    /// Whether the next command of its line may run in it.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.life, Life::Waiting(_))
    }

    /// Whether nothing writes to its filesystem any more.
    pub(super) fn is_quiet(&self) -> bool {
        match self.life {
            Life::Created | Life::Waiting(_) | Life::Quiet(_) => true,
            Life::Busy(_) | Life::Ending | Life::Spent => false,
        }
    }

    /// Lets a container end that is about to.
    pub(super) async fn settle(&mut self) {
        if matches!(self.life, Life::Ending) {
            self.life = Life::Spent;
            self.container.wait_until_gone().await;
        }
    }

    /// Removes the container, running or not.
    pub(super) async fn remove(self) {
        match self.life {
            Life::Waiting(conversation) | Life::Quiet(conversation) | Life::Busy(conversation) => {
                // A supervisor that is told to go is gone sooner than one that the engine has to kill.
                drop(conversation);
                self.container.wait_until_gone().await;
            }
            Life::Ending => self.container.wait_until_gone().await,
            Life::Created | Life::Spent => {}
        }
        self.container.remove().await;
    }
}

impl Life {
    fn after(state: State, then: Then, conversation: Conversation) -> Self {
        match (then, state) {
            (Then::End, _) => Self::Ending,
            (Then::Next | Then::Wait, State::Clean) => Self::Waiting(conversation),
            (Then::Next | Then::Wait, State::Quiet) => Self::Quiet(conversation),
            (Then::Next | Then::Wait, State::Busy) => Self::Busy(conversation),
        }
    }
}

/// A talk, of which the other side may still have to be started.
struct Talk {
    conversation: Conversation,
    is_new: bool,
}

impl Talk {
    /// Talks until the command has ended. A new container is told what to do before it is there: its command runs while the engine
    /// still has to do with the start.
    async fn carry_on(
        &mut self,
        container: &Container,
        lines: mpsc::Receiver<Bytes>,
        listener: &mut impl Listener,
        started: oneshot::Sender<()>,
    ) -> Result<Option<Report>, EngineError> {
        let start = async {
            if self.is_new {
                container.start().await?;
            }
            started.send(()).ok();
            Ok(())
        };
        let (report, ()) = tokio::try_join!(self.conversation.converse(lines, listener), start)?;
        Ok(report)
    }
}

/// Waits for the end of the command, and brings it about when it is time. Its time begins when it has started.
async fn see_to_its_end(
    container: &Container,
    context: &RunContext,
    ended: &mut (impl Future<Output = Result<(i64, Option<Report>), EngineError>> + Unpin),
    started: oneshot::Receiver<()>,
    stdin: &mpsc::Sender<Bytes>,
    lost: impl Future<Output = EngineError>,
) -> Result<(Ending, Option<Report>), EngineError> {
    tokio::pin!(lost);
    let mut stopped = None;
    let mut time_to_stop = async {
        tokio::select! {
            biased;
            () = context.stop.cancelled() => Ending::Stopped,
            _ = started => context.time_to_stop(Instant::now()).await,
        }
    }
    .boxed();
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

//! A container that runs one command after another. Knows nothing about scheduling.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::deadlines::Deadlines;
use crate::docker::container::{Container, DEATH_WITHIN};
use crate::docker::network::Network;
use crate::docker::{liveness, missing_report};
use crate::error::EngineError;
use crate::event::Phase;
use crate::logs::StepLogs;
use crate::runner::GRACE;
use crate::step_context::{Ending, StepContext};
use crate::supervisor::{Conversation, Outcome, OutputSink, State, StepCommand, TERM_LINE, Then};

/// A container with its supervisor.
pub(super) struct Worker {
    pub(super) container: Container,
    /// The network in which some of its step's services are.
    pub(super) network: Option<Network>,
    life: Life,
    deadlines: Deadlines,
    /// How long commands have run in it since its filesystem was last saved, that is, the work that would be lost.
    pub(super) unsaved: Duration,
}

/// The state of a worker.
enum Life {
    Created,
    /// Its supervisor waits for the next command, and nothing else runs in it.
    Waiting(Conversation),
    /// The same, but the next command could notice the last one, or the supervisor might misread a line.
    Quiet(Conversation),
    /// Processes of the last command may still run.
    Busy(Conversation),
    /// Its last command has ended, and it exits by itself.
    Ending,
    /// Its conversation is over, or currently in use.
    Spent,
}

impl Worker {
    pub(super) fn new(container: Container, network: Option<Network>, deadlines: Deadlines) -> Self {
        Self { container, network, life: Life::Created, deadlines, unsaved: Duration::ZERO }
    }

    /// Sends the command to the supervisor and its output to the logs, and returns how it ended once all output has arrived. Only the
    /// supervisor's report says how it ended: without one the result is unknown, which is an error.
    pub(super) async fn run(
        &mut self,
        context: &StepContext,
        command: &StepCommand,
        then: Then,
        logs: &mut StepLogs,
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
        let activity = Arc::clone(&talk.conversation.activity);
        let given_up = liveness::given_up(container, &activity, self.deadlines);
        let (starts, started) = oneshot::channel();
        let on_start = || {
            context.report_phase(Phase::Running);
            starts.send(()).ok();
        };
        let ended = async {
            let outcome = talk.carry_on(container, lines, logs, on_start).await;
            logs.finish_streams().await;
            outcome
        };
        let (stopped_by, outcome) = {
            tokio::pin!(ended);
            wait_or_stop(container, context, &mut ended, started, &stdin, given_up).await?
        };
        self.unsaved += began.elapsed();
        match (stopped_by, outcome) {
            (None, Outcome::Reported(report)) => {
                if report.was_short_of_memory {
                    report_out_of_memory(context);
                }
                self.life = Life::after(report.state, then, talk.conversation);
                Ok(Ending::Exited(report.exit_code))
            }
            (Some(ending), Outcome::Reported(report)) => {
                // The line that requests TERM may still be on its way, and the next command would read it.
                let state = if report.state == State::Clean { State::Quiet } else { report.state };
                self.life = Life::after(state, then, talk.conversation);
                Ok(ending)
            }
            (Some(ending), Outcome::BrokenOff(_)) => Ok(ending),
            (None, Outcome::BrokenOff(broken)) => {
                Err(missing_report::explain(&self.container, broken, self.deadlines).await)
            }
        }
    }

    /// Returns the conversation with the supervisor, or starts one.
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

    /// Runs a setup command before the step's command, and returns its exit code and output.
    pub(super) async fn run_own(&mut self, line: Bytes) -> Result<(i64, String), EngineError> {
        let (stdin, lines) = mpsc::channel(3);
        let mut talk = self.talk(&stdin).await?;
        stdin.try_send(Bytes::from_static(Then::Next.line())).ok();
        stdin.try_send(line).ok();
        let mut said = Vec::new();
        let activity = Arc::clone(&talk.conversation.activity);
        let outcome = tokio::select! {
            outcome = talk.carry_on(&self.container, lines, &mut said, || {}) => outcome?,
            given_up = liveness::given_up(&self.container, &activity, self.deadlines) => return Err(given_up),
        };
        let report = match outcome {
            Outcome::Reported(report) => report,
            Outcome::BrokenOff(broken) => {
                return Err(missing_report::explain(&self.container, broken, self.deadlines).await);
            }
        };
        match report.state {
            // If the state differs, it was our own command that changed it.
            State::Clean | State::Quiet => self.life = Life::Waiting(talk.conversation),
            State::Busy => {
                let reason = "the setup command did not finish".into();
                return Err(EngineError::Refused { doing: "prepare the container", reason });
            }
        }
        Ok((report.exit_code, String::from_utf8_lossy(&said).into_owned()))
    }

    /// Runs a command of ours after the last step, whose traces do not matter to it. `None`: something of the step may still run.
    pub(super) async fn look(&mut self, line: Bytes) -> Option<String> {
        self.life = match std::mem::replace(&mut self.life, Life::Spent) {
            Life::Quiet(conversation) => Life::Waiting(conversation),
            other => other,
        };
        if !self.is_waiting() {
            return None;
        }
        self.run_own(line).await.ok().map(|(_, said)| said)
    }

    /// Starts the container before the step's command, for the services that join its network.
    pub(super) async fn wake(&mut self) -> Result<(), EngineError> {
        if self.is_waiting() {
            return Ok(());
        }
        self.run_own(Bytes::from_static(b":\n")).await.map(drop)
    }

    /// Whether the next step of its chain may run in it.
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

    /// Waits for a container that is about to exit.
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
                // A supervisor whose input ends exits sooner than one that the engine has to kill.
                drop(conversation);
                self.container.wait_until_gone().await;
            }
            Life::Ending => self.container.wait_until_gone().await,
            Life::Created | Life::Spent => {}
        }
        self.container.remove().await;
        if let Some(network) = self.network {
            network.remove().await;
        }
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

/// A conversation with a supervisor that may not have started yet.
struct Talk {
    conversation: Conversation,
    is_new: bool,
}

impl Talk {
    /// Exchanges lines and output until the command has ended. A new container gets its command before it has started, so that the
    /// command runs while the engine is still busy with the start.
    async fn carry_on(
        &mut self,
        container: &Container,
        lines: mpsc::Receiver<Bytes>,
        output_sink: &mut impl OutputSink,
        on_start: impl FnOnce(),
    ) -> Result<Outcome, EngineError> {
        let start = async {
            if self.is_new {
                container.start().await?;
            }
            on_start();
            Ok::<_, EngineError>(())
        };
        let talking = async { Ok(self.conversation.exchange(lines, output_sink).await) };
        let (outcome, ()) = tokio::try_join!(talking, start)?;
        Ok(outcome)
    }
}

/// Waits for the end of the command, stops it when necessary, and returns why. Its time limit begins when it has started. Once it has to
/// stop, nothing the engine does or fails to do changes its outcome.
async fn wait_or_stop(
    container: &Container,
    context: &StepContext,
    ended: &mut (impl Future<Output = Result<Outcome, EngineError>> + Unpin),
    started: oneshot::Receiver<()>,
    stdin: &mpsc::Sender<Bytes>,
    given_up: impl Future<Output = EngineError>,
) -> Result<(Option<Ending>, Outcome), EngineError> {
    tokio::pin!(given_up);
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
            result = &mut *ended => return match (stopped, result) {
                (stopped, Ok(outcome)) => Ok((stopped, outcome)),
                (Some(ending), Err(_)) => Ok((Some(ending), Outcome::BrokenOff(None))),
                (None, Err(error)) => Err(error),
            },
            given_up = &mut given_up => return match stopped {
                Some(ending) => Ok((Some(ending), Outcome::BrokenOff(None))),
                None => Err(given_up),
            },
            ending = &mut time_to_stop => match stopped {
                None => {
                    stopped = Some(ending);
                    stdin.try_send(Bytes::from_static(TERM_LINE)).ok();
                    time_to_stop = tokio::time::sleep(GRACE).map(move |()| ending).boxed();
                }
                Some(_) => {
                    match container.kill().await {
                        Ok(()) => drop(tokio::time::timeout(DEATH_WITHIN, &mut *ended).await),
                        // It is removed with what the step leaves, or at the next start.
                        Err(error) => tracing::debug!(%error, "a container was not killed"),
                    }
                    return Ok((Some(ending), Outcome::BrokenOff(None)));
                }
            }
        }
    }
}

/// Reports that a command ran out of memory, which its output does not show.
fn report_out_of_memory(context: &StepContext) {
    let key = &context.step().key;
    context.events.notice(format!("Step `{key}` ran out of memory and was killed by the kernel."));
}

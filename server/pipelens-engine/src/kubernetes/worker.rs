//! A pod that runs one command after another. Knows nothing about scheduling.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use pipelens_agent::client::{Agent, AgentError, Archive, OutputSink};
use pipelens_agent::protocol::message::{
    Identity, Layer as Pushed, PushRequest, RunReport, RunRequest, State, Stream, Then,
};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::artifacts::archives::ArchiveSource;
use crate::error::EngineError;
use crate::event::Phase;
use crate::kubernetes::agents;
use crate::kubernetes::attempts::{AWAY_WITHIN, Passing, persistently};
use crate::kubernetes::image::{Image, Layer};
use crate::kubernetes::pod_state::PodState;
use crate::kubernetes::pods::{self, Pods};
use crate::kubernetes::registry::Registry;
use crate::logs::StepLogs;
use crate::runner::GRACE;
use crate::step_context::{Ending, StepContext};

/// A process that KILL does not end within this time waits for a disk or a network.
const DEATH_WITHIN: Duration = Duration::from_secs(10);
/// How long the reason of a pod's end may be on its way when its connection is lost already.
const REASON_WITHIN: Duration = Duration::from_secs(5);

/// What the agent of a pod that has ended said may still be on its way.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);

/// A pod with its agent.
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) agent: Agent,
    seen: watch::Receiver<PodState>,
    /// What its filesystem was started from, or saved as. Without the agent.
    pub(super) image: Image,
    life: Life,
    /// How long commands have run in it since its filesystem was last saved, that is, the work that would be lost.
    pub(super) unsaved: Duration,
}

/// The state of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Nothing runs in it, and the next command cannot notice the last one.
    Waiting,
    /// Nothing runs in it.
    Quiet,
    /// Processes of the last command may still run.
    Busy,
}

impl Worker {
    pub(super) fn new(name: String, agent: Agent, seen: watch::Receiver<PodState>, image: Image) -> Self {
        Self { name, agent, seen, image, life: Life::Waiting, unsaved: Duration::ZERO }
    }

    /// Runs the step's command, and returns how it ended once all output is in the logs. Only the agent's report says how it ended: without one
    /// the result is unknown, which is an error.
    pub(super) async fn run(
        &mut self,
        context: &StepContext,
        then: Then,
        is_saved_afterwards: bool,
        logs: &mut StepLogs,
    ) -> Result<Ending, EngineError> {
        if context.stop.is_cancelled() {
            return Ok(Ending::Stopped);
        }
        let request = RunRequest {
            shell: context.step().shell.clone(),
            script: Some(context.step().cmd.to_string()),
            variables: agents::variables(context)?,
            workdir: context.step().workdir.clone(),
            then,
            after_listing: is_saved_afterwards,
        };
        let began = Instant::now();
        self.life = Life::Busy;
        let (stopped_by, report) = {
            let (starts, started) = oneshot::channel();
            let mut sink = LogSink { logs, context, starts: Some(starts) };
            let running = self.agent.run(request, &mut sink);
            tokio::pin!(running);
            self.wait_or_stop(context, &mut running, started).await
        };
        logs.finish_streams().await;
        self.unsaved += began.elapsed();
        match (stopped_by, report) {
            (None, Ok(report)) => {
                if report.was_short_of_memory {
                    let key = &context.step().key;
                    context.events.notice(format!("Step `{key}` ran out of memory and was killed by the kernel."));
                }
                self.life = Life::after(report.state);
                Ok(Ending::Exited(i64::from(report.exit_code)))
            }
            (Some(ending), Ok(report)) => {
                // Something of the stop may still be on its way.
                let state = if report.state == State::Clean { State::Quiet } else { report.state };
                self.life = Life::after(state);
                Ok(ending)
            }
            (Some(ending), Err(_)) => Ok(ending),
            (None, Err(NoReport::Ended(reason))) => Err(ended(reason)),
            (None, Err(NoReport::Lost(error))) => Err(self.explain(&error).await),
        }
    }

    /// Waits for the end of the command, stops it when necessary, and returns why. Its time limit begins with it. Once it has to stop, nothing that
    /// the cluster does or fails to do changes its outcome.
    async fn wait_or_stop(
        &self,
        context: &StepContext,
        running: &mut (impl Future<Output = Result<RunReport, AgentError>> + Unpin),
        started: oneshot::Receiver<()>,
    ) -> (Option<Ending>, Result<RunReport, NoReport>) {
        let mut stopped = None;
        let mut time_to_stop = async {
            tokio::select! {
                biased;
                () = context.stop.cancelled() => Ending::Stopped,
                _ = started => context.time_to_stop(Instant::now()).await,
            }
        }
        .boxed();
        let mut is_killed = false;
        let over = pods::over(self.seen.clone());
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                report = &mut *running => return (stopped, report.map_err(NoReport::Lost)),
                ending = &mut time_to_stop => {
                    let next = match stopped {
                        None => {
                            stopped = Some(ending);
                            // Without an answer, it is killed.
                            self.agent.terminate().await.ok();
                            GRACE
                        }
                        Some(_) if !is_killed => {
                            is_killed = true;
                            self.agent.kill().await.ok();
                            DEATH_WITHIN
                        }
                        Some(_) => return (stopped, Err(NoReport::Ended("it could not be ended".to_owned()))),
                    };
                    time_to_stop = tokio::time::sleep(next).map(move |()| ending).boxed();
                }
                reason = &mut over => {
                    // Its last words may have arrived.
                    let last = tokio::time::timeout(LAST_WORDS_WITHIN, &mut *running).await;
                    return (stopped, last.ok().and_then(Result::ok).ok_or(NoReport::Ended(reason)));
                }
            }
        }
    }

    /// Explains why there is no report: a pod's end is the cause, a lost connection its effect.
    async fn explain(&self, error: &AgentError) -> EngineError {
        match tokio::time::timeout(REASON_WITHIN, pods::over(self.seen.clone())).await {
            Ok(reason) => ended(reason),
            Err(_) => agents::lost(error),
        }
    }

    /// Whether the next step of its chain may run in it.
    pub(super) fn is_waiting(&self) -> bool {
        self.life == Life::Waiting
    }

    /// Whether nothing writes to its filesystem any more.
    pub(super) fn is_quiet(&self) -> bool {
        self.life != Life::Busy
    }

    /// Returns who runs the commands of the pod.
    pub(super) async fn identity(&self, doing: &'static str) -> Result<Identity, EngineError> {
        self.agent.identity().await.map_err(|error| agents::refused(doing, &error))
    }

    /// Saves what has changed since it was started or saved last as a layer, and returns how large that is.
    pub(super) async fn save(&mut self, registry: &Registry) -> Result<u64, EngineError> {
        let refused = |reason: String| EngineError::SnapshotRefused { reason };
        if !self.is_quiet() {
            return Err(refused("something that the step started still runs".to_owned()));
        }
        let pushed = persistently(|| push(&self.agent, registry).boxed()).await;
        let pushed = pushed.map_err(|error| refused(error.reason()))?;
        self.unsaved = Duration::ZERO;
        // An empty layer would only make the image deeper.
        if pushed.entries == 0 {
            return Ok(0);
        }
        let layer = Layer { digest: pushed.digest, diff_id: pushed.diff_id, bytes: pushed.size };
        registry.learn(&layer);
        self.image = self.image.with(&layer, "a step");
        Ok(layer.bytes)
    }

    /// Ends the pod.
    pub(super) async fn remove(self, pods: &Pods) {
        tokio::join!(self.agent.goodbye(), pods.discard(&self.name));
    }
}

impl Life {
    fn after(state: State) -> Self {
        match state {
            State::Clean => Self::Waiting,
            State::Quiet => Self::Quiet,
            State::Busy => Self::Busy,
        }
    }
}

/// Pushes what has changed in a pod. The credentials are new each time, for they may expire.
async fn push(agent: &Agent, registry: &Registry) -> Result<Pushed, PushError> {
    let target = registry.push_target().await.map_err(PushError::LogIn)?;
    let request = PushRequest { registry: agents::push_registry(target) };
    agent.push_layer(request).await.map_err(PushError::Agent)
}

/// Why a pod could not push a layer.
enum PushError {
    LogIn(EngineError),
    Agent(AgentError),
}

impl PushError {
    fn reason(&self) -> String {
        match self {
            Self::LogIn(EngineError::Registry { reason, .. }) => format!("the registry could not be reached: {reason}"),
            Self::LogIn(error) => error.to_string(),
            Self::Agent(error) => error.to_string(),
        }
    }
}

impl Passing for PushError {
    fn passes_within(&self) -> Option<Duration> {
        match self {
            Self::LogIn(error) => error.passes_within(),
            Self::Agent(error) => error.is_registry_away().then_some(AWAY_WITHIN),
        }
    }
}

/// Why it is not known how a command ended.
enum NoReport {
    Lost(AgentError),
    /// The pod has ended, with the reason.
    Ended(String),
}

fn ended(reason: String) -> EngineError {
    if reason.starts_with("OOMKilled") { EngineError::OutOfMemory } else { EngineError::PodEnded { reason } }
}

/// Writes what a command says to the logs.
struct LogSink<'a> {
    logs: &'a mut StepLogs,
    context: &'a StepContext,
    starts: Option<oneshot::Sender<()>>,
}

impl OutputSink for LogSink<'_> {
    fn started(&mut self) {
        self.context.report_phase(Phase::Running);
        if let Some(starts) = self.starts.take() {
            starts.send(()).ok();
        }
    }

    async fn take(&mut self, stream: Stream, bytes: &Bytes) {
        self.logs.write(agents::std_stream(stream), bytes).await;
    }
}

impl ArchiveSource for Worker {
    fn archive(&self, path: String) -> BoxStream<'_, Result<Bytes, EngineError>> {
        let failed = |error: AgentError| agents::refused("copy the artifacts", &error);
        let start = (path.into_bytes(), None::<Archive>);
        let pieces = futures_util::stream::try_unfold(start, move |(path, opened)| async move {
            let opened = match opened {
                Some(archive) => Some(archive),
                None => self.agent.archive(path.clone()).await.map_err(failed)?,
            };
            let Some(mut archive) = opened else { return Ok(None) };
            Ok(archive.next().await.map_err(failed)?.map(|piece| (piece, (path, Some(archive)))))
        });
        pieces.boxed()
    }
}

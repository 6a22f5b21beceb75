//! Containers that run alongside a step's command, as far as every runner treats them alike: what they run, when they are ready, and what is
//! said about their end. How they are made and removed, only a runner knows.

pub(crate) mod readiness;
mod shell_names;

use std::future::poll_fn;
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use pipelens_core::arguments::Service;

use crate::error::{EngineError, ServiceOutput};
use crate::logs::ServiceLogs;
use crate::run_files::service_log_file;
use crate::services::readiness::{Asks, Question, Readiness, ServiceImage};
use crate::step_context::StepContext;

/// The exit code of a process that was killed.
const KILLED: i64 = 137;
/// A container that a kill does not end within this time waits for a disk or a network.
const DEATH_WITHIN: Duration = Duration::from_secs(30);

/// A container of a service.
pub(crate) trait Instance: Asks + Clone + 'static {
    fn kill(&self) -> impl Future<Output = ()> + Send;
}

/// The services of one attempt of a step, in the order of the file.
pub(crate) struct Services<I> {
    pub(crate) all: Vec<Running<I>>,
}

impl<I> Default for Services<I> {
    fn default() -> Self {
        Self { all: Vec::new() }
    }
}

pub(crate) struct Running<I> {
    pub(crate) service: Service,
    pub(crate) instance: I,
    question: Question,
    is_ready: bool,
    life: Life,
    log: PathBuf,
}

enum Life {
    Created,
    /// Reads its output until it ends.
    Running(BoxFuture<'static, End>),
    Ended(End),
}

#[derive(Debug, Clone)]
pub(crate) struct End {
    /// `None`: it is not known.
    pub(crate) exit_code: Option<i64>,
    pub(crate) last_lines: Vec<String>,
}

/// Returns the names of the services that would listen on the same port as another one.
pub(crate) fn on_one_port(services: &[Service], images: &[ServiceImage]) -> Vec<String> {
    let ports: Vec<Option<u16>> =
        services.iter().zip(images).map(|(service, image)| readiness::port(service, image)).collect();
    let is_shared = |port: &Option<u16>| port.is_some() && ports.iter().filter(|other| *other == port).count() > 1;
    services.iter().zip(&ports).filter(|(_, port)| is_shared(port)).map(|(service, _)| service.name.clone()).collect()
}

/// Returns the line for `sh` that runs a service, whose entrypoint are the shell's arguments; without a `cmd`, so is the image's command. A `cmd`
/// replaces that, as in `docker run IMAGE`: many entry points inspect its first word.
pub(crate) fn line(service: &Service, image: &ServiceImage) -> String {
    // Our own shell drops them, and so does the one that runs the line.
    let prefix = shell_names::prefix(service.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    match &service.cmd {
        None => format!("exec {prefix}\"$@\""),
        Some(cmd) if image.entrypoint.is_empty() => shell_names::with_prefix(cmd, &prefix),
        Some(cmd) => format!("{prefix}\"$@\" {cmd}"),
    }
}

/// Adds the service's name to an error, unless the engine itself is gone.
pub(crate) fn of_service(service: &Service, error: EngineError) -> EngineError {
    match error {
        EngineError::ImageNotFound { .. }
        | EngineError::RegistryRefused { .. }
        | EngineError::PullFailed { .. }
        | EngineError::Refused { .. } => EngineError::Service { name: service.name.clone(), error: Box::new(error) },
        other => other,
    }
}

impl<I: Instance> Running<I> {
    pub(crate) fn new(context: &StepContext, service: Service, instance: I, question: Question) -> Self {
        let log = service_log_file(&context.log_dir, &context.step().key, &service.name);
        Self { service, instance, question, is_ready: false, life: Life::Created, log }
    }

    /// Opens the file for its output.
    pub(crate) fn logs<'c>(
        &self,
        context: &'c StepContext,
    ) -> impl Future<Output = Result<ServiceLogs, EngineError>> + Send + use<'c, I> {
        let log = self.log.clone();
        async move { ServiceLogs::open(&log, context.events.clone(), &context.patterns, context.log_room.clone()).await }
    }

    /// It runs from now on; `life` reads its output until it ends.
    pub(crate) fn runs(&mut self, life: impl Future<Output = End> + Send + 'static) {
        self.life = Life::Running(life.boxed());
    }

    /// Kills it, unless it has already ended, and reads the rest of its output.
    async fn end(&mut self) -> Option<End> {
        let Life::Running(life) = &mut self.life else { return None };
        let killed = async {
            let ((), end) = tokio::join!(self.instance.kill(), life);
            end
        };
        match tokio::time::timeout(DEATH_WITHIN, killed).await {
            Ok(end) => {
                self.life = Life::Ended(end.clone());
                Some(end)
            }
            Err(_) => {
                tracing::debug!(service = self.service.name, "a service does not end");
                None
            }
        }
    }

    fn exit(&self) -> String {
        match &self.life {
            Life::Ended(End { exit_code: Some(code), .. }) => format!("ended with exit code {code}"),
            Life::Created | Life::Running(_) | Life::Ended(_) => "ended".to_owned(),
        }
    }

    fn output(&self) -> ServiceOutput {
        let last_lines = match &self.life {
            Life::Ended(end) => end.last_lines.clone(),
            Life::Created | Life::Running(_) => Vec::new(),
        };
        ServiceOutput { last_lines, file: self.log.clone() }
    }
}

impl<I: Instance> Services<I> {
    /// Waits until all are ready.
    pub(crate) async fn get_ready(&mut self, context: &StepContext) -> Result<(), EngineError> {
        let asks = self.all.iter().enumerate().map(|(index, running)| {
            let (question, instance) = (running.question.clone(), running.instance.clone());
            let within = Duration::from_secs(running.service.ready_within_seconds);
            async move { (index, readiness::wait(&question, &instance, within).await) }
        });
        let mut asks: FuturesUnordered<_> = asks.collect();
        loop {
            tokio::select! {
                biased;
                index = self.next_end() => self.ended_while_waiting(context, index)?,
                answer = asks.next() => match answer {
                    None => return Ok(()),
                    Some((index, answer)) => {
                        let answer = answer?;
                        let Some(running) = self.all.get_mut(index) else { continue };
                        match answer {
                            Readiness::Ready => running.is_ready = true,
                            Readiness::NotInTime(answer) => return Err(not_ready(running, answer).await),
                        }
                    }
                },
            }
        }
    }

    /// Waits for `work` while reading the services' output, and reports which services end.
    pub(crate) async fn beside<T>(&mut self, context: &StepContext, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                result = &mut work => return result,
                index = self.next_end() => self.report_end(context, index),
            }
        }
    }

    /// Kills the services that still run, and returns when all their output is written. One that ended just before may be why the step failed.
    pub(crate) async fn end(&mut self, context: &StepContext) {
        let ended = join_all(self.all.iter_mut().map(Running::end)).await;
        for (index, end) in ended.into_iter().enumerate() {
            if end.is_some_and(|end| end.exit_code.is_some_and(|code| code != KILLED)) {
                self.report_end(context, index);
            }
        }
    }

    /// Returns the position of the next service that ends by itself; never resolves if none runs.
    async fn next_end(&mut self) -> usize {
        poll_fn(|task| {
            for (index, running) in self.all.iter_mut().enumerate() {
                if let Life::Running(life) = &mut running.life
                    && let Poll::Ready(end) = life.poll_unpin(task)
                {
                    running.life = Life::Ended(end);
                    return Poll::Ready(index);
                }
            }
            Poll::Pending
        })
        .await
    }

    fn ended_while_waiting(&self, context: &StepContext, index: usize) -> Result<(), EngineError> {
        let Some(running) = self.all.get(index).filter(|running| !running.is_ready) else {
            self.report_end(context, index);
            return Ok(());
        };
        Err(EngineError::ServiceEnded {
            name: running.service.name.clone(),
            ended: running.exit(),
            question: running.question.to_string(),
            said: running.output(),
        })
    }

    fn report_end(&self, context: &StepContext, index: usize) {
        let Some(running) = self.all.get(index) else { return };
        let (name, key) = (&running.service.name, &context.step().key);
        let (exit, log) = (running.exit(), running.log.display());
        context.events.notice(format!("Service `{name}` {exit} while step `{key}` ran. Its output is in `{log}`."));
    }
}

async fn not_ready<I: Instance>(running: &mut Running<I>, answer: String) -> EngineError {
    running.end().await;
    EngineError::ServiceNotReady {
        name: running.service.name.clone(),
        seconds: running.service.ready_within_seconds,
        answer,
        said: running.output(),
    }
}

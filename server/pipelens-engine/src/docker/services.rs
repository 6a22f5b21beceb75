//! Containers that run alongside a step's command: a database, a cache, a browser. Created for every attempt, and removed after it.
//!
//! A service joins the network of the step's own container, so that usually no network has to be created. Only services that would listen on the
//! same port have an address of their own, in a network of the step (see [`Network`]), where all reach each other by name. Whatever the
//! step's `network` is, step and services reach each other at `localhost`, and the step's `/etc/hosts`, which they share, has the services' names.
//! (Podman shares that file only if there is a network, and adds a line to it for every container that joins, after which a chain of steps
//! can no longer share the container.)
//! It shares nothing else, neither processes nor files, so nothing of it ends up in a snapshot.
//!
//! If we are killed, a service ends because its standard input ends: a shell of ours watches it, alongside the image's own
//! process. An image without `sh` is started without this watch, and is removed by the sweep of the next run.
//!
//! Its state is discarded with its container anyway, so it is killed without warning when the step's command has ended.

use std::collections::HashMap;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig};
use futures_util::future::{BoxFuture, join_all, try_join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use pipelens_core::arguments::{Ready, Service};

use crate::docker::arguments::{self, Arguments};
use crate::docker::container::{Container, DEATH_WITHIN, KILLED, attended};
use crate::docker::image::ImageFacts;
use crate::docker::labels;
use crate::docker::network::Network;
use crate::docker::readiness::{self, Question, Readiness};
use crate::docker::session::Session;
use crate::docker::shell_names;
use crate::docker::worker::Worker;
use crate::error::{EngineError, ServiceOutput};
use crate::event::Phase;
use crate::logs::ServiceLogs;
use crate::run_files::service_log_file;
use crate::step_context::StepContext;
use crate::stop::{self, Interruption};
use crate::supervisor::{Frame, Streams};

/// Runs before the service: a grandchild process, so that the service has no child it did not start, waits for the end of our
/// connection and then kills everything. `kill -1` spares the init process and the sender.
const WATCH: &str = "exec 3<&0 </dev/null
( ( while read -r _ <&3; do :; done; kill -KILL -1 ) >/dev/null 2>&1 & )
exec 3<&-
";

/// Where a service finds its secrets, as in Docker's own.
const SECRETS: &str = "run/secrets";

/// The services of one attempt of a step.
#[derive(Default)]
pub(super) struct Services {
    /// In the order of the file.
    all: Vec<Running>,
}

struct Running {
    service: Service,
    container: Container,
    question: Question,
    /// Whether it has a network of its own.
    is_apart: bool,
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
struct End {
    /// `None`: the engine did not report it.
    exit_code: Option<i64>,
    last_lines: Vec<String>,
}

/// Returns the images of services.
pub(super) async fn images(
    session: &Session,
    context: &StepContext,
    services: &[Service],
) -> Result<Vec<Arc<ImageFacts>>, Interruption> {
    let no_arguments = Arguments::default();
    let images = try_join_all(services.iter().map(|service| async {
        let image = session.images().ensure(&service.image, &no_arguments, context).await;
        image.map_err(|error| of_service(service, error))
    }));
    session.unless_stopped(context, images).await
}

/// Returns the names of the services that would listen on the same port as another one.
pub(super) fn on_one_port(services: &[Service], images: &[Arc<ImageFacts>]) -> Vec<String> {
    let ports: Vec<Option<u16>> =
        services.iter().zip(images).map(|(service, image)| readiness::port(service, image)).collect();
    let is_shared = |port: &Option<u16>| port.is_some() && ports.iter().filter(|other| *other == port).count() > 1;
    services.iter().zip(&ports).filter(|(_, port)| is_shared(port)).map(|(service, _)| service.name.clone()).collect()
}

/// Starts the services of a step and waits until all are ready. All are created before a stop is obeyed, because if a creation were interrupted,
/// there could be a container that we do not know of.
pub(super) async fn start(
    session: &Session,
    context: &StepContext,
    arguments: &Arguments,
    images: Vec<Arc<ImageFacts>>,
    worker: &mut Worker,
    services: &mut Services,
) -> Result<(), Interruption> {
    let wanted = &arguments.services;
    if wanted.is_empty() {
        return Ok(());
    }
    session.unless_stopped(context, worker.wake()).await?;
    let step = &worker.container;
    let created = join_all(wanted.iter().zip(images).map(|(service, image)| async {
        let network = worker.network.as_ref().filter(|_| arguments.is_apart(&service.name));
        create(session, context, service, image, step, network).await.map_err(|error| of_service(service, error))
    }));
    let mut refused = None;
    for created in created.await {
        match created {
            Ok(running) => services.all.push(running),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    refused.map_or(Ok(()), Err)?;
    stop::check(&context.stop)?;
    let started = join_all(services.all.iter_mut().map(|running| running.start(context))).await;
    started.into_iter().collect::<Result<(), _>>()?;
    context.report_phase(Phase::WaitingForServices {
        services: wanted.iter().map(|service| service.name.clone()).collect(),
    });
    session.unless_stopped(context, services.get_ready(context, step)).await
}

async fn create(
    session: &Session,
    context: &StepContext,
    service: &Service,
    image: Arc<ImageFacts>,
    step: &Container,
    network: Option<&Network>,
) -> Result<Running, EngineError> {
    let own: Vec<String> = image.entrypoint.iter().chain(&image.cmd).flatten().cloned().collect();
    let (name, reference) = (&service.name, image.reference.clone());
    if own.is_empty() && service.cmd.is_none() {
        return Err(EngineError::ServiceWithoutCommand { name: name.clone(), image: reference });
    }
    let mut labels = session.labels_of(context);
    labels.insert(labels::SERVICE.to_owned(), name.clone());
    let create = |entrypoint: Vec<String>| {
        let body = body(service, &image, step, network, entrypoint, labels.clone());
        Container::create_from(&session.docker, body, "", Arc::clone(&image), image.user.clone())
    };
    let mut container = create(watched(service, &image)).await?;
    let mut has_shell = true;
    if !container.has_shell().await? {
        container.remove().await;
        let asks_itself = network.is_some() && matches!(service.ready, Some(Ready::Port(_)));
        if let Some(key) = needs_shell(service).or(asks_itself.then_some("ready")) {
            return Err(EngineError::ServiceWithoutShell { name: name.clone(), key, image: reference });
        }
        container = create(own).await?;
        has_shell = false;
    }
    if let Err(error) = give_secrets(context, service, &container).await {
        container.remove().await;
        return Err(error);
    }
    let question = match Question::of(service, &image) {
        // Only its own shell could tell.
        Question::Port(_) if network.is_some() && !has_shell => Question::Nothing,
        question => question,
    };
    Ok(Running {
        question,
        is_apart: network.is_some(),
        log: service_log_file(&context.log_dir, &context.step().key, name),
        service: service.clone(),
        container,
        is_ready: false,
        life: Life::Created,
    })
}

/// Puts the secrets of a service into its container, which has not started yet and is never saved.
async fn give_secrets(context: &StepContext, service: &Service, container: &Container) -> Result<(), EngineError> {
    let secrets = service.secrets.iter().filter_map(|name| Some((name, context.service_secrets.get(name)?)));
    let files: Vec<(String, &[u8])> =
        secrets.map(|(name, value)| (format!("{SECRETS}/{name}"), value.as_bytes())).collect();
    if files.is_empty() {
        return Ok(());
    }
    container.put("receive the secrets", &files).await
}

/// Adds the service's name to an error, unless the engine itself is gone.
fn of_service(service: &Service, error: EngineError) -> EngineError {
    match error {
        EngineError::ImageNotFound { .. }
        | EngineError::RegistryRefused { .. }
        | EngineError::PullFailed { .. }
        | EngineError::Refused { .. } => EngineError::Service { name: service.name.clone(), error: Box::new(error) },
        other => other,
    }
}

fn body(
    service: &Service,
    image: &ImageFacts,
    step: &Container,
    network: Option<&Network>,
    entrypoint: Vec<String>,
    labels: HashMap<String, String>,
) -> ContainerCreateBody {
    let variables = service.env.iter().map(|(name, value)| format!("{name}={value}"));
    let network_mode = network.map_or_else(|| format!("container:{}", step.id), |network| network.name.clone());
    let own = HostConfig { network_mode: Some(network_mode), ..HostConfig::default() };
    let mut host_config = arguments::with_options(own, &service.options);
    if network.is_none() {
        // It has the step's.
        host_config.extra_hosts = None;
    }
    ContainerCreateBody {
        env: Some(variables.collect()),
        networking_config: network.map(|network| Network::only(&network.name, vec![service.name.clone()])),
        // We run the check ourselves.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".into()]), ..HealthConfig::default() }),
        ..attended(image, entrypoint, labels, host_config)
    }
}

/// Returns what the service runs, after the watch. A `cmd` replaces the image's command, as in `docker run IMAGE`: many
/// entry points inspect its first word.
fn watched(service: &Service, image: &ImageFacts) -> Vec<String> {
    let entrypoint = image.entrypoint.as_deref().unwrap_or_default();
    // Our own shell drops them, and so does the one that runs the line.
    let prefix = shell_names::prefix(service.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let line = match &service.cmd {
        None => format!("exec {prefix}\"$@\""),
        Some(cmd) if entrypoint.is_empty() => shell_names::with_prefix(cmd, &prefix),
        Some(cmd) => format!("{prefix}\"$@\" {cmd}"),
    };
    let cmd = image.cmd.as_deref().filter(|_| service.cmd.is_none()).unwrap_or_default();
    let shell = ["sh".to_owned(), "-c".to_owned(), format!("{WATCH}{line}"), "sh".to_owned()];
    shell.into_iter().chain(entrypoint.iter().chain(cmd).cloned()).collect()
}

fn needs_shell(service: &Service) -> Option<&'static str> {
    let asks_by_command = service.ready.as_ref().is_some_and(|ready| matches!(ready, Ready::Command(_)));
    service.cmd.as_ref().map(|_| "cmd").or(asks_by_command.then_some("ready"))
}

impl Running {
    async fn start(&mut self, context: &StepContext) -> Result<(), EngineError> {
        let logs =
            ServiceLogs::open(&self.log, context.events.clone(), &context.patterns, context.log_room.clone()).await?;
        // Attached first, so that no output is missed.
        let attached = self.container.attach().await.map_err(|error| of_service(&self.service, error))?;
        self.container.start().await.map_err(|error| of_service(&self.service, error))?;
        self.life = Life::Running(live(self.container.clone(), attached, logs).boxed());
        Ok(())
    }

    /// Kills it, unless it has already ended, and reads the rest of its output.
    async fn end(&mut self) -> Option<End> {
        let Life::Running(life) = &mut self.life else { return None };
        let killed = async {
            self.container.kill().await.ok();
            life.await
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

/// Our end of the service's standard input, kept open for as long as it runs.
async fn live(container: Container, streams: Streams, mut logs: ServiceLogs) -> End {
    let Streams { input, mut output } = streams;
    while let Some(Ok(Frame { stream, bytes })) = output.next().await {
        logs.write(stream, &bytes).await;
    }
    let last_lines = logs.finish().await;
    let exit_code = container.exit_code().await.ok();
    drop(input);
    End { exit_code, last_lines }
}

impl Services {
    async fn get_ready(&mut self, context: &StepContext, step: &Container) -> Result<(), EngineError> {
        let asks = self.all.iter().enumerate().map(|(index, running)| {
            let (question, own) = (running.question.clone(), running.container.clone());
            let step = if running.is_apart { own.clone() } else { step.clone() };
            let within = Duration::from_secs(running.service.ready_within_seconds);
            async move { (index, readiness::wait(&question, &own, &step, within).await) }
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
    pub(super) async fn beside<T>(&mut self, context: &StepContext, work: impl Future<Output = T>) -> T {
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
    pub(super) async fn end(&mut self, context: &StepContext) {
        let ended = join_all(self.all.iter_mut().map(Running::end)).await;
        for (index, end) in ended.into_iter().enumerate() {
            if end.is_some_and(|end| end.exit_code.is_some_and(|code| code != KILLED)) {
                self.report_end(context, index);
            }
        }
    }

    pub(super) async fn remove(self) {
        join_all(self.all.into_iter().map(|running| running.container.remove())).await;
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

async fn not_ready(running: &mut Running, answer: String) -> EngineError {
    running.end().await;
    EngineError::ServiceNotReady {
        name: running.service.name.clone(),
        seconds: running.service.ready_within_seconds,
        answer,
        said: running.output(),
    }
}

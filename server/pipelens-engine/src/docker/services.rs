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
use std::sync::Arc;

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig};
use futures_util::StreamExt as _;
use futures_util::future::{join_all, try_join_all};
use pipelens_core::arguments::{Ready, Service};

use crate::docker::arguments::{self, Arguments};
use crate::docker::container::{Container, attended};
use crate::docker::image::ImageFacts;
use crate::docker::labels;
use crate::docker::listening::Listener;
use crate::docker::network::Network;
use crate::docker::session::Session;
use crate::docker::worker::Worker;
use crate::error::EngineError;
use crate::event::Phase;
use crate::logs::ServiceLogs;
use crate::services::readiness::{Question, ServiceImage};
use crate::services::{End, Instance, Running, Services, line, of_service};
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

impl Instance for Listener {
    async fn kill(&self) {
        self.service.kill().await.ok();
    }
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

/// Returns what an image says about how it runs.
pub(super) fn image_of(facts: &ImageFacts) -> ServiceImage {
    ServiceImage {
        entrypoint: facts.entrypoint.clone().unwrap_or_default(),
        cmd: facts.cmd.clone().unwrap_or_default(),
        exposed_port: facts.exposed_port,
        health_check: facts.health_check.clone(),
    }
}

/// Starts the services of a step and waits until all are ready. All are created before a stop is obeyed, because if a creation were interrupted,
/// there could be a container that we do not know of.
pub(super) async fn start(
    session: &Session,
    context: &StepContext,
    arguments: &Arguments,
    images: Vec<Arc<ImageFacts>>,
    worker: &mut Worker,
    services: &mut Services<Listener>,
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
    let started = join_all(services.all.iter_mut().map(|running| start_one(context, running))).await;
    started.into_iter().collect::<Result<(), _>>()?;
    context.report_phase(Phase::WaitingForServices {
        services: wanted.iter().map(|service| service.name.clone()).collect(),
    });
    session.unless_stopped(context, services.get_ready(context)).await
}

async fn create(
    session: &Session,
    context: &StepContext,
    service: &Service,
    image: Arc<ImageFacts>,
    step: &Container,
    network: Option<&Network>,
) -> Result<Running<Listener>, EngineError> {
    let facts = image_of(&image);
    let own: Vec<String> = facts.entrypoint.iter().chain(&facts.cmd).cloned().collect();
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
    let mut container = create(watched(service, &facts)).await?;
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
    let question = match Question::of(service, &facts) {
        // Only its own shell could tell.
        Question::Port(_) if network.is_some() && !has_shell => Question::Nothing,
        question => question,
    };
    // One with a network of its own can only be asked itself.
    let step = if network.is_some() { container.clone() } else { step.clone() };
    Ok(Running::new(context, service.clone(), Listener { service: container, step }, question))
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

/// Returns what the service runs, after the watch.
fn watched(service: &Service, image: &ServiceImage) -> Vec<String> {
    let cmd = if service.cmd.is_none() { image.cmd.as_slice() } else { &[] };
    let shell = ["sh".to_owned(), "-c".to_owned(), format!("{WATCH}{}", line(service, image)), "sh".to_owned()];
    shell.into_iter().chain(image.entrypoint.iter().chain(cmd).cloned()).collect()
}

fn needs_shell(service: &Service) -> Option<&'static str> {
    let asks_by_command = service.ready.as_ref().is_some_and(|ready| matches!(ready, Ready::Command(_)));
    service.cmd.as_ref().map(|_| "cmd").or(asks_by_command.then_some("ready"))
}

async fn start_one(context: &StepContext, running: &mut Running<Listener>) -> Result<(), EngineError> {
    let container = running.instance.service.clone();
    let logs = running.logs(context).await?;
    // Attached first, so that no output is missed.
    let attached = container.attach().await.map_err(|error| of_service(&running.service, error))?;
    container.start().await.map_err(|error| of_service(&running.service, error))?;
    running.runs(live(container, attached, logs));
    Ok(())
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

pub(super) async fn remove(services: Services<Listener>) {
    join_all(services.all.into_iter().map(|running| running.instance.service.remove())).await;
}

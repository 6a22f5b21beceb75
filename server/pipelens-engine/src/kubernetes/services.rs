//! The services of a step: containers of its own pod, so that they have its network and are reached at `localhost`, as in Docker, also those that
//! listen nowhere else. A step with services has a pod of its own, because no container can be added to a pod that runs.
//!
//! Only services that would listen on the same port have pods, and so addresses, of their own. Those are made first: the step's pod has their
//! addresses in its `/etc/hosts`. Theirs are completed when all are known, which only root may do in a container.
//!
//! The first process of each is the agent. It gets everything that a service runs with over its connection, starts it, says what it writes and
//! how it ends, and ends the container when we are gone.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use pipelens_agent::client::{Agent, AgentError, OutputSink};
use pipelens_agent::protocol::message::{ApplyRequest, AskRequest, Failure, Host, Reason, RunRequest, Stream, Then};
use pipelens_core::arguments::{Ready, Service};
use tar::{Builder, Header};
use tokio::sync::oneshot;

use crate::clock;
use crate::error::EngineError;
use crate::event::Phase;
use crate::kubernetes::agents;
use crate::kubernetes::arguments::{Arguments, extra_hosts};
use crate::kubernetes::image::Image;
use crate::kubernetes::pod::{Beside, Extras};
use crate::kubernetes::pods::{self, Pods};
use crate::kubernetes::session::{First, Session, StartedPod};
use crate::kubernetes::volumes::{Mount, Volumes};
use crate::logs::ServiceLogs;
use crate::services::readiness::{Asks, Question, ServiceImage};
use crate::services::{End, Instance, Running, Services, line, of_service, on_one_port};
use crate::step_context::StepContext;
use crate::stop::Interruption;

/// Where a service finds its secrets, as in Docker's own.
const SECRETS: &str = "/run/secrets";
/// Everybody in the container may read them: the service may run as another user than the agent.
const SECRET_MODE: u32 = 0o444;
const LOCALHOST: &str = "127.0.0.1";

/// A service whose image is known.
pub(super) struct Prepared<'a> {
    service: &'a Service,
    image: Image,
    says: ServiceImage,
    /// Whether it has a pod of its own.
    is_apart: bool,
}

/// The agent of a service's container.
#[derive(Clone)]
pub(super) struct ServiceAgent {
    agent: Arc<Agent>,
    service: Arc<Service>,
    image: String,
}

/// The pod of a service that has one of its own.
struct Apart {
    name: String,
    pod: String,
    address: String,
    agent: Arc<Agent>,
}

/// What the services of an attempt leave until they are removed.
#[derive(Default)]
pub(super) struct ServicePods {
    pub(super) running: Services<ServiceAgent>,
    apart: Vec<Apart>,
}

/// Looks up the images of a step's services.
pub(super) async fn prepare<'a>(
    session: &Session,
    context: &StepContext,
    arguments: &'a Arguments,
) -> Result<Vec<Prepared<'a>>, Interruption> {
    let own = arguments.of_service();
    let found = try_join_all(arguments.services.iter().map(|service| async {
        let (image, _) = session.base(context, &service.image, &own).await.map_err(|error| match error {
            Interruption::Failed(error) => Interruption::Failed(of_service(service, error)),
            Interruption::Stopped => Interruption::Stopped,
        })?;
        let says = image.as_service();
        if says.entrypoint.is_empty() && says.cmd.is_empty() && service.cmd.is_none() {
            let (name, image) = (service.name.clone(), service.image.clone());
            return Err(Interruption::Failed(EngineError::ServiceWithoutCommand { name, image }));
        }
        Ok(Prepared { service, image, says, is_apart: false })
    }));
    let mut prepared = found.await?;
    let images: Vec<ServiceImage> = prepared.iter().map(|prepared| prepared.says.clone()).collect();
    let apart = on_one_port(&arguments.services, &images);
    for prepared in &mut prepared {
        prepared.is_apart = apart.contains(&prepared.service.name);
    }
    Ok(prepared)
}

/// Starts the pods of those that need one of their own. What they leave is in `leftovers`, whatever happens.
pub(super) async fn start_apart(
    session: &Session,
    context: &StepContext,
    arguments: &Arguments,
    prepared: &[Prepared<'_>],
    leftovers: &mut ServicePods,
) -> Result<(), Interruption> {
    let own = arguments.of_service();
    let started = join_all(prepared.iter().filter(|it| it.is_apart).map(|it| start_pod(session, context, &own, it)));
    let mut refused = None;
    for started in started.await {
        match started {
            Ok(apart) => leftovers.apart.push(apart),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    refused.map_or(Ok(()), Err)
}

async fn start_pod(
    session: &Session,
    context: &StepContext,
    arguments: &Arguments,
    prepared: &Prepared<'_>,
) -> Result<Apart, Interruption> {
    let Prepared { service, image, .. } = prepared;
    let mut extras = Extras { hosts: extra_hosts(&service.options)?, ..Extras::default() };
    extras.hosts.push((service.name.clone(), LOCALHOST.to_owned()));
    extras.mounts = extras.volumes.of_options(&service.options)?;
    extras.mounts.extend(secrets_of(service, &mut extras.volumes));
    let first = First { name: &service.name, image, workdir: None, arguments };
    let StartedPod { name, agents, .. } = session.start_pod(context, first, extras).await?;
    let agent = agents.into_iter().next().ok_or(Interruption::Stopped)?;
    let found = async {
        let pods = session.pods().await?;
        let found = pods.api().get(&name).await.map_err(|error| pods::refused("look up a pod", &error))?;
        let address = found.status.pod_ip;
        address.ok_or_else(|| EngineError::Cluster { doing: "look up a pod", reason: "it has no address".to_owned() })
    };
    // A pod that is not remembered is found by its label when the run closes.
    let address = session.unless_stopped(context, found).await?;
    Ok(Apart { name: service.name.clone(), pod: name, address, agent: Arc::new(agent) })
}

/// Adds the containers and names of a step's services to its pod.
pub(super) fn add_to(
    extras: &mut Extras,
    prepared: &[Prepared<'_>],
    leftovers: &ServicePods,
) -> Result<(), EngineError> {
    for Prepared { service, image, .. } in prepared.iter().filter(|it| !it.is_apart) {
        let mut mounts = extras.volumes.of_options(&service.options)?;
        mounts.extend(secrets_of(service, &mut extras.volumes));
        extras.beside.push(Beside { image: Some(image.clone()), user: None, mounts });
        extras.hosts.push((service.name.clone(), LOCALHOST.to_owned()));
        extras.hosts.extend(extra_hosts(&service.options)?);
    }
    extras.hosts.extend(leftovers.apart.iter().map(|apart| (apart.name.clone(), apart.address.clone())));
    Ok(())
}

/// Starts the services, and waits until all are ready. `beside`: the agents of those that are in the step's pod.
pub(super) async fn start(
    session: &Session,
    context: &StepContext,
    prepared: &[Prepared<'_>],
    step_pod: &str,
    beside: Vec<Agent>,
    leftovers: &mut ServicePods,
) -> Result<(), Interruption> {
    if prepared.is_empty() {
        return Ok(());
    }
    if !leftovers.apart.is_empty() {
        session.unless_stopped(context, introduce(session, context, prepared, step_pod, &leftovers.apart)).await?;
    }
    let mut beside = beside.into_iter().map(Arc::new);
    for Prepared { service, says, is_apart, .. } in prepared {
        let agent = match is_apart {
            true => leftovers.apart.iter().find(|it| it.name == service.name).map(|it| Arc::clone(&it.agent)),
            false => beside.next(),
        };
        let agent = agent.ok_or(Interruption::Stopped)?;
        let own = ServiceAgent { agent, service: Arc::new((*service).clone()), image: service.image.clone() };
        let running = Running::new(context, (*service).clone(), own, Question::of(service, says));
        leftovers.running.all.push(running);
    }
    let started = join_all(
        leftovers.running.all.iter_mut().zip(prepared).map(|(running, prepared)| begin(context, running, prepared)),
    );
    let started = async { started.await.into_iter().collect::<Result<(), EngineError>>() };
    session.unless_stopped(context, started).await?;
    context.report_phase(Phase::WaitingForServices {
        services: prepared.iter().map(|prepared| prepared.service.name.clone()).collect(),
    });
    session.unless_stopped(context, leftovers.running.get_ready(context)).await
}

/// Tells the services that have pods of their own the addresses of all others.
async fn introduce(
    session: &Session,
    context: &StepContext,
    prepared: &[Prepared<'_>],
    step_pod: &str,
    apart: &[Apart],
) -> Result<(), EngineError> {
    let pods = session.pods().await?;
    let found = pods.api().get(step_pod).await.map_err(|error| pods::refused("look up a pod", &error))?;
    let address_of_step = found.status.pod_ip.unwrap_or_default();
    let host = |name: &str, address: &str| Host { name: name.to_owned(), address: address.to_owned() };
    let together: Vec<Host> =
        prepared.iter().filter(|it| !it.is_apart).map(|it| host(&it.service.name, &address_of_step)).collect();
    let told = join_all(apart.iter().map(|one| {
        let others = apart.iter().filter(|other| other.name != one.name);
        let hosts: Vec<Host> = others.map(|it| host(&it.name, &it.address)).chain(together.iter().cloned()).collect();
        async move { if hosts.is_empty() { Ok(()) } else { one.agent.add_hosts(hosts).await } }
    }));
    for (one, told) in apart.iter().zip(told.await) {
        if let Err(error) = told {
            let name = &one.name;
            context.events.notice(format!("Service `{name}` does not know the names of the other services: {error}."));
        }
    }
    Ok(())
}

/// Starts one service. Returns when it runs.
async fn begin(
    context: &StepContext,
    running: &mut Running<ServiceAgent>,
    prepared: &Prepared<'_>,
) -> Result<(), EngineError> {
    let Prepared { service, image, says, .. } = prepared;
    let own = running.instance.clone();
    let in_service = |error: &AgentError| EngineError::Service {
        name: service.name.clone(),
        error: Box::new(agents::refused("start it", error)),
    };
    give_secrets(context, service, &own.agent).await.map_err(|error| in_service(&error))?;
    let logs = running.logs(context).await?;
    let (starts, started) = oneshot::channel();
    let request = RunRequest {
        shell: command(service, says),
        script: None,
        variables: service.env.clone(),
        workdir: image.workdir().to_owned(),
        then: Then::End,
        after_listing: false,
    };
    let agent = Arc::clone(&own.agent);
    let mut life = Box::pin(async move {
        let mut sink = ServiceSink { logs, starts: Some(starts) };
        let report = agent.run(request, &mut sink).await;
        let exit_code = report.as_ref().ok().map(|report| i64::from(report.exit_code));
        (End { exit_code, last_lines: sink.logs.finish().await }, report.err())
    });
    tokio::select! {
        biased;
        Ok(()) = started => {}
        (end, error) = &mut life => match error {
            Some(error) if is_not_found(&error) && service.cmd.is_some() => return Err(own.without_shell("cmd")),
            Some(error) => return Err(in_service(&error)),
            None => {
                running.runs(std::future::ready(end));
                return Ok(());
            }
        },
    }
    running.runs(async move { life.await.0 });
    Ok(())
}

/// Returns the program of a service with its arguments.
fn command(service: &Service, image: &ServiceImage) -> Vec<String> {
    match service.cmd {
        None => image.entrypoint.iter().chain(&image.cmd).cloned().collect(),
        Some(_) => {
            let shell = ["sh".to_owned(), "-c".to_owned(), line(service, image), "sh".to_owned()];
            shell.into_iter().chain(image.entrypoint.iter().cloned()).collect()
        }
    }
}

/// Returns the folder for the secrets of a service, which is empty in the pod's specification.
fn secrets_of(service: &Service, volumes: &mut Volumes) -> Option<Mount> {
    (!service.secrets.is_empty()).then(|| volumes.memory(SECRETS, None))
}

async fn give_secrets(context: &StepContext, service: &Service, agent: &Agent) -> Result<(), AgentError> {
    let failed = |error: std::io::Error| AgentError::Source(error.to_string());
    let mut archive = Builder::new(Vec::new());
    for name in &service.secrets {
        let Some(value) = context.service_secrets.get(name) else { continue };
        let mut header = Header::new_gnu();
        header.set_mode(SECRET_MODE);
        header.set_mtime(u64::try_from(clock::seconds_now()).unwrap_or(0));
        header.set_size(value.len() as u64);
        archive.append_data(&mut header, name, value.as_bytes()).map_err(failed)?;
    }
    if service.secrets.is_empty() {
        return Ok(());
    }
    let request = ApplyRequest::adding_to(SECRETS);
    let archive = Bytes::from(archive.into_inner().map_err(failed)?);
    agent.apply(request, futures_util::stream::iter([Ok(archive)])).await.map(drop)
}

fn is_not_found(error: &AgentError) -> bool {
    matches!(error, AgentError::Failed(Failure { reason: Reason::NotFound, .. }))
}

impl ServiceAgent {
    fn without_shell(&self, key: &'static str) -> EngineError {
        EngineError::ServiceWithoutShell { name: self.service.name.clone(), key, image: self.image.clone() }
    }
}

impl Asks for ServiceAgent {
    async fn ask(&self, question: &Question) -> Result<Option<String>, EngineError> {
        let asked = match question {
            Question::Nothing => return Ok(None),
            Question::Command(_, command) => {
                let request = AskRequest { command: command.clone(), variables: self.service.env.clone() };
                self.agent.ask(request).await.map(|asked| (i64::from(asked.exit_code), asked.said))
            }
            Question::Port(port) => self.agent.listens(*port).await.map(|listens| (i64::from(!listens), String::new())),
        };
        match asked {
            Ok((0, _)) => Ok(None),
            Ok((code, said)) => Ok(Some(question.no(code, &said))),
            Err(error) if is_not_found(&error) && matches!(self.service.ready, Some(Ready::Command(_))) => {
                Err(self.without_shell("ready"))
            }
            // The service is ending, which is noticed elsewhere, or its image lacks the command.
            Err(error) => Ok(Some(format!("the check could not be run: {error}"))),
        }
    }
}

impl Instance for ServiceAgent {
    async fn kill(&self) {
        self.agent.kill().await.ok();
    }
}

/// Writes what a service says to its file.
struct ServiceSink {
    logs: ServiceLogs,
    starts: Option<oneshot::Sender<()>>,
}

impl OutputSink for ServiceSink {
    fn started(&mut self) {
        if let Some(starts) = self.starts.take() {
            starts.send(()).ok();
        }
    }

    async fn take(&mut self, stream: Stream, bytes: &Bytes) {
        self.logs.write(agents::std_stream(stream), bytes).await;
    }
}

impl ServicePods {
    /// Removes the pods of those that have one of their own; the others go with the step's.
    pub(super) async fn remove(self, pods: &Pods) {
        join_all(self.apart.iter().map(|apart| pods.discard(&apart.pod))).await;
    }
}

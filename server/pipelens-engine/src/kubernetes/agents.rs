//! How an agent in a pod is reached, and what it is told. Knows nothing about scheduling.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use kube::api::{Api, AttachParams, AttachedProcess};
use pipelens_agent::client::{Agent, AgentError, Connection, DialError, Options};
use pipelens_agent::protocol::message;
use tokio::io::{AsyncRead, ReadBuf, ReadHalf, SimplexStream};

use crate::error::{EngineError, with_causes};
use crate::event::StdStream;
use crate::kubernetes::names;
use crate::kubernetes::registry_requests::PushTarget;
use crate::kubernetes::resources::Pod;
use crate::step_context::StepContext;
use crate::supervisor::trust_folders;

/// How long an agent waits for a lost connection to come back before it ends its pod: longer than a kubelet takes to restart.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// What is on its way in each direction of a connection.
const BUFFER_BYTES: usize = 256 * 1024;

/// Connects to the agent of a container, and connects again whenever the connection is lost.
pub(super) async fn connect(pods: Api<Pod>, pod: String, container: String) -> Result<Agent, AgentError> {
    let dialer = move || dial(pods.clone(), pod.clone(), container.clone()).boxed();
    Agent::connect(Arc::new(dialer), Options { patience: PATIENCE, ..Options::default() }).await
}

async fn dial(pods: Api<Pod>, pod: String, container: String) -> Result<Connection, DialError> {
    let parameters = AttachParams {
        container: Some(container),
        stdin: true,
        stdout: true,
        stderr: false,
        tty: false,
        max_stdin_buf_size: Some(BUFFER_BYTES),
        max_stdout_buf_size: Some(BUFFER_BYTES),
        max_stderr_buf_size: None,
    };
    let executed = pods.exec(&pod, [names::AGENT, "connect"], &parameters).await;
    let mut process = executed.map_err(|error| match &error {
        kube::Error::Api(status) if status.code == 404 => DialError::Final("the pod is gone".to_owned()),
        _ => DialError::Retry(with_causes(&error)),
    })?;
    match (process.stdout(), process.stdin()) {
        (Some(output), Some(input)) => Ok(Connection::new(Output { _process: process, output }, input)),
        _ => Err(DialError::Retry("the command has no streams".to_owned())),
    }
}

/// What a command in a container writes.
struct Output {
    /// Copies the bytes for as long as it lives.
    _process: AttachedProcess,
    output: ReadHalf<SimplexStream>,
}

impl AsyncRead for Output {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(context, to)
    }
}

/// Returns the variables of a step's command, with its secrets.
pub(super) fn variables(context: &StepContext) -> Result<Vec<(String, String)>, EngineError> {
    let variables = trust_folders(context)?.iter().copied().chain(context.variables()?);
    Ok(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Returns the registry as an agent needs it.
pub(super) fn push_registry(target: PushTarget) -> message::Registry {
    message::Registry {
        repository: format!("{}/v2/{}", target.origin, target.name),
        authorization: target.authorization,
        trusted: None,
        insecure: target.origin.starts_with("http://"),
    }
}

/// Returns the stream of a command, as logs name it.
pub(super) fn std_stream(stream: message::Stream) -> StdStream {
    match stream {
        message::Stream::Stdout => StdStream::Stdout,
        message::Stream::Stderr => StdStream::Stderr,
    }
}

/// Returns the error for a command whose end is unknown.
pub(super) fn lost(error: &AgentError) -> EngineError {
    EngineError::PodLost { reason: with_causes(error) }
}

/// Returns the error for something that an agent could not do.
pub(super) fn refused(doing: &'static str, error: &AgentError) -> EngineError {
    EngineError::Cluster { doing, reason: with_causes(error) }
}

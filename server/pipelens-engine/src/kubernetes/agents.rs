//! How an agent in a pod is reached, and what it is told. Knows nothing about scheduling.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::StatusCode;
use kube::api::{Api, AttachParams, AttachedProcess};
use kube::client::UpgradeConnectionError;
use pipelens_agent::client::{Agent, AgentError, Connection, DialError, Options};
use pipelens_agent::protocol::message;
use tokio::io::{AsyncRead, ReadBuf, ReadHalf, SimplexStream};
use tokio::time::Instant;

use crate::error::{EngineError, with_causes};
use crate::event::StdStream;
use crate::kubernetes::attempts::STARTS_WITHIN;
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
pub(super) async fn connect(pods: Api<Pod>, pod: String, container: String) -> Result<Agent, EngineError> {
    let first = Arc::new(FirstConnection::default());
    let dialer = {
        let first = Arc::clone(&first);
        move || dial(pods.clone(), pod.clone(), container.clone(), Arc::clone(&first)).boxed()
    };
    let connecting = Agent::connect(Arc::new(dialer), Options { patience: PATIENCE, ..Options::default() });
    connecting.await.map_err(|error| match &error {
        AgentError::ConnectionLost { cause } if first.refused_since.get().is_some() => {
            EngineError::Cluster { doing: "connect to a pod", reason: cause.clone() }
        }
        _ => lost(&error),
    })
}

/// What became of the attempts to make the first connection.
#[derive(Default)]
struct FirstConnection {
    refused_since: OnceLock<Instant>,
    is_made: OnceLock<()>,
}

impl FirstConnection {
    /// Whether this user lacks the right, and the API server does not only start.
    fn is_refused(&self) -> bool {
        self.is_made.get().is_none() && self.refused_since.get_or_init(Instant::now).elapsed() >= STARTS_WITHIN
    }
}

async fn dial(
    pods: Api<Pod>,
    pod: String,
    container: String,
    first: Arc<FirstConnection>,
) -> Result<Connection, DialError> {
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
    let mut process = executed.map_err(|error| {
        if is_forbidden(&error) {
            let reason = "`pods/exec` is forbidden: you cannot `create` or `get` it".to_owned();
            if first.is_refused() { DialError::Final(reason) } else { DialError::Retry(reason) }
        } else {
            // Also if the pod is not found: a kubelet that starts does not know its pods yet. The watch tells when it is gone.
            DialError::Retry(with_causes(&error))
        }
    })?;
    first.is_made.get_or_init(|| ());
    match (process.stdout(), process.stdin()) {
        (Some(output), Some(input)) => Ok(Connection::new(Output { _process: process, output }, input)),
        _ => Err(DialError::Retry("the command has no streams".to_owned())),
    }
}

fn is_forbidden(error: &kube::Error) -> bool {
    match error {
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => {
            *status == StatusCode::FORBIDDEN
        }
        kube::Error::Api(status) => status.is_forbidden(),
        _ => false,
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

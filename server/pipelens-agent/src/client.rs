//! The engine's side of the conversation with an agent.
//!
//! ```ignore
//! let dialer: Arc<dyn Dialer> = Arc::new(move || dial(pod.clone()).boxed());
//! let agent = Agent::connect(dialer, Options::default()).await?;
//! agent.apply(ApplyRequest { folder: "/work".into(), .. }, archive).await?;
//! let report = agent.run(RunRequest { shell: vec!["sh".into()], script, variables, workdir, .. }, &mut logs).await?;
//! let layer = agent.push_layer(PushRequest { registry }).await?;
//! agent.goodbye().await;
//! ```
//!
//! All methods take `&self` and may be called side by side: `terminate` while `run` waits, an archive while a command runs. A method
//! whose future is dropped is cancelled in the container too; a command is killed. An agent that is dropped without a goodbye
//! ends its container when its patience is over.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

mod archive;
mod call;
mod driver;
mod requests;
mod shared;
mod shell;

pub use archive::Archive;
pub use shell::{ExitCode, Shell, ShellInput, ShellOutput};

use crate::protocol::message::{Answer, Failure, Reason, Stream};
use shared::Shared;

/// A connection to `pipelens-agent connect` in the container: its standard streams.
pub struct Connection {
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Connection {
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self { reader: Box::new(reader), writer: Box::new(writer) }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Makes a connection each time one is needed.
pub trait Dialer: Send + Sync {
    fn dial(&self) -> BoxFuture<'static, Result<Connection, DialError>>;
}

impl<F: Fn() -> BoxFuture<'static, Result<Connection, DialError>> + Send + Sync> Dialer for F {
    fn dial(&self) -> BoxFuture<'static, Result<Connection, DialError>> {
        self()
    }
}

/// Why a connection could not be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DialError {
    /// Another attempt may succeed.
    #[error("{0}")]
    Retry(String),
    /// No attempt will: the container is gone.
    #[error("{0}")]
    Final(String),
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        Self::Retry(error.to_string())
    }
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long the first connection may take.
    pub first_connection: Duration,
    /// How long a lost connection is tried again. The agent has a patience of its own, after which it ends the container.
    pub patience: Duration,
    /// How long a connection may be silent until it counts as dead, and how long making one may take. The agent speaks every second.
    pub silence: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            first_connection: Duration::from_secs(60),
            patience: Duration::from_secs(15),
            silence: Duration::from_secs(5),
        }
    }
}

/// Why a request has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AgentError {
    /// Nothing is known about what was under way: it is never a success.
    #[error("the connection to the container was lost: {cause}")]
    ConnectionLost { cause: String },
    /// The agent refused the connection: it has another version, or belongs to another run.
    #[error("the agent in the container refused the connection: {0}")]
    Refused(String),
    /// [`Agent::goodbye`] was called meanwhile.
    #[error("the agent was dismissed")]
    Dismissed,
    /// The agent did not do what it was asked for.
    #[error("{0}")]
    Failed(Failure),
    /// The caller's own archive could not be read.
    #[error("{0}")]
    Source(String),
    #[error("the agent answered something else than it was asked for")]
    Unexpected,
}

impl AgentError {
    /// What the registry asked for, if it wants other credentials.
    pub fn challenge(&self) -> Option<Option<&str>> {
        match self {
            Self::Failed(Failure { reason: Reason::Unauthorized { challenge }, .. }) => Some(challenge.as_deref()),
            _ => None,
        }
    }

    /// Whether the registry did not answer, or had an error of its own: another attempt may succeed.
    pub fn is_registry_away(&self) -> bool {
        matches!(self, Self::Failed(Failure { reason: Reason::Away, .. }))
    }
}

/// Receives what a command writes. The command waits when it has written a megabyte that was not taken.
pub trait OutputSink: Send {
    /// The command runs now.
    fn started(&mut self) {}

    fn take(&mut self, stream: Stream, bytes: &Bytes) -> impl Future<Output = ()> + Send;
}

/// Collects both streams.
impl OutputSink for Vec<u8> {
    async fn take(&mut self, _stream: Stream, bytes: &Bytes) {
        self.extend_from_slice(bytes);
    }
}

/// An agent, through however many connections it takes to talk to it.
#[derive(Debug)]
pub struct Agent {
    shared: Arc<Shared>,
    driver: tokio::task::JoinHandle<()>,
}

impl Agent {
    /// Waits for the first connection. The session belongs to this value: no other client can talk to the agent from now on.
    pub async fn connect(dialer: Arc<dyn Dialer>, options: Options) -> Result<Self, AgentError> {
        let shared = Arc::new(Shared::default());
        let driver = tokio::spawn(driver::drive(Arc::clone(&shared), dialer, options));
        let agent = Self { shared, driver };
        agent.shared.connected().await?;
        Ok(agent)
    }

    /// Whether a connection works at the moment, as far as anybody knows.
    pub fn is_connected(&self) -> bool {
        self.shared.is_connected()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> u64 {
        self.shared.connections()
    }

    /// Ends the container. What is under way is killed. Without a connection, the agent does it when its patience is over.
    pub async fn goodbye(mut self) {
        self.shared.dismiss();
        if tokio::time::timeout(driver::GOODBYE, &mut self.driver).await.is_err() {
            self.driver.abort();
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.driver.abort();
        self.shared.end(AgentError::Dismissed);
    }
}

/// An answer that does not fit its request.
fn unexpected<T>(_answer: Answer) -> Result<T, AgentError> {
    Err(AgentError::Unexpected)
}

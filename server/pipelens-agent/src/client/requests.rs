//! The requests, as methods.

use std::io;
use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::call::{Arrival, Call};
use super::{Agent, AgentError, OutputSink, unexpected};
use crate::protocol::message::{
    Answer, Applied, ApplyRequest, AskRequest, Asked, ContainerPath, Control, Host, Identity, Layer, Listing,
    PushRequest, Request, RunReport, RunRequest, Stat,
};

impl Agent {
    /// Runs a command, and returns how it ended when all it wrote has been taken and nothing it started runs any more. Commands that are
    /// requested meanwhile wait for it.
    pub async fn run(&self, request: RunRequest, sink: &mut impl OutputSink) -> Result<RunReport, AgentError> {
        let mut call = Call::start(&self.shared, Request::Run(request))?;
        loop {
            match call.next().await? {
                Arrival::Started => sink.started(),
                Arrival::Output(stream, bytes) => {
                    sink.take(stream, &bytes).await;
                    call.took(bytes.len());
                }
                Arrival::Answer(Answer::Ran(report)) => return Ok(report),
                Arrival::Answer(other) => return unexpected(other),
                Arrival::Data(_) => return Err(AgentError::Unexpected),
            }
        }
    }

    /// Sends TERM to everything that the running command started.
    pub async fn terminate(&self) -> Result<(), AgentError> {
        self.done(Request::Terminate).await
    }

    /// Kills everything that the running command started; `run` returns as usual.
    pub async fn kill(&self) -> Result<(), AgentError> {
        self.done(Request::Kill).await
    }

    /// Waits for the listing of the root filesystem that the agent began to take when it started.
    pub async fn await_listing(&self) -> Result<Listing, AgentError> {
        self.listed(Request::AwaitListing).await
    }

    /// Takes the listing again: what is there now is in the image already, the sources for instance.
    pub async fn list(&self) -> Result<Listing, AgentError> {
        self.listed(Request::List).await
    }

    /// Saves what has changed since the listing as one layer in a registry. After [`AgentError::challenge`], the same request with other
    /// credentials starts over. Nothing should run meanwhile.
    pub async fn push_layer(&self, request: PushRequest) -> Result<Layer, AgentError> {
        match Call::start(&self.shared, Request::PushLayer(request))?.answer().await? {
            Answer::Pushed(layer) => Ok(layer),
            other => unexpected(other),
        }
    }

    /// Removes paths and unpacks an archive (tar, or tar in gzip) in a directory. An empty stream is an empty archive.
    pub async fn apply(
        &self,
        request: ApplyRequest,
        archive: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<Applied, AgentError> {
        let mut call = Call::start(&self.shared, Request::Apply(request))?;
        let mut archive = pin!(archive);
        while let Some(piece) = archive.next().await {
            // The call is cancelled when it is dropped.
            let piece = piece.map_err(|error| AgentError::Source(error.to_string()))?;
            let mut sent = 0;
            while let Some(rest) = piece.get(sent..).filter(|rest| !rest.is_empty())
                && !call.has_messages()
            {
                let poll = |context: &mut std::task::Context<'_>| match call.has_messages() {
                    true => std::task::Poll::Ready(Ok(0)),
                    false => self.shared.poll_send(call.request, rest, context),
                };
                sent += std::future::poll_fn(poll).await?;
            }
            // The answer is there before the end of the archive: it says why.
            if call.has_messages() {
                break;
            }
        }
        self.shared.control(call.request, Control::End);
        loop {
            match call.next().await? {
                Arrival::Started => {}
                Arrival::Answer(Answer::Applied(applied)) => return Ok(applied),
                Arrival::Answer(other) => return unexpected(other),
                Arrival::Data(_) | Arrival::Output(..) => return Err(AgentError::Unexpected),
            }
        }
    }

    /// Returns what is at a path; `None`: nothing.
    pub async fn stat(&self, path: impl Into<ContainerPath>) -> Result<Option<Stat>, AgentError> {
        match Call::start(&self.shared, Request::Stat { path: path.into() })?.answer().await? {
            Answer::Stat(stat) => Ok(Some(stat)),
            Answer::Absent => Ok(None),
            other => unexpected(other),
        }
    }

    /// Returns the content of a file of at most 1 MiB; `None`: it does not exist.
    pub async fn read_small_file(&self, path: impl Into<ContainerPath>) -> Result<Option<Vec<u8>>, AgentError> {
        match Call::start(&self.shared, Request::ReadSmallFile { path: path.into() })?.answer().await? {
            Answer::Content(content) => Ok(Some(content)),
            Answer::Absent => Ok(None),
            other => unexpected(other),
        }
    }

    pub async fn identity(&self) -> Result<Identity, AgentError> {
        match Call::start(&self.shared, Request::Identity)?.answer().await? {
            Answer::Identity(identity) => Ok(identity),
            other => unexpected(other),
        }
    }

    /// Runs a short program beside the command.
    pub async fn ask(&self, request: AskRequest) -> Result<Asked, AgentError> {
        match Call::start(&self.shared, Request::Ask(request))?.answer().await? {
            Answer::Asked(asked) => Ok(asked),
            other => unexpected(other),
        }
    }

    /// Whether something listens on a TCP port, in the container or in another one of the same network.
    pub async fn listens(&self, port: u16) -> Result<bool, AgentError> {
        match Call::start(&self.shared, Request::Listens { port })?.answer().await? {
            Answer::Listens(listens) => Ok(listens),
            other => unexpected(other),
        }
    }

    /// Adds names to `/etc/hosts`, which only root may.
    pub async fn add_hosts(&self, hosts: Vec<Host>) -> Result<(), AgentError> {
        self.done(Request::AddHosts(hosts)).await
    }

    async fn done(&self, request: Request) -> Result<(), AgentError> {
        match Call::start(&self.shared, request)?.answer().await? {
            Answer::Done => Ok(()),
            other => unexpected(other),
        }
    }

    async fn listed(&self, request: Request) -> Result<Listing, AgentError> {
        match Call::start(&self.shared, request)?.answer().await? {
            Answer::Listed(listing) => Ok(listing),
            other => unexpected(other),
        }
    }
}

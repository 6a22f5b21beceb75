//! A shell in a terminal of the container.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use super::call::{Arrival, Call};
use super::shared::Shared;
use super::{Agent, AgentError, unexpected};
use crate::protocol::message::{Answer, Control, Request, RequestId, ShellRequest, WindowSize};

/// A shell that runs. It is killed when its output is dropped.
#[derive(Debug)]
pub struct Shell {
    pub input: ShellInput,
    pub output: ShellOutput,
}

/// What is typed, and the terminal's size.
#[derive(Debug, Clone)]
pub struct ShellInput {
    shared: Arc<Shared>,
    request: RequestId,
}

/// What the shell shows.
#[derive(Debug)]
pub struct ShellOutput {
    call: Call,
    exit_code: Arc<Mutex<Option<i32>>>,
}

impl ShellInput {
    pub fn resize(&self, size: WindowSize) {
        self.shared.control(self.request, Control::Resize(size));
    }
}

impl AsyncWrite for ShellInput {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.poll_send(self.request, bytes, context).map_err(io::Error::other)
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.control(self.request, Control::End);
        Poll::Ready(Ok(()))
    }
}

impl ShellOutput {
    /// Returns what the shell shows next; `None`: it has exited, with [`exit_code`](Self::exit_code). Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, AgentError> {
        if self.exit_code().is_some() {
            return Ok(None);
        }
        match self.call.next().await? {
            Arrival::Data(bytes) => {
                self.call.took(bytes.len());
                Ok(Some(bytes))
            }
            Arrival::Answer(Answer::Exited(code)) => {
                *self.exit_code.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
                Ok(None)
            }
            Arrival::Answer(other) => unexpected(other),
            Arrival::Started | Arrival::Output(..) => Err(AgentError::Unexpected),
        }
    }

    pub fn exit_code(&self) -> Option<i32> {
        *self.exit_code.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the output as a stream, as terminals want it, and where its exit code will be.
    pub fn into_stream(self) -> (impl futures_util::Stream<Item = io::Result<Bytes>> + Send, ExitCode) {
        let exit_code = ExitCode(Arc::clone(&self.exit_code));
        let stream = futures_util::stream::unfold(self, async |mut output| {
            let piece = output.next().await.map_err(io::Error::other).transpose()?;
            Some((piece, output))
        });
        (stream, exit_code)
    }
}

/// Where the exit code of a shell is found when its output has ended.
#[derive(Debug)]
pub struct ExitCode(Arc<Mutex<Option<i32>>>);

impl ExitCode {
    pub fn get(&self) -> Option<i32> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agent {
    /// Starts a shell in a terminal, and returns when it runs.
    pub async fn shell(&self, request: ShellRequest) -> Result<Shell, AgentError> {
        let mut call = Call::start(&self.shared, Request::Shell(request))?;
        match call.next().await? {
            Arrival::Started => {}
            Arrival::Answer(other) => return unexpected(other),
            Arrival::Data(_) | Arrival::Output(..) => return Err(AgentError::Unexpected),
        }
        let input = ShellInput { shared: Arc::clone(&self.shared), request: call.request };
        Ok(Shell { input, output: ShellOutput { call, exit_code: Arc::default() } })
    }
}

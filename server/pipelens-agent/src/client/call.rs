//! One request, from its start to its answer.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::AgentError;
use super::shared::Shared;
use crate::protocol::WINDOW_BYTES;
use crate::protocol::message::{Answer, Control, FromAgent, Notice, Request, RequestId, Stream};

/// A request that is cancelled when it is dropped before its answer has arrived.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) request: RequestId,
    messages: mpsc::UnboundedReceiver<FromAgent>,
    is_answered: bool,
    /// How much was taken since room was last given.
    taken: u64,
}

/// What arrives for a call.
#[derive(Debug)]
pub(super) enum Arrival {
    Started,
    Data(Bytes),
    Output(Stream, Bytes),
    Answer(Answer),
}

impl Call {
    pub(super) fn start(shared: &Arc<Shared>, request: Request) -> Result<Self, AgentError> {
        let (id, messages) = shared.open()?;
        shared.control(id, Control::Start(request));
        Ok(Self { shared: Arc::clone(shared), request: id, messages, is_answered: false, taken: 0 })
    }

    /// Waits for the next message. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Arrival, AgentError> {
        loop {
            return match self.messages.recv().await {
                None => Err(self.shared.error()),
                Some(FromAgent::Data(_, bytes)) => Ok(Arrival::Data(bytes)),
                Some(FromAgent::Output(_, stream, bytes)) => Ok(Arrival::Output(stream, bytes)),
                Some(FromAgent::Notice(_, Notice::Started)) => Ok(Arrival::Started),
                // The driver takes care of it.
                Some(FromAgent::Notice(_, Notice::Room(_))) => continue,
                Some(FromAgent::Notice(_, Notice::Answer(answer))) => {
                    self.is_answered = true;
                    answer.map(Arrival::Answer).map_err(AgentError::Failed)
                }
            };
        }
    }

    /// The caller has taken some data: the agent may send as much again.
    pub(super) fn took(&mut self, bytes: usize) {
        self.taken += bytes as u64;
        // Not for every line.
        if self.taken >= WINDOW_BYTES / 4 {
            self.shared.control(self.request, Control::Room(std::mem::take(&mut self.taken)));
        }
    }

    /// Waits for the answer of a request without data.
    pub(super) async fn answer(mut self) -> Result<Answer, AgentError> {
        match self.next().await? {
            Arrival::Answer(answer) => Ok(answer),
            Arrival::Started | Arrival::Data(_) | Arrival::Output(..) => Err(AgentError::Unexpected),
        }
    }

    /// Whether the answer has arrived, so that no more data is wanted.
    pub(super) fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.is_answered {
            self.shared.control(self.request, Control::Cancel);
        }
        self.shared.close(self.request);
    }
}

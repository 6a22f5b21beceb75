//! What the driver of the connection and the calls share.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};

use super::AgentError;
use crate::protocol::WINDOW_BYTES;
use crate::protocol::frame::FrameError;
use crate::protocol::link::Link;
use crate::protocol::message::{Control, FromAgent, Notice, RequestId, ToAgent};

#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// There is something to be sent.
    pub(super) to_send: Notify,
    /// How many connections there have been.
    connected: watch::Sender<u64>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) link: Link,
    calls: HashMap<RequestId, Caller>,
    last_request: RequestId,
    is_connected: bool,
    pub(super) is_dismissed: bool,
    end: Option<AgentError>,
}

/// Who waits for a request's answer.
#[derive(Debug)]
struct Caller {
    /// Holds as much as the agent was given room for, and the answer.
    inbox: mpsc::UnboundedSender<FromAgent>,
    /// How much data the agent has room for.
    room: u64,
    waits_for_room: Option<Waker>,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the first connection.
    pub(super) async fn connected(&self) -> Result<(), AgentError> {
        let mut connections = self.connected.subscribe();
        loop {
            if let Some(end) = &self.state().end {
                return Err(end.clone());
            }
            if *connections.borrow_and_update() > 0 {
                return Ok(());
            }
            if connections.changed().await.is_err() {
                return Err(AgentError::Dismissed);
            }
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state().is_connected
    }

    pub(super) fn connections(&self) -> u64 {
        *self.connected.borrow()
    }

    pub(super) fn set_connected(&self, is_connected: bool) {
        self.state().is_connected = is_connected;
        if is_connected {
            self.connected.send_modify(|count| *count += 1);
        }
    }

    pub(super) fn dismiss(&self) {
        self.state().is_dismissed = true;
        self.to_send.notify_one();
    }

    /// Every call ends with this error, also those to come.
    pub(super) fn end(&self, error: AgentError) {
        let calls = {
            let mut state = self.state();
            state.is_connected = false;
            state.end.get_or_insert(error);
            std::mem::take(&mut state.calls)
        };
        calls.into_values().filter_map(|caller| caller.waits_for_room).for_each(Waker::wake);
        self.connected.send_modify(|_| {});
    }

    pub(super) fn error(&self) -> AgentError {
        self.state().end.clone().unwrap_or(AgentError::Dismissed)
    }

    /// Begins a call.
    pub(super) fn open(&self) -> Result<(RequestId, mpsc::UnboundedReceiver<FromAgent>), AgentError> {
        let (inbox, messages) = mpsc::unbounded_channel();
        let mut state = self.state();
        if let Some(end) = &state.end {
            return Err(end.clone());
        }
        state.last_request += 1;
        let request = state.last_request;
        state.calls.insert(request, Caller { inbox, room: WINDOW_BYTES, waits_for_room: None });
        Ok((request, messages))
    }

    /// Forgets a call; what still arrives for it is dropped.
    pub(super) fn close(&self, request: RequestId) {
        self.state().calls.remove(&request);
    }

    pub(super) fn send(&self, message: &ToAgent) {
        self.state().link.push(message.encode());
        self.to_send.notify_one();
    }

    pub(super) fn control(&self, request: RequestId, control: Control) {
        self.send(&ToAgent::Control(request, control));
    }

    /// Sends a piece of data as large as there is room for, and returns its size.
    pub(super) fn poll_send(
        &self,
        request: RequestId,
        bytes: &[u8],
        context: &Context<'_>,
    ) -> Poll<Result<usize, AgentError>> {
        let mut state = self.state();
        if let Some(end) = &state.end {
            return Poll::Ready(Err(end.clone()));
        }
        let Some(caller) = state.calls.get_mut(&request) else { return Poll::Ready(Err(AgentError::Unexpected)) };
        let size =
            usize::try_from(caller.room).unwrap_or(usize::MAX).min(bytes.len()).min(crate::protocol::CHUNK_BYTES);
        let Some(piece) = bytes.get(..size).filter(|piece| !piece.is_empty()) else {
            caller.waits_for_room = Some(context.waker().clone());
            return Poll::Pending;
        };
        caller.room -= size as u64;
        state.link.push(ToAgent::Data(request, Bytes::copy_from_slice(piece)).encode());
        drop(state);
        self.to_send.notify_one();
        Poll::Ready(Ok(size))
    }

    /// Hands a message to its caller.
    pub(super) fn deliver(&self, body: Bytes) -> Result<(), FrameError> {
        let message = FromAgent::decode(body)?;
        let request = match &message {
            FromAgent::Notice(request, _) | FromAgent::Data(request, _) | FromAgent::Output(request, ..) => *request,
        };
        let mut state = self.state();
        let Some(caller) = state.calls.get_mut(&request) else { return Ok(()) };
        let waker = match message {
            FromAgent::Notice(_, Notice::Room(bytes)) => {
                caller.room = caller.room.saturating_add(bytes);
                caller.waits_for_room.take()
            }
            message => {
                // An answer ends the wait for room as well.
                let is_answer = matches!(message, FromAgent::Notice(_, Notice::Answer(_)));
                // A caller that has just been dropped needs nothing.
                caller.inbox.send(message).ok();
                caller.waits_for_room.take_if(|_| is_answer)
            }
        };
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }
}

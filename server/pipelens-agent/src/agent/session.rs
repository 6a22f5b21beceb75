//! The conversation with the client: what is kept of it while connections come and go.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::jobs::JobState;
use crate::protocol::frame::{Hello, Token, Welcome};
use crate::protocol::link::Link;
use crate::protocol::message::{FromAgent, RequestId};
use crate::protocol::{UNACKNOWLEDGED_BYTES, VERSION};

/// How long the first client may take: the client learns only after a while that the container has started.
const FIRST_CONTACT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Session {
    state: Mutex<State>,
    /// Something in the state has changed.
    changed: Condvar,
    pub(super) patience: Duration,
}

#[derive(Debug)]
pub(super) struct State {
    token: Option<Token>,
    pub(super) link: Link,
    /// The number of the current connection; earlier ones may say nothing more.
    pub(super) connection: u64,
    socket: Option<UnixStream>,
    last_heard: Instant,
    pub(super) jobs: HashMap<RequestId, JobState>,
    /// The container is about to be stopped from outside.
    pub(super) is_leaving: bool,
}

impl Session {
    pub(super) fn new(patience: Duration) -> Self {
        let state = State {
            token: None,
            link: Link::default(),
            connection: 0,
            socket: None,
            last_heard: Instant::now(),
            jobs: HashMap::new(),
            is_leaving: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), patience }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something changes, or for so long.
    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Lets a new connection take the place of the current one, if it knows the token. Returns its number.
    pub(super) fn welcome(&self, hello: Hello, socket: UnixStream) -> Result<(u64, Welcome), String> {
        if hello.version != VERSION {
            return Err(format!("it has version {VERSION} of the protocol, and the client {}", hello.version));
        }
        let mut state = self.state();
        if *state.token.get_or_insert(hello.token) != hello.token {
            return Err("it belongs to another run".into());
        }
        state.link.resume(hello.received).map_err(|error| error.to_string())?;
        if let Some(old) = state.socket.replace(socket) {
            // Its threads end, and so does its bridge.
            old.shutdown(std::net::Shutdown::Both).ok();
        }
        state.connection += 1;
        state.last_heard = Instant::now();
        let welcome = Welcome { version: VERSION, received: state.link.received() };
        let connection = state.connection;
        drop(state);
        self.notify();
        Ok((connection, welcome))
    }

    /// Says something that is not data, which is always possible.
    pub(super) fn say(&self, message: &FromAgent) {
        self.state().link.push(message.encode());
        self.notify();
    }

    /// Waits until the agent may exit: the client has been gone for too long, or the container is being stopped and nothing is left to say.
    pub(super) fn wait_for_end(&self) {
        let mut state = self.state();
        loop {
            let patience = if state.token.is_some() { self.patience } else { self.patience.max(FIRST_CONTACT) };
            let left = patience.saturating_sub(state.last_heard.elapsed());
            let is_done = state.is_leaving && state.jobs.is_empty() && state.link.is_settled();
            if left.is_zero() || is_done {
                return;
            }
            state = self.wait(state, left);
        }
    }
}

impl State {
    /// Whether this connection is the current one; if so, the client lives.
    pub(super) fn hears(&mut self, connection: u64) -> bool {
        let is_current = self.connection == connection;
        if is_current {
            self.last_heard = Instant::now();
        }
        is_current
    }

    /// Whether there is room for more data that the client has not acknowledged.
    pub(super) fn has_room(&self) -> bool {
        self.link.unacknowledged_bytes() < UNACKNOWLEDGED_BYTES
    }
}

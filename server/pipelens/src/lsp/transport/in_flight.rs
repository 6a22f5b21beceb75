//! The requests that are being handled: how many there may be, what they hold on to, and how one is cancelled.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_lsp::jsonrpc::{Error, ErrorCode, Id, Response};
use tracing::{Instrument as _, Span};

use super::trace::{Trace, Traced};
use super::writer::{Answers, frame};

/// More unanswered requests than this are a client's mistake.
const MAX_IN_FLIGHT: usize = 1024;
/// Text of documents that requests hold on to while their answers wait for a client that does not read, in KiB. Each request counts the
/// document it names, whether other requests hold the same version or not; the analysis of a document is more than twenty times as large as its text.
const MAX_WAITING_TEXT_KIB: u32 = 12 * 1024;

/// A request or a notification that is handled while the next messages are read.
pub(crate) struct Task {
    /// Resolves to the frame of the answer; a notification has none.
    pub(crate) answer: BoxFuture<'static, Option<Vec<u8>>>,
    /// Bytes of text that the task keeps in memory until it is done.
    pub(crate) held_bytes: usize,
    /// Whether the answer is made only when the client has read enough of the others.
    pub(crate) waits_for_room: bool,
}

/// The tasks of all requests that are not answered yet.
#[derive(Debug)]
pub(super) struct InFlight {
    permits: Arc<Semaphore>,
    text_kib: Arc<Semaphore>,
    cancellable: Arc<Mutex<HashMap<Id, CancellationToken>>>,
    tasks: TaskTracker,
    answers: Answers,
    trace: Arc<Trace>,
}

impl InFlight {
    pub(super) fn new(answers: Answers, trace: Arc<Trace>) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
            text_kib: Arc::new(Semaphore::new(MAX_WAITING_TEXT_KIB as usize)),
            cancellable: Arc::default(),
            tasks: TaskTracker::new(),
            answers,
            trace,
        }
    }

    /// Starts a task, or answers why it is not started. What has no `id` is never refused: `$/cancelRequest` must work when everything
    /// else waits.
    pub(super) async fn start(&self, id: Option<Id>, task: Task, traced: Option<Traced>, span: Span) {
        let Some(id) = id else {
            self.tasks.spawn(guarded(task.answer).instrument(span));
            return;
        };
        match self.admit(&id, &task) {
            Ok((held, cancelled)) => {
                self.tasks.spawn(self.run(id, task, held, cancelled, traced).instrument(span));
            }
            Err(refusal) => {
                self.trace.end(traced, "refused");
                self.answers.send(frame(&Response::from_error(id, refusal))).await;
            }
        }
    }

    /// Cancels the request with this id, if it is not answered yet.
    pub(super) fn cancel(&self, id: &Id) {
        if let Some(token) = self.cancellable.lock().get(id) {
            token.cancel();
        }
    }

    /// Reserves the task's share of the limits, or returns the error that refuses it.
    fn admit(&self, id: &Id, task: &Task) -> Result<(Held, CancellationToken), Error> {
        let request = self
            .permits
            .clone()
            .try_acquire_owned()
            .map_err(|_| too_many(format!("{MAX_IN_FLIGHT} requests are in flight; this one is refused")))?;
        let text = if task.waits_for_room && !self.answers.has_room() {
            let size = u32::try_from(task.held_bytes / 1024 + 1).unwrap_or(MAX_WAITING_TEXT_KIB);
            let permits = self.text_kib.clone().try_acquire_many_owned(size).map_err(|_| {
                too_many(
                    "The client does not read its answers, and the requests that wait for it use too much memory; \
                     this one is refused"
                        .to_owned(),
                )
            })?;
            Some(permits)
        } else {
            None
        };
        let mut cancellable = self.cancellable.lock();
        if cancellable.contains_key(id) {
            let message = format!("a request with the id {id} is still waiting for its answer");
            return Err(Error { code: ErrorCode::InvalidRequest, message: message.into(), data: None });
        }
        let cancelled = CancellationToken::new();
        cancellable.insert(id.clone(), cancelled.clone());
        Ok((Held { _request: request, _text: text }, cancelled))
    }

    fn run(
        &self,
        id: Id,
        task: Task,
        held: Held,
        cancelled: CancellationToken,
        traced: Option<Traced>,
    ) -> impl Future<Output = ()> + use<> {
        let (answers, cancellable, trace) = (self.answers.clone(), self.cancellable.clone(), self.trace.clone());
        async move {
            let answer = async {
                if task.waits_for_room {
                    answers.room().await;
                }
                guarded(task.answer).await
            };
            let made = tokio::select! {
                made = answer => made,
                () = cancelled.cancelled() => Err(Error::request_cancelled()),
            };
            // The id is free again before the client gets the answer.
            cancellable.lock().remove(&id);
            trace.end(traced, if made.is_ok() { "answered" } else { "ended with an error" });
            let answer = match made {
                Ok(Some(answer)) => answer,
                // Every request with an id gets an answer.
                Ok(None) => frame(&Response::from_error(id, Error::method_not_found())),
                Err(error) => frame(&Response::from_error(id, error)),
            };
            answers.send(answer).await;
            drop(held);
        }
    }
}

/// A request's share of the limits, released when this is dropped.
#[derive(Debug)]
struct Held {
    _request: OwnedSemaphorePermit,
    _text: Option<OwnedSemaphorePermit>,
}

/// Waits for a handler; its panic becomes an error that names it.
pub(crate) async fn guarded<F: Future>(handler: F) -> Result<F::Output, Error> {
    AssertUnwindSafe(handler).catch_unwind().await.map_err(|panic| {
        let message = format!("bug in pipelens: {}; the server is still running", panic_text(panic.as_ref()));
        tracing::error!("{message}");
        Error { code: ErrorCode::InternalError, message: message.into(), data: None }
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn too_many(message: String) -> Error {
    Error { code: ErrorCode::ServerError(-32000), message: message.into(), data: None }
}

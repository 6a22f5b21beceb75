//! Reads messages and dispatches them, in order.
//!
//! 1. A bad frame or a bad message is answered, and reading continues.
//! 2. A message that changes what later ones mean is handled before the next one is read, so it is never reordered.
//! 3. Every other message is a task of its own; a panic in one is answered, never fatal.
//! 4. The number of requests in flight is bounded; above the bound they are refused, and reading continues.

use std::sync::Arc;

use futures_util::{Sink, SinkExt};
use tower_lsp::jsonrpc::{Error, ErrorCode, Id, Request, Response};
use tracing::Instrument as _;

use super::in_flight::{InFlight, Task};
use super::message::{Message, parse};
use super::reader::{Frame, spawn_reader};
use super::trace::{Trace, span};
use super::uris::Spellings;
use super::writer::{Answers, frame};

/// What messages mean.
pub(crate) trait Service {
    /// Whether a method is one that is never answered.
    fn is_notification(&self, method: &str) -> bool;

    /// Accepts a message. Everything that has to happen before the next message is read has happened when this returns.
    fn take_in(&mut self, request: Request) -> impl Future<Output = Taken> + Send;
}

/// What is left to do for a message.
pub(crate) enum Taken {
    Done,
    /// The answer is there already.
    Answered(Response),
    Start(Task),
    /// The request with this id is cancelled.
    Cancel(Id),
    /// The process is to end.
    Exit,
}

/// Reads messages until the client sends `exit` or closes its end. Its answers to our requests go to `from_client`.
pub(crate) async fn serve(
    service: &mut impl Service,
    mut from_client: impl Sink<Response> + Unpin,
    answers: Answers,
    spellings: &Spellings,
    trace: Arc<Trace>,
) {
    let mut frames = spawn_reader();
    let in_flight = InFlight::new(answers.clone(), trace.clone());
    while let Some(frame) = frames.recv().await {
        match message(service, frame, spellings) {
            Ok(Message::Response(response)) => {
                if from_client.send(response).await.is_err() {
                    return;
                }
            }
            Ok(Message::Request(request)) => {
                let id = request.id().cloned();
                let (traced, span) = (trace.begin(&request), span(&request));
                match service.take_in(request).instrument(span.clone()).await {
                    Taken::Done => trace.end(traced, "handled"),
                    Taken::Answered(response) => {
                        trace.end(traced, "answered");
                        answer(&answers, response).await;
                    }
                    Taken::Start(task) => in_flight.start(id, task, traced, span).await,
                    Taken::Cancel(id) => in_flight.cancel(&id),
                    Taken::Exit => return,
                }
            }
            Err(Some(response)) => answer(&answers, response).await,
            Err(None) => {}
        }
    }
}

/// Reads a frame. What is not a message, or not one that could be acted on, is an error: answered where that is possible.
fn message(service: &impl Service, frame: Frame, spellings: &Spellings) -> Result<Message, Option<Response>> {
    let parsed = match frame {
        Frame::Body(body) => parse(&body, spellings),
        Frame::Bad(why) => Err(Error { code: ErrorCode::ParseError, message: why.into(), data: None }),
    };
    let message = parsed.map_err(|error| Some(Response::from_error(Id::Null, error)))?;
    let Message::Request(request) = &message else { return Ok(message) };
    if service.is_notification(request.method()) == request.id().is_none() {
        return Ok(message);
    }
    let Some(id) = request.id() else {
        // There is no id to which an answer could be sent.
        tracing::warn!("`{}` came without an `id` and is ignored", request.method());
        return Err(None);
    };
    let why = format!("`{}` is a notification and has no answer; with an `id`, it is ignored", request.method());
    let error = Error { code: ErrorCode::MethodNotFound, message: why.into(), data: None };
    Err(Some(Response::from_error(id.clone(), error)))
}

async fn answer(answers: &Answers, response: Response) {
    answers.send(frame(&response)).await;
}

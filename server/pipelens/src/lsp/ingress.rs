//! The transport's incoming half: `frames` from standard input become messages, in order. Knows no handler by name but those
//! that must not wait: document changes, `initialize` and `exit`.
//!
//! The rules, and what each is for:
//! 1. A bad frame or a bad message is answered and reading goes on.
//! 2. What changes documents, settings or trust is applied here, before anything is awaited: it can never be reordered.
//! 3. A request is given the documents as of its arrival, however late its handler runs.
//! 4. Every other message is a task of its own; a panic in one is answered, never fatal.
//! 5. At most `MAX_IN_FLIGHT` requests wait at once; above that they are refused and reading goes on.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::{FutureExt, SinkExt, StreamExt};
use lsp_types::MessageType;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tower::Service;
use tower_lsp::jsonrpc::{Error, ErrorCode, Id, Request, Response};
use tower_lsp::{ClientSocket, LspService};

use super::frames::{Frame, spawn_reader};
use super::state::{ARRIVAL, Snapshot, State, TRUST};
use super::writer::Answers;
use super::{Server, lists, surrogates, writer};

/// More unanswered requests than this are a client's mistake.
const MAX_IN_FLIGHT: usize = 1024;
/// Text of documents that requests hold on to while their answers wait for a client that does not read, in KiB. Each request counts the
/// document it names, whether others hold the same version or not; what is known of a text is some ten times as large as the text.
const MAX_WAITING_TEXT_KIB: u32 = 16 * 1024;

/// Why the message loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// `exit`, with whether `shutdown` came before it.
    Exit { after_shutdown: bool },
    /// Standard input was closed.
    InputClosed { after_shutdown: bool },
}

/// Reads messages until the client says `exit` or closes its end.
pub(crate) async fn serve(
    mut service: LspService<Server>,
    socket: ClientSocket,
    state: Arc<State>,
    responses: Answers,
    requests: mpsc::Sender<Request>,
) -> End {
    let mut frames = spawn_reader();
    let (mut to_client, mut from_client) = socket.split();
    // The service's own queue holds one message; this task moves it on to the writer, whose fullness it passes back.
    tokio::spawn(async move {
        while let Some(request) = to_client.next().await {
            if requests.send(request).await.is_err() {
                return;
            }
        }
    });
    let waiting = Waiting::default();
    let mut lifecycle = Lifecycle::New;
    while let Some(frame) = frames.recv().await {
        let message = match frame {
            Frame::Body(body) => parse(&body),
            Frame::Bad(why) => Err(Error { code: ErrorCode::ParseError, message: why.into(), data: None }),
        };
        match message {
            Err(error) => answer(&responses, Response::from_error(Id::Null, error)).await,
            Ok(Message::Response(response)) => {
                if from_client.send(response).await.is_err() {
                    break;
                }
            }
            Ok(Message::Request(request)) if is_notification(request.method()) != request.id().is_none() => {
                match request.id() {
                    Some(id) => {
                        let error = not_a_request(request.method());
                        answer(&responses, Response::from_error(id.clone(), error)).await;
                    }
                    // Nobody could be told what came of it.
                    None => tracing::warn!("`{}` came without an `id` and is ignored", request.method()),
                }
            }
            Ok(Message::Request(request)) => match request.method() {
                "exit" => return End::Exit { after_shutdown: lifecycle == Lifecycle::ShutDown },
                "initialize" => {
                    if answer_at_once(&mut service, request, &responses).await {
                        lifecycle = Lifecycle::Running;
                    }
                }
                // The `exit` behind it may be here already, and does not wait for an answer that is still to be made.
                "shutdown" => {
                    if lifecycle == Lifecycle::Running {
                        lifecycle = Lifecycle::ShutDown;
                    }
                    answer_at_once(&mut service, request, &responses).await;
                }
                method if State::APPLIED_IN_ORDER.contains(&method) => {
                    if lifecycle == Lifecycle::Running {
                        let (method, _, params) = request.into_parts();
                        let complaint = state.apply(&method, params.unwrap_or(Value::Null));
                        if method == TRUST {
                            service.inner().shared.runs.stop_without_trust();
                        }
                        if let Some(complaint) = complaint {
                            let client = service.inner().shared.client.clone();
                            tokio::spawn(async move { client.show_message(MessageType::WARNING, complaint).await });
                        }
                    }
                }
                _ => start(&mut service, request, lifecycle, &state, &waiting, &responses).await,
            },
        }
    }
    End::InputClosed { after_shutdown: lifecycle == Lifecycle::ShutDown }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifecycle {
    New,
    Running,
    ShutDown,
}

/// Answers a message before the next is read, and tells whether the answer is no error.
async fn answer_at_once(service: &mut LspService<Server>, request: Request, responses: &Answers) -> bool {
    let id = request.id().cloned();
    let response = match guarded(service.call(request)).await {
        Ok(response) => response.ok().flatten(),
        Err(fault) => id.map(|id| Response::from_error(id, fault)),
    };
    let is_ok = response.as_ref().is_some_and(Response::is_ok);
    if let Some(response) = response {
        answer(responses, response).await;
    }
    is_ok
}

/// Hands a message to the service, in order, and lets its handler run on its own.
async fn start(
    service: &mut LspService<Server>,
    request: Request,
    lifecycle: Lifecycle,
    state: &Arc<State>,
    waiting: &Waiting,
    responses: &Answers,
) {
    let id = request.id().cloned();
    let permit = match (waiting.requests.clone().try_acquire_owned(), &id) {
        (Ok(permit), _) => Some(permit),
        // A notification holds nothing back: `$/cancelRequest` must work when everything else waits.
        (Err(_), None) => None,
        (Err(_), Some(id)) => {
            let message = format!("{MAX_IN_FLIGHT} requests are waiting for their answers; this one is refused");
            return answer(responses, Response::from_error(id.clone(), too_many(message))).await;
        }
    };
    // A command must work when the client reads nothing, and its answer is short.
    let waits_for_room = id.is_some() && request.method() != "workspace/executeCommand";
    let documents = state.snapshot();
    let text = match &id {
        Some(id) if waits_for_room && !responses.has_room() => {
            let size = text_kib(&documents, &request);
            let Ok(permit) = waiting.text_kib.clone().try_acquire_many_owned(size) else {
                let message = "The client does not read its answers, and the requests that wait for it hold on to too much text; this one is refused";
                return answer(responses, Response::from_error(id.clone(), too_many(message.to_owned()))).await;
            };
            Some(permit)
        }
        Some(_) | None => None,
    };
    let handler = handler(service, request, lifecycle);
    let handler = ARRIVAL.scope(documents, handler);
    let responses = responses.clone();
    tokio::spawn(async move {
        if waits_for_room {
            responses.room().await;
        }
        let frame = match guarded(handler).await {
            Ok(Some(frame)) => Some(frame),
            // Whoever gave an id waits for an answer.
            Ok(None) => id.map(|id| writer::frame(&Response::from_error(id, Error::method_not_found()))),
            Err(fault) => id.map(|id| writer::frame(&Response::from_error(id, fault))),
        };
        if let Some(frame) = frame {
            responses.send(frame).await;
        }
        drop::<[Option<OwnedSemaphorePermit>; 2]>([permit, text]);
    });
}

/// What requests in flight may hold.
#[derive(Debug)]
struct Waiting {
    requests: Arc<Semaphore>,
    text_kib: Arc<Semaphore>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            requests: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
            text_kib: Arc::new(Semaphore::new(MAX_WAITING_TEXT_KIB as usize)),
        }
    }
}

fn too_many(message: String) -> Error {
    Error { code: ErrorCode::ServerError(-32000), message: message.into(), data: None }
}

/// Returns the size of the document that a request names, rounded up.
fn text_kib(documents: &Snapshot, request: &Request) -> u32 {
    let uri = request.params().and_then(|params| params.pointer("/textDocument/uri")?.as_str());
    let bytes = uri.and_then(|uri| documents.get(uri)).map_or(0, |document| document.text.len());
    u32::try_from(bytes / 1024 + 1).unwrap_or(MAX_WAITING_TEXT_KIB)
}

/// Returns what makes the frame of an answer. The service tells clients that ask before `initialize` or after `shutdown`.
fn handler(
    service: &mut LspService<Server>,
    request: Request,
    lifecycle: Lifecycle,
) -> impl Future<Output = Option<Vec<u8>>> + Send + use<> {
    if lifecycle == Lifecycle::Running
        && let Some(handler) = lists::handler(request.method())
    {
        let shared = service.inner().shared.clone();
        let (_, id, params) = request.into_parts();
        return async move { Some(handler(&shared, id?, params.unwrap_or_default())) }.left_future();
    }
    let answer = service.call(request);
    async move { answer.await.ok().flatten().map(|response| writer::frame(&response)) }.right_future()
}

/// Waits for a handler; its panic becomes an error that names it.
async fn guarded<F: Future>(handler: F) -> Result<F::Output, Error> {
    AssertUnwindSafe(handler).catch_unwind().await.map_err(|panic| {
        let message = format!("a fault in pipelens: {}; the server goes on", panic_text(panic.as_ref()));
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

async fn answer(responses: &Answers, response: Response) {
    responses.send(writer::frame(&response)).await;
}

/// Tells whether a method is one that is never answered. `$/` is for what either side may ignore.
fn is_notification(method: &str) -> bool {
    let name = method.rsplit('/').next().unwrap_or_default();
    let is_did =
        name.strip_prefix("did").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()));
    is_did || method.starts_with("$/") || matches!(method, "exit" | "initialized" | "window/workDoneProgress/cancel")
}

fn not_a_request(method: &str) -> Error {
    let message = format!("`{method}` is a notification and has no answer; it is ignored when it has an `id`");
    Error { code: ErrorCode::MethodNotFound, message: message.into(), data: None }
}

enum Message {
    Request(Request),
    Response(Response),
}

fn parse(body: &[u8]) -> Result<Message, Error> {
    let value: Value = serde_json::from_slice(body)
        .or_else(|error| surrogates::replaced(body).map_or(Err(error), |mended| serde_json::from_slice(&mended)))
        .map_err(|error| Error {
            code: ErrorCode::ParseError,
            message: format!("the message is not JSON: {error}").into(),
            data: None,
        })?;
    let invalid = |why: String| Error { code: ErrorCode::InvalidRequest, message: why.into(), data: None };
    if !value.is_object() {
        return Err(invalid("a message is one JSON object; batches are not part of the protocol".to_owned()));
    }
    let is_response = value.get("method").is_none() && (value.get("result").is_some() || value.get("error").is_some());
    if is_response {
        let response = serde_json::from_value(value).map_err(|error| invalid(format!("not a response: {error}")))?;
        return Ok(Message::Response(response));
    }
    if !value.get("method").is_some_and(Value::is_string) {
        return Err(invalid("the message has no `method`".to_owned()));
    }
    let request = serde_json::from_value(value).map_err(|error| invalid(format!("not a request: {error}")))?;
    Ok(Message::Request(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_request_a_notification_or_a_response() {
        let kind = |text: &str| match parse(text.as_bytes()) {
            Ok(Message::Request(request)) if request.id().is_some() => "request".to_owned(),
            Ok(Message::Request(_)) => "notification".to_owned(),
            Ok(Message::Response(_)) => "response".to_owned(),
            Err(error) => format!("{}", error.code.code()),
        };
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#), "request");
        assert_eq!(kind(r#"{"jsonrpc":"2.0","method":"m"}"#), "notification");
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"result":null}"#), "response");
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1}"#), "-32600");
        assert_eq!(kind("[]"), "-32600");
        assert_eq!(kind("{"), "-32700");
    }

    #[test]
    fn notifications_are_known_by_their_names() {
        for method in ["textDocument/didOpen", "exit", "initialized", "$/cancelRequest", "pipelens/didChangeTrust"] {
            assert!(is_notification(method), "{method}");
        }
        for method in ["textDocument/hover", "shutdown", "initialize", "workspace/executeCommand", "no/dideldum"] {
            assert!(!is_notification(method), "{method}");
        }
    }
}

//! The transport's outgoing half: messages become frames on standard output. Two bounded lanes: answers, and what the server
//! sends on its own; answers go first, so that a flood of logs never delays them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lsp_types::notification::Notification;
use serde::Serialize;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tower_lsp::jsonrpc::Request;

use super::uris::Spellings;

/// Answers that wait for a slow client; no more requests than this are in flight.
const ANSWER_QUEUE: usize = 1024;
/// While answers of this many bytes wait, no further one is made.
const BACKLOG_BYTES: usize = 4 * 1024 * 1024;
/// Frames between the two threads. While it is full, senders of notifications and requests have to wait. The largest are the findings
/// of one file, which are bounded in number and length.
const ORDER_QUEUE: usize = 16;
/// As long as the header of a message can be.
const HEADER_BYTES: usize = "Content-Length: 18446744073709551615\r\n\r\n".len();
/// How long a request of the server waits after an answer, and is then written by itself: some clients lose one that comes with an answer (lsp-mode).
const MOMENT: Duration = Duration::from_millis(20);
/// A buffer this large is written even when more is ready.
const WRITE_BYTES: usize = 256 * 1024;

/// The lane of answers, and whether standard output is still there.
pub(crate) struct Writer {
    /// Whole frames: an answer becomes text where it is made.
    pub(crate) responses: Answers,
    /// Resolves when standard output is gone.
    pub(crate) ended: oneshot::Receiver<()>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    _framing: AbortOnDropHandle<()>,
}

impl Writer {
    /// Resolves when everything that was queued before is written, or when standard output is gone.
    pub(crate) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.flushes.send(done).await.is_ok() {
            drop(written.await);
        }
    }
}

/// The lane of answers.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    lane: mpsc::Sender<Answer>,
    backlog: Arc<Backlog>,
}

impl Answers {
    /// Waits until few enough bytes wait for the client that another answer may be made.
    pub(super) async fn room(&self) {
        loop {
            let freed = self.backlog.freed.notified();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }

    /// Whether another answer may be made at once.
    pub(super) fn has_room(&self) -> bool {
        self.backlog.bytes.load(Ordering::Acquire) < BACKLOG_BYTES
    }

    /// Queues an answer. If the writer is gone, the process ends elsewhere, so the error is ignored.
    pub(super) async fn send(&self, frame: Vec<u8>) {
        self.backlog.bytes.fetch_add(frame.len(), Ordering::AcqRel);
        let answer = Answer { frame, backlog: self.backlog.clone() };
        drop(self.lane.send(answer).await);
    }
}

/// How many bytes of answers were made and are not written yet.
#[derive(Debug, Default)]
struct Backlog {
    bytes: AtomicUsize,
    freed: Notify,
}

/// The lane of notifications that become text where they are made, because they are large.
#[derive(Debug, Clone)]
pub(crate) struct Notifications(mpsc::Sender<Vec<u8>>);

impl Notifications {
    /// Returns the lane, and its end for the writer.
    pub(crate) fn lane() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (lane, frames) = mpsc::channel(1);
        (Self(lane), frames)
    }

    /// Queues a notification. If the writer is gone, the process ends elsewhere, so the error is ignored.
    pub(crate) async fn send<N: Notification>(&self, params: &N::Params) {
        let message = Notice { jsonrpc: "2.0", method: N::METHOD, params };
        drop(self.0.send(frame(&message)).await);
    }
}

#[derive(Serialize)]
struct Notice<'params, P> {
    jsonrpc: &'static str,
    method: &'static str,
    params: &'params P,
}

/// A frame that counts until it is dropped.
#[derive(Debug)]
struct Answer {
    frame: Vec<u8>,
    backlog: Arc<Backlog>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.backlog.bytes.fetch_sub(self.frame.len(), Ordering::AcqRel);
        self.backlog.freed.notify_waiters();
    }
}

/// What the writing thread does next.
enum Order {
    Answer(Answer),
    Write(Vec<u8>),
    /// In a write of its own.
    Alone(Vec<u8>),
    Confirm(oneshot::Sender<()>),
}

/// Starts the writer of answers and of what the server sends on its own. It ends when it is dropped, or when standard output fails.
pub(crate) fn spawn(
    messages: impl Stream<Item = Request> + Send + Unpin + 'static,
    notifications: mpsc::Receiver<Vec<u8>>,
    spellings: Spellings,
) -> Writer {
    let (lane, response_lane) = mpsc::channel(ANSWER_QUEUE);
    let responses = Answers { lane, backlog: Arc::default() };
    let (orders, order_lane) = mpsc::channel(ORDER_QUEUE);
    let (flushes, flush_lane) = mpsc::channel(1);
    let (end, ended) = oneshot::channel::<()>();
    let framing = tokio::spawn(frame_messages(response_lane, messages, notifications, flush_lane, orders));
    let write = move || {
        if let Err(error) = write_orders(order_lane, &mut io::stdout().lock(), &spellings) {
            tracing::warn!("standard output is gone: {error}");
        }
        drop(end);
    };
    if let Err(error) = std::thread::Builder::new().name("stdout".to_owned()).spawn(write) {
        tracing::error!("cannot start the writer: {error}");
    }
    Writer { responses, ended, flushes, _framing: AbortOnDropHandle::new(framing) }
}

async fn frame_messages(
    mut responses: mpsc::Receiver<Answer>,
    mut messages: impl Stream<Item = Request> + Unpin,
    mut notifications: mpsc::Receiver<Vec<u8>>,
    mut flushes: mpsc::Receiver<oneshot::Sender<()>>,
    orders: mpsc::Sender<Order>,
) {
    let mut last_answer: Option<Instant> = None;
    // A request that waits, and until when. What comes after it waits too, except for answers.
    let mut held: Option<(Vec<u8>, Instant)> = None;
    loop {
        let until = held.as_ref().map(|(_, until)| *until);
        let order = tokio::select! {
            biased;
            Some(response) = responses.recv() => {
                last_answer = Some(Instant::now());
                Order::Answer(response)
            }
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                let Some((frame, _)) = held.take() else { continue };
                Order::Alone(frame)
            }
            Some(message) = messages.next(), if until.is_none() => {
                let frame = frame(&message);
                match last_answer.map(|last| last + MOMENT).filter(|until| *until > Instant::now()) {
                    _ if message.id().is_none() => Order::Write(frame),
                    Some(until) => {
                        held = Some((frame, until));
                        continue;
                    }
                    None => Order::Alone(frame),
                }
            }
            Some(frame) = notifications.recv() => Order::Write(frame),
            Some(done) = flushes.recv(), if until.is_none() => Order::Confirm(done),
            else => return,
        };
        if orders.send(order).await.is_err() {
            return;
        }
    }
}

/// Returns a message as it goes over the wire.
pub(crate) fn frame(message: &impl Serialize) -> Vec<u8> {
    // Room for the header, whose length is known only afterwards.
    let mut frame = vec![0; HEADER_BYTES];
    if serde_json::to_writer(&mut frame, message).is_err() {
        frame.truncate(HEADER_BYTES);
    }
    let header = format!("Content-Length: {}\r\n\r\n", frame.len() - HEADER_BYTES);
    frame.splice(..HEADER_BYTES, header.into_bytes());
    frame
}

/// Writes what is ready at once, and flushes when nothing more is.
fn write_orders(mut orders: mpsc::Receiver<Order>, output: &mut impl Write, spellings: &Spellings) -> io::Result<()> {
    let mut buffer = Vec::new();
    // Answers count as waiting until they are written.
    let mut answers = Vec::new();
    while let Some(first) = orders.blocking_recv() {
        let mut next = Some(first);
        let mut confirm = None;
        while let Some(order) = next.take() {
            match order {
                Order::Answer(answer) if answer.frame.len() >= WRITE_BYTES => {
                    output.write_all(&buffer)?;
                    buffer.clear();
                    output.write_all(&spellings.restored(&answer.frame))?;
                    answers.push(answer);
                }
                Order::Answer(answer) => {
                    buffer.extend_from_slice(&spellings.restored(&answer.frame));
                    answers.push(answer);
                }
                Order::Write(frame) => buffer.extend_from_slice(&spellings.restored(&frame)),
                Order::Alone(frame) => {
                    output.write_all(&buffer)?;
                    output.flush()?;
                    buffer.clear();
                    output.write_all(&spellings.restored(&frame))?;
                    output.flush()?;
                }
                Order::Confirm(done) => confirm = Some(done),
            }
            if buffer.len() < WRITE_BYTES && confirm.is_none() {
                next = orders.try_recv().ok();
            }
        }
        output.write_all(&buffer)?;
        output.flush()?;
        buffer.clear();
        buffer.shrink_to(WRITE_BYTES);
        answers.clear();
        if let Some(done) = confirm {
            // The waiting task may have given up.
            done.send(()).ok();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What was written, call by call.
    #[derive(Debug, Default)]
    struct Writes(Vec<Vec<u8>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !bytes.is_empty() {
                self.0.push(bytes.to_vec());
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_request_leaves_after_the_answers_that_were_ready_and_by_itself() {
        let request = |id: Option<i64>, method: &'static str| match id {
            Some(id) => Request::build(method).id(id).finish(),
            None => Request::build(method).finish(),
        };
        let (lane, responses) = mpsc::channel(8);
        let sent = [request(None, "first"), request(Some(1), "ask"), request(None, "second")];
        let incoming = futures_util::stream::iter(sent).chain(futures_util::stream::pending());
        let (orders, mut ordered) = mpsc::channel(8);
        let (_flushes, flush_lane) = mpsc::channel(1);
        let (_notifications, frames) = mpsc::channel(1);
        let backlog = Arc::<Backlog>::default();
        let answer = |text: &str| Answer { frame: frame(&json!(text)), backlog: backlog.clone() };
        lane.send(answer("one")).await.ok();
        let framing = tokio::spawn(frame_messages(responses, incoming, frames, flush_lane, orders));
        let mut kinds = Vec::new();
        while kinds.len() < 4 {
            kinds.push(match ordered.recv().await.unwrap() {
                Order::Answer(_) => "answer",
                Order::Write(_) => "notification",
                Order::Alone(_) => "request",
                Order::Confirm(_) => "confirm",
            });
            if kinds.len() == 2 {
                // It is held back, and an answer is not.
                lane.send(answer("two")).await.ok();
            }
        }
        assert_eq!(kinds, ["answer", "notification", "answer", "request"]);
        framing.abort();
    }

    #[test]
    fn a_request_shares_no_write_with_an_answer() {
        let backlog = Arc::<Backlog>::default();
        let (orders, lane) = mpsc::channel(8);
        let answer = || Answer { frame: b"answer".to_vec(), backlog: backlog.clone() };
        for order in [Order::Answer(answer()), Order::Alone(b"request".to_vec()), Order::Answer(answer())] {
            orders.try_send(order).ok();
        }
        drop(orders);
        let mut writes = Writes::default();
        write_orders(lane, &mut writes, &Spellings::default()).unwrap();
        let texts: Vec<&str> = writes.0.iter().map(|bytes| std::str::from_utf8(bytes).unwrap()).collect();
        assert_eq!(texts, ["answer", "request", "answer"]);
    }
}

//! The transport's outgoing half: messages become frames on standard output. Two bounded lanes: answers, and what the server
//! sends on its own; answers go first, so that a flood of logs never delays them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{Stream, StreamExt};
use lsp_types::notification::Notification;
use serde::Serialize;
use tokio::sync::{Notify, mpsc, oneshot};
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
    loop {
        let order = tokio::select! {
            biased;
            Some(response) = responses.recv() => Order::Answer(response),
            Some(message) = messages.next() => Order::Write(frame(&message)),
            Some(frame) = notifications.recv() => Order::Write(frame),
            Some(done) = flushes.recv() => Order::Confirm(done),
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

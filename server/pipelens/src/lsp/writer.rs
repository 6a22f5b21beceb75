//! The transport's outgoing half: messages become frames on standard output. Two bounded lanes: answers, and what the server
//! says by itself; answers go first, so that a flood of logs never delays them.

use std::io::{self, Write};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tower_lsp::jsonrpc::Request;

/// Answers that wait for a slow client; the handlers behind them wait too, and above them requests are refused.
const ANSWER_QUEUE: usize = 1024;
/// Notifications and requests that wait for a slow client; whoever sends them is held back.
const MESSAGE_QUEUE: usize = 64;
/// Frames between the two threads.
const ORDER_QUEUE: usize = 16;
/// A buffer this large is written even when more is ready.
const WRITE_BYTES: usize = 256 * 1024;

/// The two lanes, and word of their end.
pub(crate) struct Writer {
    /// Whole frames: an answer becomes text where it is made.
    pub(crate) responses: mpsc::Sender<Vec<u8>>,
    pub(crate) requests: mpsc::Sender<Request>,
    /// Resolves when standard output is gone.
    pub(crate) ended: oneshot::Receiver<()>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
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

/// What the writing thread is told.
enum Order {
    Write(Vec<u8>),
    Say(oneshot::Sender<()>),
}

/// Starts the writer. It ends with the process, or when standard output fails.
pub(crate) fn spawn() -> Writer {
    let (responses, response_lane) = mpsc::channel(ANSWER_QUEUE);
    let (requests, request_lane) = mpsc::channel(MESSAGE_QUEUE);
    let (orders, order_lane) = mpsc::channel(ORDER_QUEUE);
    let (flushes, flush_lane) = mpsc::channel(1);
    let (end, ended) = oneshot::channel::<()>();
    tokio::spawn(frame_messages(response_lane, request_lane, flush_lane, orders));
    let write = move || {
        if let Err(error) = write_orders(order_lane, &mut io::stdout().lock()) {
            tracing::warn!("standard output is gone: {error}");
        }
        drop(end);
    };
    if let Err(error) = std::thread::Builder::new().name("stdout".to_owned()).spawn(write) {
        tracing::error!("cannot start the writer: {error}");
    }
    Writer { responses, requests, ended, flushes }
}

async fn frame_messages(
    mut responses: mpsc::Receiver<Vec<u8>>,
    mut requests: mpsc::Receiver<Request>,
    mut flushes: mpsc::Receiver<oneshot::Sender<()>>,
    orders: mpsc::Sender<Order>,
) {
    loop {
        let order = tokio::select! {
            biased;
            Some(response) = responses.recv() => Order::Write(response),
            Some(request) = requests.recv() => Order::Write(frame(&request)),
            Some(done) = flushes.recv() => Order::Say(done),
            else => return,
        };
        if orders.send(order).await.is_err() {
            return;
        }
    }
}

/// Returns a message as it goes over the wire.
pub(super) fn frame(message: &impl Serialize) -> Vec<u8> {
    let body = serde_json::to_vec(message).unwrap_or_default();
    let mut frame = format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    frame.extend_from_slice(&body);
    frame
}

/// Writes what is ready at once, and flushes when nothing more is.
fn write_orders(mut orders: mpsc::Receiver<Order>, output: &mut impl Write) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(first) = orders.blocking_recv() {
        let mut next = Some(first);
        let mut said = None;
        while let Some(order) = next.take() {
            match order {
                Order::Write(frame) => buffer.extend_from_slice(&frame),
                Order::Say(done) => said = Some(done),
            }
            if buffer.len() < WRITE_BYTES && said.is_none() {
                next = orders.try_recv().ok();
            }
        }
        output.write_all(&buffer)?;
        output.flush()?;
        buffer.clear();
        if let Some(done) = said {
            // Whoever waited may have given up.
            done.send(()).ok();
        }
    }
    Ok(())
}

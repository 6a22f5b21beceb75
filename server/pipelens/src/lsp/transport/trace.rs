//! Tells the client, as far as it wants to know (`$/setTrace`), which messages were handled and how long that took. The log file has the same, as spans.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lsp_types::notification::LogTrace;
use lsp_types::{LogTraceParams, TraceValue};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tower_lsp::jsonrpc::Request;
use tracing::Span;

use super::writer::Notifications;

/// Traces that wait for a slow client; more are dropped and counted.
const QUEUE: usize = 256;
/// Parameters are shown up to here.
const MAX_PARAMETER_BYTES: usize = 2_000;

/// How much the client wants to know.
#[derive(Debug)]
pub(crate) struct Trace {
    level: AtomicU8,
    lane: mpsc::Sender<LogTraceParams>,
    waiting: Mutex<Option<mpsc::Receiver<LogTraceParams>>>,
    dropped: AtomicU64,
}

/// A message that is being handled.
#[derive(Debug)]
pub(super) struct Traced {
    what: String,
    parameters: Option<String>,
    begun: Instant,
}

impl Default for Trace {
    fn default() -> Self {
        let (lane, waiting) = mpsc::channel(QUEUE);
        Self { level: AtomicU8::new(0), lane, waiting: Mutex::new(Some(waiting)), dropped: AtomicU64::new(0) }
    }
}

impl Trace {
    pub(crate) fn set(&self, value: TraceValue) {
        let level = match value {
            TraceValue::Off => 0,
            TraceValue::Messages => 1,
            TraceValue::Verbose => 2,
        };
        self.level.store(level, Ordering::Release);
    }

    /// Sends traces until the process ends.
    pub(crate) fn send(&self, notifications: Notifications) -> impl Future<Output = ()> + Send + 'static {
        let waiting = self.waiting.lock().take();
        async move {
            let Some(mut waiting) = waiting else { return };
            while let Some(trace) = waiting.recv().await {
                notifications.send::<LogTrace>(&trace).await;
            }
        }
    }

    /// A message has come. `None` if the client does not want to know.
    pub(super) fn begin(&self, request: &Request) -> Option<Traced> {
        let level = self.level.load(Ordering::Acquire);
        if level == 0 {
            return None;
        }
        let parameters = (level > 1).then(|| shown(request)).flatten();
        let what =
            request.id().map_or_else(|| request.method().to_owned(), |id| format!("{} ({id})", request.method()));
        Some(Traced { what, parameters, begun: Instant::now() })
    }

    /// A message has been handled. Nothing waits for the client.
    pub(super) fn end(&self, traced: Option<Traced>, how: &str) {
        let Some(Traced { what, parameters, begun }) = traced else { return };
        if self.level.load(Ordering::Acquire) == 0 {
            return;
        }
        let dropped = self.dropped.swap(0, Ordering::AcqRel);
        let before = if dropped > 0 { format!("… {dropped} more; ") } else { String::new() };
        let message = format!("{before}{what}: {how} {}", milliseconds(begun.elapsed()));
        if self.lane.try_send(LogTraceParams { message, verbose: parameters }).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::AcqRel);
        }
    }
}

/// Returns the span of a message, for the log file.
pub(super) fn span(request: &Request) -> Span {
    match request.id() {
        Some(id) => tracing::debug_span!("request", method = request.method(), id = id.to_string()),
        None => tracing::debug_span!("notification", method = request.method()),
    }
}

fn milliseconds(took: Duration) -> String {
    format!("after {:.1} ms", took.as_secs_f64() * 1_000.0)
}

/// Returns the beginning of the parameters.
fn shown(request: &Request) -> Option<String> {
    let mut text = request.params()?.to_string();
    if text.len() > MAX_PARAMETER_BYTES {
        let mut end = MAX_PARAMETER_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    Some(text)
}

//! How requests reach the engine. Every request has a deadline by its kind, on every kind of connection, so that no call can wait
//! for an engine forever. Knows nothing about containers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use http::{Extensions, Method, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, Connection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::deadlines::Deadlines;
use crate::docker::client_error::{Unusable, reason};

/// The client's own limit, longer than all of ours.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// One dropped connection does not mean that the engine is lost.
const REPEATS: usize = 1;
/// If idle connections are kept, several may have broken by the time one is needed.
const REPEATS_WHERE_IDLE_ONES_BREAK: usize = 4;

/// A stream of bytes: a socket, a pipe, a process.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

pub(super) type Opening = BoxFuture<'static, io::Result<Box<dyn Carrier>>>;

/// A way to the engine.
pub(super) struct Way {
    /// The base URL of requests: a scheme and an authority.
    pub(super) address: String,
    /// Whether idle connections are kept, because opening one is expensive.
    pub(super) keeps_idle: bool,
    /// How much longer the first answer may take, if connecting happens only during the first request.
    pub(super) connects_within: Duration,
}

impl Default for Way {
    /// A connection that opens at once, to an engine whose host name does not matter.
    fn default() -> Self {
        Self { address: "http://localhost".into(), keeps_idle: false, connects_within: Duration::ZERO }
    }
}

/// Returns a client that opens its connections with `open`. Opens nothing yet.
pub(super) fn client(
    way: Way,
    deadlines: Deadlines,
    open: impl Fn(Uri) -> Opening + Clone + Send + Sync + 'static,
) -> Result<Docker, Unusable> {
    let health = Arc::new(Health::default());
    let opens_within = deadlines.question + way.connects_within;
    let connector = {
        let health = Arc::clone(&health);
        tower::service_fn(move |uri| {
            let (opening, health) = (open(uri), Arc::clone(&health));
            async move {
                match tokio::time::timeout(opens_within, opening).await {
                    Ok(opened) => Ok(TokioIo::new(Watched::new(opened?, health))),
                    Err(_) => Err(silence(opens_within)),
                }
            }
            .boxed()
        })
    };
    let mut builder = Client::builder(TokioExecutor::new());
    if !way.keeps_idle {
        builder.pool_max_idle_per_host(0);
    }
    let client = builder.build(connector);
    let connects_within = way.connects_within;
    let repeats = if way.keeps_idle { REPEATS_WHERE_IDLE_ONES_BREAK } else { REPEATS };
    let send = move |request: BollardRequest| {
        let (client, health) = (client.clone(), Arc::clone(&health));
        async move {
            let limit = limit_of(request.method(), request.uri(), &deadlines);
            let mut request = request;
            for _ in 0..repeats {
                let Some(again) = repeated(&request) else { break };
                let allowed =
                    health.allowed(limit.longer_by(connects_within), deadlines.after_silence, Instant::now())?;
                let captured = capture_connection(&mut request);
                match answered(client.request(request), captured, allowed, &health).await {
                    Err(error) if !is_silence(&error) => request = again,
                    result => return result,
                }
            }
            let allowed = health.allowed(limit.longer_by(connects_within), deadlines.after_silence, Instant::now())?;
            let captured = capture_connection(&mut request);
            answered(client.request(request), captured, allowed, &health).await
        }
    };
    Docker::connect_with_custom_transport(send, Some(way.address), NEVER.as_secs(), API_DEFAULT_VERSION)
        .map_err(|error| Unusable(reason(&error)))
}

/// How long a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// Until the whole answer has arrived.
    Whole(Duration),
    /// Until the answer begins: the rest is a command's output, and lasts as long as the command.
    Beginning(Duration),
    /// Between two bytes, in either direction.
    Silence(Duration),
    /// The caller sets a limit.
    Caller,
}

impl Limit {
    fn longer_by(self, more: Duration) -> Self {
        match self {
            Self::Whole(limit) => Self::Whole(limit + more),
            Self::Beginning(limit) => Self::Beginning(limit + more),
            Self::Silence(limit) => Self::Silence(limit + more),
            Self::Caller => Self::Caller,
        }
    }

    fn at_most(self, most: Duration) -> Self {
        match self {
            Self::Whole(limit) => Self::Whole(limit.min(most)),
            Self::Beginning(limit) => Self::Beginning(limit.min(most)),
            Self::Silence(limit) => Self::Silence(limit.min(most)),
            Self::Caller => Self::Caller,
        }
    }

    /// How long the answer may take to begin.
    fn of_the_beginning(self) -> Option<Duration> {
        match self {
            Self::Whole(limit) | Self::Beginning(limit) => Some(limit),
            Self::Silence(_) | Self::Caller => None,
        }
    }
}

/// Returns the limit for a kind of request. An unknown kind is treated as work.
fn limit_of(method: &Method, address: &Uri, deadlines: &Deadlines) -> Limit {
    let path = address.path();
    let ends_with = |end: &str| path.ends_with(end);
    let is_question = method == Method::GET || method == Method::HEAD;
    let is_pull = ends_with("/images/create") && address.query().is_some_and(|query| query.contains("fromImage="));
    let is_saved_image = path.contains("/images/") && ends_with("/get");
    let asks_registry = path.contains("/distribution/") || (path.contains("/images/") && ends_with("/push"));
    if ends_with("/wait") || ends_with("/commit") || is_pull || asks_registry {
        // A registry that does not answer says nothing about the engine. `wait` lasts as long as a container; Podman begins to answer when
        // it ends. A commit takes as long as its files are large,
        // and a pull may pause while the engine works on another one.
        Limit::Caller
    } else if ends_with("/attach") || (path.contains("/exec/") && ends_with("/start")) || ends_with("/events") {
        Limit::Beginning(deadlines.question)
    } else if (ends_with("/archive") && method != Method::HEAD)
        || ends_with("/export")
        || ends_with("/images/create")
        || is_saved_image
    {
        Limit::Silence(deadlines.silence)
    } else if is_question || ends_with("/kill") {
        Limit::Whole(deadlines.question)
    } else {
        Limit::Whole(deadlines.work)
    }
}

/// Returns a copy of a request, if sending it twice has the same effect as sending it once, so that it can be repeated after a dropped connection.
fn repeated(request: &BollardRequest) -> Option<BollardRequest> {
    let is_repeatable = [Method::GET, Method::HEAD, Method::DELETE].contains(request.method());
    // These answer with a stream that must be read from its start.
    if !is_repeatable || request.uri().path().ends_with("/events") {
        return None;
    }
    let mut same = BollardRequest::new(bollard::body_full(Bytes::new()));
    *same.method_mut() = request.method().clone();
    *same.uri_mut() = request.uri().clone();
    *same.headers_mut() = request.headers().clone();
    Some(same)
}

async fn answered<A>(
    answer: impl Future<Output = Result<A, hyper_util::client::legacy::Error>>,
    mut captured: CaptureConnection,
    limit: Limit,
    health: &Health,
) -> Result<A, bollard::errors::Error> {
    let began = Instant::now();
    let late = captured.clone();
    let limited = async { set_limit(captured.wait_for_connection_metadata().await.as_ref(), limit, began) };
    let whole = async {
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            () = limited => answer.await,
        }
    };
    let answer = match limit.of_the_beginning() {
        Some(most) => match tokio::time::timeout(most, whole).await {
            Ok(answer) => answer,
            Err(_) => {
                health.missed(began, Instant::now());
                return Err(silence(most).into());
            }
        },
        None => whole.await,
    };
    let answer = answer.map_err(|error| last_words(&error).unwrap_or_else(|| error.into()))?;
    // The answer may arrive before its connection has been looked up; the rest of it has the same limit.
    set_limit(late.connection_metadata().as_ref(), limit, began);
    health.answered();
    Ok(answer)
}

fn set_limit(connected: Option<&Connected>, limit: Limit, began: Instant) {
    let mut extras = Extensions::new();
    if let Some(connected) = connected {
        connected.get_extras(&mut extras);
    }
    let Some(slot) = extras.remove::<Arc<Slot>>() else { return };
    *slot.limit.lock() = match limit {
        Limit::Whole(limit) => SlotLimit::Until(began + limit, limit),
        Limit::Silence(limit) => SlotLimit::Silence(limit),
        Limit::Beginning(_) | Limit::Caller => SlotLimit::None,
    };
    slot.changed.wake();
}

/// Whether the engine answers at all. After a call without an answer, the next ones get less time, and none at all while the engine
/// stays silent, so that a frozen engine costs one deadline and not one per call.
#[derive(Debug, Default)]
struct Health(Mutex<Option<Silent>>);

#[derive(Debug, Clone, Copy)]
struct Silent {
    /// When the last unanswered call was given up.
    noticed: Instant,
    misses: u32,
}

impl Health {
    fn allowed(&self, limit: Limit, after_silence: Duration, now: Instant) -> Result<Limit, bollard::errors::Error> {
        let silent = *self.0.lock();
        match silent {
            None => Ok(limit),
            Some(silent) if silent.misses > 1 && now < silent.noticed + 2 * after_silence => {
                Err(silence(after_silence).into())
            }
            Some(_) => Ok(limit.at_most(after_silence)),
        }
    }

    fn answered(&self) {
        *self.0.lock() = None;
    }

    /// Several concurrent calls may fail for the same reason; only a call that began later counts again.
    fn missed(&self, began: Instant, now: Instant) {
        let mut silent = self.0.lock();
        let misses = match *silent {
            Some(before) if began < before.noticed => before.misses,
            Some(before) => before.misses + 1,
            None => 1,
        };
        *silent = Some(Silent { noticed: now, misses });
    }
}

/// The limit of the request that is currently on a connection.
#[derive(Debug)]
struct Slot {
    limit: Mutex<SlotLimit>,
    changed: AtomicWaker,
}

#[derive(Debug, Clone, Copy)]
enum SlotLimit {
    None,
    Until(Instant, Duration),
    Silence(Duration),
}

/// A connection that fails when its request has taken too long.
struct Watched {
    inner: Box<dyn Carrier>,
    slot: Arc<Slot>,
    timer: Pin<Box<Sleep>>,
    progressed_at: Instant,
    health: Arc<Health>,
}

impl Watched {
    fn new(inner: Box<dyn Carrier>, health: Arc<Health>) -> Self {
        Self {
            inner,
            slot: Arc::new(Slot { limit: Mutex::new(SlotLimit::None), changed: AtomicWaker::new() }),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            progressed_at: Instant::now(),
            health,
        }
    }

    /// Resolves with an error once the limit is reached.
    fn poll_limit(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        self.slot.changed.register(context.waker());
        let limit = *self.slot.limit.lock();
        let (until, limit) = match limit {
            SlotLimit::None => return Poll::Pending,
            SlotLimit::Until(until, limit) => (until, limit),
            SlotLimit::Silence(limit) => (self.progressed_at + limit, limit),
        };
        if self.timer.deadline() != until {
            self.timer.as_mut().reset(until);
        }
        ready!(self.timer.as_mut().poll(context));
        self.health.missed(until - limit, Instant::now());
        Poll::Ready(silence(limit))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(read) => {
                self.progressed_at = Instant::now();
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_limit(context).map(Err),
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write(context, bytes) {
            Poll::Ready(written) => {
                self.progressed_at = Instant::now();
                Poll::Ready(written)
            }
            Poll::Pending => self.poll_limit(context).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl Connection for Watched {
    fn connected(&self) -> Connected {
        Connected::new().extra(Arc::clone(&self.slot))
    }
}

/// A connection's own error, which can be found again inside the errors of the HTTP client.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
struct Complaint {
    text: String,
    is_silence: bool,
}

pub(super) fn complaint(text: String) -> io::Error {
    io::Error::other(Complaint { text, is_silence: false })
}

/// Returns the error of a call that was not answered.
pub(super) fn silence(limit: Duration) -> io::Error {
    let text = format!("it has not answered for {} s", limit.as_secs_f32());
    io::Error::other(Complaint { text, is_silence: true })
}

/// Returns a connection's own error, without what the HTTP client adds to it.
fn last_words(error: &(dyn std::error::Error + 'static)) -> Option<bollard::errors::Error> {
    find(error).map(|complaint| io::Error::other(complaint.clone()).into())
}

fn is_silence(error: &bollard::errors::Error) -> bool {
    match error {
        bollard::errors::Error::IOError { err } => find(err).is_some_and(|complaint| complaint.is_silence),
        _ => false,
    }
}

fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Complaint> {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match inner.and_then(|inner| inner.downcast_ref::<Complaint>()) {
        Some(complaint) => Some(complaint),
        None => find(error.source()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_request_has_a_deadline() {
        let deadlines = Deadlines::default();
        let is = |method: Method, path: &str, limit| {
            let address: Uri = format!("http://localhost{path}").parse().unwrap();
            assert_eq!(limit_of(&method, &address, &deadlines), limit, "{method} {path}");
        };
        let (question, work) = (Limit::Whole(deadlines.question), Limit::Whole(deadlines.work));
        let (beginning, silence) = (Limit::Beginning(deadlines.question), Limit::Silence(deadlines.silence));
        is(Method::GET, "/_ping", question);
        is(Method::GET, "/containers/x/json", question);
        is(Method::HEAD, "/containers/x/archive?path=/", question);
        is(Method::POST, "/containers/x/kill?signal=KILL", question);
        is(Method::POST, "/containers/create?name=x", work);
        is(Method::POST, "/containers/x/start", work);
        is(Method::DELETE, "/containers/x?force=true", work);
        is(Method::POST, "/some/call/of/tomorrow", work);
        is(Method::POST, "/containers/x/attach?stream=true", beginning);
        is(Method::POST, "/exec/x/start", beginning);
        is(Method::GET, "/events?since=0", beginning);
        is(Method::PUT, "/containers/x/archive?path=/", silence);
        is(Method::GET, "/containers/x/archive?path=/", silence);
        is(Method::GET, "/containers/x/export", silence);
        is(Method::POST, "/images/create?fromSrc=-", silence);
        is(Method::POST, "/images/create?fromImage=a&tag=b", Limit::Caller);
        is(Method::POST, "/images/host:5000/a/push?tag=b", Limit::Caller);
        is(Method::GET, "/distribution/host:5000/a:b/json", Limit::Caller);
        is(Method::GET, "/images/host:5000/a:b/get", silence);
        is(Method::POST, "/containers/x/wait?condition=not-running", Limit::Caller);
        is(Method::POST, "/commit?container=x", Limit::Caller);
    }

    #[test]
    fn a_silent_engine_costs_only_one_deadline() {
        let health = Health::default();
        let (limit, after) = (Limit::Whole(Duration::from_secs(30)), Duration::from_secs(5));
        let start = Instant::now();
        let allowed = |seconds| health.allowed(limit, after, start + Duration::from_secs(seconds));
        assert_eq!(allowed(0).unwrap(), limit);
        // Two concurrent calls.
        health.missed(start, start + Duration::from_secs(30));
        health.missed(start, start + Duration::from_secs(30));
        assert_eq!(allowed(30).unwrap(), Limit::Whole(after));
        health.missed(start + Duration::from_secs(30), start + Duration::from_secs(35));
        assert!(is_silence(&allowed(44).unwrap_err()));
        assert_eq!(allowed(45).unwrap(), Limit::Whole(after));
        health.answered();
        assert_eq!(allowed(45).unwrap(), limit);
    }
}

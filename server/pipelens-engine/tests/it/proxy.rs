//! A proxy between a client and a server that holds, cuts, stalls, garbles and counts what goes through it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What becomes of the bytes of every connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Open,
    /// Each connection answers with this many bytes, and then waits; 0 holds questions too.
    HeldAfter(u64),
    /// Connections break, and new ones too.
    Cut,
}

/// What happens to a connection that is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It breaks in the answer.
    Cut,
    /// It ends before anything passes.
    Refuse,
    /// The question passes, and the answer stops.
    Stall,
    /// The connection stays open, and nothing passes in either direction any more.
    BlackHole,
    /// The answer ends early, as if it were over.
    Truncate,
    /// The proxy answers that the server has failed.
    Error500,
    /// The answer goes on as noise.
    Garbage,
    /// The answer comes in crumbs.
    Slow,
}

/// Which connections are picked, and what happens to them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Part of the first line of the question; the empty one is in every question.
    pub(crate) question: &'static str,
    /// Which of the connections with such a question, from 0.
    pub(crate) nth: usize,
    /// And all after it.
    pub(crate) lasts: bool,
    /// How much of the answer passes before.
    pub(crate) after_bytes: u64,
}

pub(crate) struct Proxy {
    /// Of the TCP port, or the path of the socket.
    pub(crate) address: String,
    shared: Arc<Shared>,
    flow: watch::Sender<Flow>,
    task: JoinHandle<()>,
}

struct Shared {
    server: String,
    flow: watch::Receiver<Flow>,
    sent: AtomicU64,
    fault: Mutex<Option<Fault>>,
    /// Connections with the question of the fault so far.
    met: AtomicUsize,
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

type Reader = ReadHalf<Box<dyn Wire>>;
type Writer = WriteHalf<Box<dyn Wire>>;

const QUESTION_BYTES: usize = 16 * 1024;
const CRUMB_BYTES: usize = 40;
const CRUMB_EVERY: Duration = Duration::from_millis(2);

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self) -> Option<Box<dyn Wire>> {
        match self {
            Self::Tcp(listener) => Some(Box::new(listener.accept().await.ok()?.0)),
            Self::Unix(listener) => Some(Box::new(listener.accept().await.ok()?.0)),
        }
    }
}

impl Proxy {
    /// Listens on a port of its own and passes on to `server`: a TCP address, or `unix://` and the path of a socket.
    pub(crate) async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self::serve(Listener::Tcp(listener), address, server)
    }

    /// The same, on a socket.
    pub(crate) fn start_on(socket: &Path, server: &str) -> Self {
        Self::serve(Listener::Unix(UnixListener::bind(socket).unwrap()), socket.display().to_string(), server)
    }

    fn serve(listener: Listener, address: String, server: &str) -> Self {
        let (flow, follower) = watch::channel(Flow::Open);
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            flow: follower,
            sent: AtomicU64::new(0),
            fault: Mutex::new(None),
            met: AtomicUsize::new(0),
        });
        let own = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Some(client) = listener.accept().await {
                connections.spawn(connection(client, Arc::clone(&own)));
            }
        });
        Self { address, shared, flow, task }
    }

    pub(crate) fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    pub(crate) fn plan(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = Some(fault);
    }

    /// How many bytes have been sent to the server.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Whether the planned fault has happened.
    pub(crate) fn has_struck(&self) -> bool {
        let fault = *self.shared.fault.lock().unwrap();
        fault.is_some_and(|fault| self.shared.met.load(Ordering::Relaxed) > fault.nth)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn connect(&self) -> std::io::Result<Box<dyn Wire>> {
        Ok(match self.server.strip_prefix("unix://") {
            Some(path) => Box::new(UnixStream::connect(path).await?),
            None => Box::new(TcpStream::connect(&self.server).await?),
        })
    }

    /// Returns the fault that a connection is picked for by its question.
    fn picked(&self, question: &[u8]) -> Option<Fault> {
        let fault = (*self.fault.lock().unwrap())?;
        let first_line = question.split(|byte| *byte == b'\r').next().unwrap_or_default();
        if !String::from_utf8_lossy(first_line).contains(fault.question) {
            return None;
        }
        let number = self.met.fetch_add(1, Ordering::Relaxed);
        (number == fault.nth || (fault.lasts && number > fault.nth)).then_some(fault)
    }
}

async fn connection(mut client: Box<dyn Wire>, shared: Arc<Shared>) {
    if *shared.flow.borrow() == Flow::Cut {
        return;
    }
    let is_planned = shared.fault.lock().unwrap().is_some();
    let mut question = Vec::new();
    if is_planned {
        question.resize(QUESTION_BYTES, 0);
        let length = client.read(&mut question).await.unwrap_or(0);
        question.truncate(length);
    }
    let fault = shared.picked(&question);
    let broken = match fault {
        Some(Fault { kind: Kind::Refuse, .. }) => return,
        Some(Fault { kind: Kind::BlackHole, after_bytes: 0, .. }) => return std::future::pending().await,
        Some(Fault { kind: Kind::Error500, .. }) => {
            let answer = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\
                          {\"message\":\"the shim is gone\"}\n";
            client.write_all(answer.as_bytes()).await.ok();
            client.shutdown().await.ok();
            return;
        }
        Some(fault) => Some(fault),
        None => None,
    };
    let Ok(mut server) = shared.connect().await else { return };
    if server.write_all(&question).await.is_err() {
        return;
    }
    shared.sent.fetch_add(question.len() as u64, Ordering::Relaxed);
    let ((from_client, to_client), (from_server, to_server)) = (tokio::io::split(client), tokio::io::split(server));
    let mut until_cut = shared.flow.clone();
    let both = async {
        match broken {
            None => {
                let answered = AtomicU64::new(0);
                tokio::join!(
                    pass(from_client, to_server, shared.flow.clone(), &shared.sent, false),
                    pass(from_server, to_client, shared.flow.clone(), &answered, true),
                );
            }
            Some(fault) => {
                let unanswered = AtomicU64::new(0);
                let asks = pass(from_client, to_server, shared.flow.clone(), &unanswered, false);
                let answers = answer_badly(from_server, to_client, fault);
                match fault.kind {
                    // With the end of the answers nothing is asked any more.
                    Kind::BlackHole | Kind::Cut | Kind::Truncate | Kind::Garbage => tokio::select! {
                        () = async { asks.await; std::future::pending().await } => {}
                        () = answers => {}
                    },
                    _ => drop(tokio::join!(asks, answers)),
                }
            }
        }
    };
    tokio::select! {
        () = both => {}
        _ = until_cut.wait_for(|flow| *flow == Flow::Cut) => {}
    }
}

/// Passes the beginning of an answer, and then does what the fault is.
async fn answer_badly(mut from: Reader, mut to: Writer, fault: Fault) {
    let mut bytes = vec![0; 16 * 1024];
    let mut left = fault.after_bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        match from.read(&mut bytes[..most]).await {
            Ok(count @ 1..) => {
                left -= count as u64;
                if to.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
            }
            Ok(0) | Err(_) => {
                to.shutdown().await.ok();
                return;
            }
        }
    }
    match fault.kind {
        Kind::Cut => {}
        Kind::Truncate => drop(to.shutdown().await),
        Kind::Garbage => {
            let noise: Vec<u8> =
                (0..4_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            to.write_all(&noise).await.ok();
            to.shutdown().await.ok();
        }
        Kind::Slow => {
            while let Ok(count @ 1..) = from.read(&mut bytes[..CRUMB_BYTES]).await {
                if to.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
                tokio::time::sleep(CRUMB_EVERY).await;
            }
            to.shutdown().await.ok();
        }
        Kind::Stall | Kind::BlackHole => std::future::pending().await,
        Kind::Refuse | Kind::Error500 => {}
    }
}

async fn pass(mut from: Reader, mut to: Writer, mut flow: watch::Receiver<Flow>, passed: &AtomicU64, is_answer: bool) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let room = match *flow.borrow_and_update() {
            Flow::HeldAfter(most) if is_answer => most.saturating_sub(passed.load(Ordering::Relaxed)),
            Flow::HeldAfter(0) => 0,
            Flow::HeldAfter(_) | Flow::Open | Flow::Cut => u64::MAX,
        };
        let most = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        tokio::select! {
            changed = flow.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            read = from.read(&mut bytes[..most]), if most > 0 => match read {
                Ok(count @ 1..) => {
                    passed.fetch_add(count as u64, Ordering::Relaxed);
                    if to.write_all(&bytes[..count]).await.is_err() {
                        return;
                    }
                }
                Ok(0) | Err(_) => {
                    to.shutdown().await.ok();
                    return;
                }
            },
        }
    }
}

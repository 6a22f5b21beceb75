//! A TCP connection's bad days: held in the middle, cut, counted. Stands between whoever asks and a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What becomes of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Open,
    /// Each connection answers with this many bytes, and then waits; 0 holds questions too.
    HeldAfter(u64),
    /// Connections break, and new ones too.
    Cut,
}

pub(crate) struct Proxy {
    pub(crate) address: String,
    flow: watch::Sender<Flow>,
    sent: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a port of its own and passes on to `server`.
    pub(crate) async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (flow, follower) = watch::channel(Flow::Open);
        let sent = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(serve(listener, server.to_owned(), follower, Arc::clone(&sent)));
        Self { address, flow, sent, task }
    }

    pub(crate) fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    /// How many bytes have been sent to the server.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: String, flow: watch::Receiver<Flow>, sent: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connection(client, server.clone(), flow.clone(), Arc::clone(&sent)));
    }
}

async fn connection(client: TcpStream, server: String, flow: watch::Receiver<Flow>, sent: Arc<AtomicU64>) {
    if *flow.borrow() == Flow::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let answered = AtomicU64::new(0);
    let mut until_cut = flow.clone();
    let both = async {
        tokio::join!(
            pass(from_client, to_server, flow.clone(), &sent, false),
            pass(from_server, to_client, flow.clone(), &answered, true),
        )
    };
    tokio::select! {
        _ = both => {}
        _ = until_cut.wait_for(|flow| *flow == Flow::Cut) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut flow: watch::Receiver<Flow>,
    passed: &AtomicU64,
    is_answer: bool,
) {
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

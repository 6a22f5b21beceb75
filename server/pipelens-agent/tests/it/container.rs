//! A container: namespaces, and a root filesystem of its own with the machine's programs mounted in it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use pipelens_agent::client::{Agent, Connection, DialError, Dialer, Options, OutputSink};
use pipelens_agent::protocol::message::{RunReport, RunRequest, Stream, Then};
use tokio::io::{AsyncRead, ReadBuf};

use crate::skipped::skipped;

/// Runs as the container's first process, and becomes the agent.
const BEGIN: &str = r#"set -e
mount --bind "$1" "$1"
cd "$1"
mkdir -p usr proc dev tmp work root
for name in bin sbin lib lib64; do
    if [ -L "/$name" ]; then cp -P "/$name" .; elif [ -d "/$name" ]; then mkdir -p "$name"; mount --rbind "/$name" "$name"; fi
done
mount --rbind /usr usr
mount -t proc proc proc
mount -t tmpfs dev dev
mkdir dev/shm dev/pts
for device in null zero urandom tty; do touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
chmod 1777 tmp dev/shm
shift
exec env -i PATH=/usr/sbin:/usr/bin:/bin IMAGE=own "$@"
"#;

pub(crate) struct Container {
    unshare: Child,
    /// The agent, as the machine sees it.
    pub(crate) first_process: u32,
    pub(crate) root: tempfile::TempDir,
}

impl Container {
    /// `None` where there can be none.
    pub(crate) fn start(prepare: impl FnOnce(&Path)) -> Option<Self> {
        Self::start_with(15, &[], prepare)
    }

    pub(crate) fn start_with(patience: u64, become_user: &[&str], prepare: impl FnOnce(&Path)) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skipped("root", "containers of the tests' own need root");
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let agent = root.path().join(".pipelens/agent");
        std::fs::create_dir(agent.parent().unwrap()).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_pipelens-agent"), agent).unwrap();
        prepare(root.path());
        let path = root.path().display().to_string();
        let unshare = Command::new("unshare")
            .args(["--pid", "--mount", "--ipc", "--fork", "--kill-child", "--propagation", "private"])
            .args(["sh", "-c", BEGIN, "sh", &path])
            .args(["chroot"])
            .args(become_user)
            .args([&path, "/.pipelens/agent", "serve", "--patience", &patience.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let first_process = loop {
            let children = format!("/proc/{0}/task/{0}/children", unshare.id());
            let children = std::fs::read_to_string(children).unwrap();
            if let Some(child) = children.split_whitespace().next() {
                break child.parse().unwrap();
            }
            std::thread::yield_now();
        };
        let container = Self { unshare, first_process, root };
        container.wait_until_it_serves();
        Some(container)
    }

    /// Until then, other programs run in the first process.
    fn wait_until_it_serves(&self) {
        let name = format!("/proc/{}/comm", self.first_process);
        let began = std::time::Instant::now();
        while std::fs::read_to_string(&name).unwrap_or_default().trim() != "agent" {
            assert!(began.elapsed() < Duration::from_secs(20), "the container does not start");
            std::thread::yield_now();
        }
    }

    /// Returns a command that runs in the container, but was started from outside.
    pub(crate) fn exec(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.first_process.to_string(), "-p", "-m", "-i", "--root", "--wd"]).args(words);
        command
    }

    pub(crate) fn dialer(&self) -> Arc<Dialing> {
        self.dialer_that_cuts(u64::MAX)
    }

    /// Each connection ends after so many bytes from the agent.
    pub(crate) fn dialer_that_cuts(&self, after_bytes: u64) -> Arc<Dialing> {
        let command = self.exec(&["/.pipelens/agent", "connect"]);
        let words = command.get_args().map(|word| word.to_str().unwrap().to_owned()).collect();
        Arc::new(Dialing { program: "nsenter".into(), words, after_bytes: Arc::new(AtomicU64::new(after_bytes)) })
    }

    pub(crate) async fn connect(&self) -> Agent {
        Agent::connect(self.dialer(), Options::default()).await.unwrap()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Waits until the first process has exited, and everything with it.
    pub(crate) fn wait(&mut self) {
        self.unshare.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.unshare.try_wait().unwrap().is_some()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.unshare.kill().ok();
        self.unshare.wait().ok();
    }
}

pub(crate) struct Dialing {
    pub(crate) program: String,
    pub(crate) words: Vec<String>,
    pub(crate) after_bytes: Arc<AtomicU64>,
}

impl Dialer for Dialing {
    fn dial(&self) -> futures_util::future::BoxFuture<'static, Result<Connection, DialError>> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.words).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let left = self.after_bytes.load(Ordering::Relaxed);
        async move {
            let mut child = command.spawn()?;
            let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            Ok(Connection::new(Cut { output, left, _child: child }, input))
        }
        .boxed()
    }
}

/// Ends after so many bytes, in the middle of whatever comes.
struct Cut {
    output: tokio::process::ChildStdout,
    left: u64,
    _child: tokio::process::Child,
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.remaining());
        let mut part = buffer.take(left);
        let read = Pin::new(&mut self.output).poll_read(context, &mut part);
        let count = part.filled().len();
        // The part is the beginning of the same memory, and so it is initialized.
        let bytes = part.filled().to_vec();
        buffer.put_slice(&bytes);
        self.left -= count as u64;
        read
    }
}

pub(crate) fn command(script: &str) -> RunRequest {
    RunRequest {
        shell: vec!["sh".into()],
        script: Some(script.into()),
        variables: Vec::new(),
        workdir: "/work".into(),
        then: Then::Next,
        after_listing: false,
    }
}

/// What a command wrote, by stream.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl OutputSink for Written {
    async fn take(&mut self, stream: Stream, bytes: &Bytes) {
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(bytes),
            Stream::Stderr => self.stderr.extend_from_slice(bytes),
        }
    }
}

/// Runs a command, and returns its report and its output.
pub(crate) async fn run(agent: &Agent, request: RunRequest) -> (RunReport, String) {
    let mut written = Written::default();
    let report = agent.run(request, &mut written).await.unwrap();
    written.stdout.extend_from_slice(&written.stderr);
    (report, String::from_utf8(written.stdout).unwrap())
}

/// Returns when something is written that contains this.
pub(crate) struct WaitsFor(
    pub(crate) &'static str,
    pub(crate) Option<tokio::sync::oneshot::Sender<()>>,
    pub(crate) String,
);

impl WaitsFor {
    pub(crate) fn new(text: &'static str) -> (Self, tokio::sync::oneshot::Receiver<()>) {
        let (tx, rx) = tokio::sync::oneshot::channel();
        (Self(text, Some(tx), String::new()), rx)
    }
}

impl OutputSink for WaitsFor {
    async fn take(&mut self, _stream: Stream, bytes: &Bytes) {
        self.2.push_str(&String::from_utf8_lossy(bytes));
        if self.2.contains(self.0) {
            self.1.take().map(|tx| tx.send(()));
        }
    }
}

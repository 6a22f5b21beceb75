//! Engines over SSH, reached as the Docker client does it: with the user's own `ssh`, so that its configuration, agent,
//! known hosts and jump hosts apply. Each connection is a process. Knows nothing about containers.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bollard::Docker;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use crate::deadlines::Deadlines;
use crate::docker::client_error::Unusable;
use crate::docker::transport::{self, Carrier, Way, complaint};
use crate::programs;

/// How long `ssh` tries before it reports why it could not connect; the same value as in the Docker client.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// An SSH server drops connections at random once ten of them are not yet authenticated (`MaxStartups`).
const KNOCKING_AT_ONCE: usize = 8;
/// A connection whose first answer takes long (a commit) has been established all the same.
const KNOCKS_FOR: Duration = Duration::from_secs(10);
/// More than the pipe to `ssh` holds: `ssh` reads no input before it is connected.
const THROUGH_AFTER_BYTES: usize = 256 * 1024;
/// A master connection that the user's configuration keeps in the background keeps the other end of standard error open.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);
/// A banner may be long; the error message of `ssh` is short and comes last.
const LAST_WORDS_BYTES: usize = 600;
/// The address in requests; the real host name is resolved only by `ssh`.
const HOST_IN_REQUESTS: &str = "http://docker.example.com";
/// How often `ssh` probes the other machine, and how many probes may go unanswered: a dead link is noticed within 45 s.
const ALIVE_EVERY_SECONDS: u64 = 15;
const ALIVE_COUNT: u64 = 3;

/// Where `ssh` connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    /// The engine's socket on that machine, if it is not the default.
    socket: Option<String>,
}

/// Returns a client whose connections are processes. Starts nothing yet.
pub(super) fn client(address: &str, project: Option<&Path>, deadlines: Deadlines) -> Result<Docker, Unusable> {
    let address = Arc::new(Address::parse(address)?);
    let program = programs::find("ssh", project.as_slice());
    let program = Arc::new(program.ok_or("`ssh` is not on the `PATH`; install the OpenSSH client")?);
    let door = Arc::new(Semaphore::new(KNOCKING_AT_ONCE));
    // A request that has to wait for its connection gets that time in addition to its own: most of the time that `ssh` takes to give up.
    let way = Way { address: HOST_IN_REQUESTS.into(), keeps_idle: true, connects_within: CONNECT_WITHIN / 2 };
    transport::client(way, deadlines, move |_| {
        let opening = SshConnection::open(Arc::clone(&program), Arc::clone(&address), Arc::clone(&door));
        async move { Ok(Box::new(opening.await?) as Box<dyn Carrier>) }.boxed()
    })
}

impl Address {
    fn parse(text: &str) -> Result<Self, Unusable> {
        let shape =
            "an SSH address must have the form `ssh://user@host:port/path/to/docker.sock`; only the host is required";
        let rest = text.strip_prefix("ssh://").ok_or(shape)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let (host, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or(shape)?)),
            None => host.rsplit_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err("a password cannot be part of an address; use an SSH key or agent instead".into());
        }
        let is_name = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && !text.contains(|it: char| it.is_whitespace() || it.is_control())
        };
        // `ssh` would interpret it as an option, and one of its options runs a program.
        if !is_name(host) || user.is_some_and(|user| !is_name(user)) {
            return Err(shape.into());
        }
        let port = port.map(|port| port.parse().map_err(|_| format!("`{port}` is not a port"))).transpose()?;
        // The remote shell interprets it.
        if path.contains(|it: char| !it.is_ascii_alphanumeric() && !"/._-+@:".contains(it)) {
            return Err(
                format!("the path of the socket `/{path}` contains a character that is special to the shell").into()
            );
        }
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            socket: (!path.is_empty()).then(|| format!("/{path}")),
        })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // There is no terminal on which to ask for a password.
        let seconds = CONNECT_WITHIN.as_secs();
        for option in [
            "BatchMode=yes".to_owned(),
            format!("ConnectTimeout={seconds}"),
            format!("ServerAliveInterval={ALIVE_EVERY_SECONDS}"),
            format!("ServerAliveCountMax={ALIVE_COUNT}"),
        ] {
            command.args(["-o", &option]);
        }
        command.arg("-T");
        if let Some(user) = &self.user {
            command.args(["-l", user]);
        }
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", &self.host, "docker"]);
        if let Some(socket) = &self.socket {
            command.args(["--host", &format!("unix://{socket}")]);
        }
        command.args(["system", "dial-stdio"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        detach(&mut command);
        command
    }
}

/// Ctrl-C in a terminal must not reach `ssh`, because the cleanup still needs the connection.
#[cfg(unix)]
fn detach(command: &mut Command) {
    command.process_group(0);
}

#[cfg(windows)]
fn detach(command: &mut Command) {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
    const CREATE_NO_WINDOW: u32 = 0x0800_0000;
    command.creation_flags(CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW);
}

/// One `ssh` process, which is killed when this is dropped.
struct SshConnection {
    process: Option<Child>,
    input: Option<ChildStdin>,
    output: ChildStdout,
    complaints: Option<ChildStderr>,
    said: Vec<u8>,
    knock: Option<Knock>,
    /// Once the output has ended: how the process ended.
    end: Option<BoxFuture<'static, io::Result<()>>>,
}

/// A permit for a connection that is not established yet, released when it is, or after a time limit.
struct Knock {
    _place: OwnedSemaphorePermit,
    time: Pin<Box<Sleep>>,
    sent_bytes: usize,
}

impl SshConnection {
    async fn open(program: Arc<PathBuf>, address: Arc<Address>, door: Arc<Semaphore>) -> io::Result<Self> {
        let place = door.acquire_owned().await.map_err(io::Error::other)?;
        let mut process = address
            .command(&program)
            .spawn()
            .map_err(|error| complaint(format!("`{}` could not be started: {error}", program.display())))?;
        let closed = || complaint("`ssh` was started without its streams".into());
        Ok(Self {
            input: Some(process.stdin.take().ok_or_else(closed)?),
            output: process.stdout.take().ok_or_else(closed)?,
            complaints: Some(process.stderr.take().ok_or_else(closed)?),
            process: Some(process),
            said: Vec::new(),
            knock: Some(Knock { _place: place, time: Box::pin(tokio::time::sleep(KNOCKS_FOR)), sent_bytes: 0 }),
            end: None,
        })
    }

    /// Reads the error output so far, because a full pipe would block the process.
    fn listen(&mut self, context: &mut Context<'_>) {
        let mut space = [0; 1024];
        while let Some(complaints) = &mut self.complaints {
            let mut read = ReadBuf::new(&mut space);
            match Pin::new(complaints).poll_read(context, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    self.said.extend_from_slice(read.filled());
                    let too_much = self.said.len().saturating_sub(LAST_WORDS_BYTES);
                    self.said.drain(..too_much);
                }
                Poll::Ready(_) => self.complaints = None,
                Poll::Pending => return,
            }
        }
    }

    fn end(&mut self) -> BoxFuture<'static, io::Result<()>> {
        let (process, complaints, said) = (self.process.take(), self.complaints.take(), std::mem::take(&mut self.said));
        end_of(process, complaints, said).boxed()
    }
}

/// Waits for a process whose output has ended, and returns the error if it failed.
async fn end_of(process: Option<Child>, complaints: Option<ChildStderr>, mut said: Vec<u8>) -> io::Result<()> {
    let Some(mut process) = process else { return Ok(()) };
    let rest = async {
        if let Some(mut complaints) = complaints {
            complaints.read_to_end(&mut said).await.ok();
        }
    };
    tokio::time::timeout(LAST_WORDS_WITHIN, rest).await.ok();
    let status = match tokio::time::timeout(LAST_WORDS_WITHIN, process.wait()).await {
        Ok(status) => status?,
        Err(_) => return Ok(()),
    };
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(complaint(match lines.as_slice() {
        [] => format!("`ssh` failed ({status})"),
        lines => format!("`ssh` reported: {}", lines.join(" ")),
    }))
}

impl AsyncRead for SshConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.listen(context);
        if self.knock.as_mut().is_some_and(|knock| knock.time.poll_unpin(context).is_ready()) {
            self.knock = None;
        }
        if self.end.is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.output).poll_read(context, buffer))?;
            self.knock = None;
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            let end = self.end();
            self.end = Some(end);
        }
        match &mut self.end {
            Some(end) => {
                let ended = ready!(end.poll_unpin(context));
                self.end = Some(std::future::ready(Ok(())).boxed());
                Poll::Ready(ended)
            }
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for SshConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(input) = &mut self.input else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match ready!(Pin::new(input).poll_write(context, bytes)) {
            // The process has ended; the reader is about to receive the reason.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Poll::Pending,
            written => {
                if let (Some(knock), Ok(count)) = (&mut self.knock, &written) {
                    knock.sent_bytes += count;
                }
                self.knock.take_if(|knock| knock.sent_bytes > THROUGH_AFTER_BYTES);
                Poll::Ready(written)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Closes our half of the connection; the engine's half stays open.
    fn poll_shutdown(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(address: &str) -> Result<String, Unusable> {
        let command = Address::parse(address)?.command(Path::new("ssh"));
        let words = command.as_std().get_args().map(|word| word.to_string_lossy().into_owned());
        Ok(words.collect::<Vec<_>>().join(" "))
    }

    fn refused(address: &str) -> String {
        words(address).unwrap_err().to_string()
    }

    #[test]
    fn an_address_becomes_the_arguments_that_the_docker_client_uses() {
        let options = "-o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=3 -T";
        let is = |address, rest: &str| assert_eq!(words(address), Ok(format!("{options} {rest}")));
        is("ssh://there", "-- there docker system dial-stdio");
        is("ssh://me@there:2222/", "-l me -p 2222 -- there docker system dial-stdio");
        is("ssh://me@corp@[fe80::1]:22", "-l me@corp -p 22 -- fe80::1 docker system dial-stdio");
        is("ssh://there/run/a.sock", "-- there docker --host unix:///run/a.sock system dial-stdio");
    }

    #[test]
    fn an_address_cannot_smuggle_options_or_commands() {
        for address in
            ["ssh://", "ssh://-oProxyCommand=x", "ssh://-l@there", "ssh://me@", "ssh://a b", "ssh://[::1]22", "tcp://a"]
        {
            assert!(refused(address).starts_with("an SSH address must have the form"), "{address}");
        }
        assert_eq!(refused("ssh://there:http"), "`http` is not a port");
        assert!(refused("ssh://me:word@there").contains("a password cannot be part of an address"));
        assert!(refused("ssh://there/$(reboot)").contains("special to the shell"));
    }
}

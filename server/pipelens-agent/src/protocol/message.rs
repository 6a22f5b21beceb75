//! What is said: requests, their data, and their answers.
//!
//! A request has a number that the client chooses and never uses again. Any number of requests are carried out side by side, but only one
//! command runs at a time. Everything about a request is said in messages with its number; the last one is the agent's answer. Data flows
//! as far as the taker has given room: [`WINDOW_BYTES`](super::WINDOW_BYTES) at first, more with each `Room`.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

pub use super::apply::{Applied, ApplyRequest, MissingFolders};
use super::frame::FrameError;
pub use super::question::{AskRequest, Asked, Host};

/// The number of a request.
pub type RequestId = u32;

/// A message from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToAgent {
    Control(RequestId, Control),
    /// The next piece of what the request reads: an archive, or what is typed.
    Data(RequestId, Bytes),
}

/// A message from the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromAgent {
    Notice(RequestId, Notice),
    /// The next piece of what the request returns: an archive, or what a shell shows.
    Data(RequestId, Bytes),
    /// What a command wrote.
    Output(RequestId, Stream, Bytes),
}

/// One of a command's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    Start(Request),
    /// That was all the data.
    End,
    /// The client has taken so many bytes.
    Room(u64),
    /// The size of a shell's terminal has changed.
    Resize(WindowSize),
    /// The answer is no longer wanted: the request ends as soon as possible. A command is killed.
    Cancel,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// The command runs.
    Started,
    /// The agent has taken so many bytes.
    Room(u64),
    /// The request is over.
    Answer(Result<Answer, Failure>),
}

/// What the agent is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    Run(RunRequest),
    /// TERM to everything that the running command started.
    Terminate,
    /// KILL to everything that the running command started; its report follows as usual.
    Kill,
    /// Waits for the listing that the agent began to take when it started.
    AwaitListing,
    /// Takes the listing again: what is there now is in the image already.
    List,
    PushLayer(PushRequest),
    Apply(ApplyRequest),
    Archive {
        path: ContainerPath,
    },
    Stat {
        path: ContainerPath,
    },
    ReadSmallFile {
        path: ContainerPath,
    },
    Identity,
    Shell(ShellRequest),
    /// Runs a short program beside the command.
    Ask(AskRequest),
    /// Whether something listens on a TCP port.
    Listens {
        port: u16,
    },
    /// Adds names to `/etc/hosts`.
    AddHosts(Vec<Host>),
}

/// The bytes of a path, absolute or relative to the container's root. Not every path is UTF-8.
pub type ContainerPath = Vec<u8>;

/// What happens after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// Another command may follow, which must not be able to tell that this one ran before.
    Next,
    /// Its files are copied or saved.
    Wait,
    /// Nothing.
    End,
}

/// A command: `shell… -c script`, or a program.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    /// The program that runs the script, with its arguments.
    pub shell: Vec<String>,
    /// `None`: the program itself is the command.
    pub script: Option<String>,
    /// Set over the container's own environment, secrets included. No process list shows them.
    pub variables: Vec<(String, String)>,
    /// The working directory, which must exist.
    pub workdir: String,
    pub then: Then,
    /// Whether the command waits until the listing has been taken, which must not contain what it does.
    pub after_listing: bool,
}

impl std::fmt::Debug for RunRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunRequest").field("workdir", &self.workdir).field("then", &self.then).finish_non_exhaustive()
    }
}

/// How a command ended. Everything it wrote has been sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// Its exit code; 128 + the signal that killed it.
    pub exit_code: i32,
    pub state: State,
    /// Whether the kernel killed a process of the container for want of memory meanwhile.
    pub was_short_of_memory: bool,
}

/// The state in which a command leaves its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Nothing runs, and only the filesystem shows that a command ran here. Known only after [`Then::Next`].
    Clean,
    /// Nothing runs.
    Quiet,
    /// Something may still run.
    Busy,
}

/// Saves what has changed since the listing as one layer in a registry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRequest {
    pub registry: Registry,
}

impl std::fmt::Debug for PushRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushRequest").field("repository", &self.registry.repository).finish_non_exhaustive()
    }
}

/// A repository in a registry, and the rights to push to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// `https://host:port/v2/NAME`, or `http://…` if `insecure` is set.
    pub repository: String,
    /// The value of the header `Authorization`.
    pub authorization: Option<String>,
    /// Certificates in PEM that are trusted instead of the public ones.
    pub trusted: Option<String>,
    /// Whether plain HTTP is allowed.
    pub insecure: bool,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("repository", &self.repository).finish_non_exhaustive()
    }
}

/// A layer that has been pushed (`application/vnd.oci.image.layer.v1.tar+gzip`). The listing is now what it contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Of the compressed bytes, `sha256:…`.
    pub digest: String,
    /// Of the uncompressed bytes, for the image's configuration.
    pub diff_id: String,
    pub size: u64,
    pub uncompressed_size: u64,
    /// How many files, directories and whiteouts are in it; 0: nothing has changed.
    pub entries: u64,
}

/// The listing of the root filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub entries: u64,
    /// The memory it needs.
    pub bytes: u64,
    pub milliseconds: u64,
}

/// What is at a path; a link is not followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    pub kind: FileKind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub modified_seconds: i64,
    /// Where a link leads, as it is written.
    pub link_target: Option<ContainerPath>,
    /// The path with every link on its way resolved, if all of it exists.
    pub real_path: Option<ContainerPath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    File,
    Folder,
    Symlink,
    Other,
}

/// Who the agent, and with it each command, is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// From the image's `/etc/passwd`; `/` if it is not there.
    pub home: String,
    /// As in images: `amd64`, `arm64`.
    pub architecture: String,
    /// The container's own environment. Names and values that are not UTF-8 are left out.
    pub variables: Vec<(String, String)>,
    /// The container's clock, in seconds since 1970.
    pub now_seconds: i64,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("uid", &self.uid).field("gid", &self.gid).finish_non_exhaustive()
    }
}

/// A shell in a terminal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellRequest {
    pub command: Vec<String>,
    /// `TERM` among them.
    pub variables: Vec<(String, String)>,
    pub workdir: String,
    pub size: WindowSize,
}

impl std::fmt::Debug for ShellRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShellRequest").field("workdir", &self.workdir).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Done,
    Ran(RunReport),
    Listed(Listing),
    Pushed(Layer),
    Applied(Applied),
    /// There is nothing at the path.
    Absent,
    Stat(Stat),
    Content(Vec<u8>),
    Identity(Identity),
    /// A shell's exit code.
    Exited(i32),
    Asked(Asked),
    Listens(bool),
}

/// Why a request could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{sentence}")]
pub struct Failure {
    pub reason: Reason,
    /// Without a full stop: "the registry answered 503".
    pub sentence: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// A program or a directory that the request needs does not exist.
    NotFound,
    /// The registry wants other credentials; with its header `WWW-Authenticate`.
    Unauthorized {
        challenge: Option<String>,
    },
    /// The client cancelled it.
    Cancelled,
    /// The registry did not answer, or had an error of its own: another attempt may succeed.
    Away,
    Other,
}

const CONTROL: u8 = 0;
const DATA: u8 = 1;
const STDOUT: u8 = 2;
const STDERR: u8 = 3;

/// The bytes before the data of a message.
const HEAD_BYTES: usize = 1 + 4;

impl ToAgent {
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Control(request, control) => encode_value(*request, control),
            Self::Data(request, bytes) => encode_data(DATA, *request, bytes),
        }
    }

    pub fn decode(body: Bytes) -> Result<Self, FrameError> {
        let (kind, request, rest) = decode_head(body)?;
        match kind {
            CONTROL => Ok(Self::Control(request, decode_value(&rest)?)),
            DATA => Ok(Self::Data(request, rest)),
            _ => Err(FrameError::Malformed),
        }
    }
}

impl FromAgent {
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Notice(request, notice) => encode_value(*request, notice),
            Self::Data(request, bytes) => encode_data(DATA, *request, bytes),
            Self::Output(request, Stream::Stdout, bytes) => encode_data(STDOUT, *request, bytes),
            Self::Output(request, Stream::Stderr, bytes) => encode_data(STDERR, *request, bytes),
        }
    }

    pub fn decode(body: Bytes) -> Result<Self, FrameError> {
        let (kind, request, rest) = decode_head(body)?;
        match kind {
            CONTROL => Ok(Self::Notice(request, decode_value(&rest)?)),
            DATA => Ok(Self::Data(request, rest)),
            STDOUT => Ok(Self::Output(request, Stream::Stdout, rest)),
            STDERR => Ok(Self::Output(request, Stream::Stderr, rest)),
            _ => Err(FrameError::Malformed),
        }
    }
}

fn encode_data(kind: u8, request: RequestId, bytes: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(HEAD_BYTES + bytes.len());
    body.put_u8(kind);
    body.put_u32(request);
    body.put_slice(bytes);
    body.freeze()
}

fn encode_value(request: RequestId, value: &impl Serialize) -> Bytes {
    // No type here has anything that cannot be serialized.
    encode_data(CONTROL, request, &postcard::to_allocvec(value).unwrap_or_default())
}

fn decode_head(mut body: Bytes) -> Result<(u8, RequestId, Bytes), FrameError> {
    use bytes::Buf as _;

    if body.len() < HEAD_BYTES {
        return Err(FrameError::Malformed);
    }
    Ok((body.get_u8(), body.get_u32(), body))
}

fn decode_value<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, FrameError> {
    postcard::from_bytes(bytes).map_err(|_| FrameError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let request = Request::Run(RunRequest {
            shell: vec!["sh".into()],
            script: Some("echo".into()),
            variables: vec![("TOKEN".into(), "hunter2".into())],
            workdir: "/w".into(),
            then: Then::Next,
            after_listing: false,
        });
        let message = ToAgent::Control(1, Control::Start(request));
        assert!(!format!("{message:?}").contains("hunter2"));
        assert_eq!(ToAgent::decode(message.encode()), Ok(message));
    }

    #[test]
    fn output_keeps_its_stream() {
        let output = FromAgent::Output(7, Stream::Stderr, Bytes::from_static(b"oh"));
        assert_eq!(FromAgent::decode(output.encode()), Ok(output));
        assert_eq!(FromAgent::decode(Bytes::from_static(b"\x09\0\0\0\0")), Err(FrameError::Malformed));
    }
}

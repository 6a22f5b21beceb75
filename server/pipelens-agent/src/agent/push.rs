//! Pushes what differs from the listing as one layer to a registry, while it is packed. Nothing is held in memory but a few chunks.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use ureq::http::{Response, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Body, RequestBuilder, SendBody, typestate::WithBody};

use super::jobs::{Cancelled, Job};
use super::layer::LayerWriter;
use super::listing::{Listing, Listings, open_root};
use super::members::Members;
use super::mounts::Mounts;
use super::requests::failure;
use super::walk;
use crate::protocol::message::{Failure, Layer, PushRequest, Reason, Registry};

/// How long the registry may take to accept a connection, and to answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A registry that stores a layer elsewhere first takes its time.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

const CHUNK_BYTES: usize = 128 * 1024;
const CHUNKS_IN_FLIGHT: usize = 8;

/// How much of an answer is shown.
const LONGEST_REASON: usize = 300;

pub(super) fn push(job: &Job, listings: &Listings, request: &PushRequest) -> Result<Layer, Failure> {
    let old = listings.current()?;
    let target = Target::new(&request.registry)?;
    // Before anything is packed: it tells whether the credentials are right.
    let upload = target.begin()?;
    let (chunks, incoming) = sync_channel(CHUNKS_IN_FLIGHT);
    let (packed, sent) = thread::scope(|threads| {
        let packing = threads.spawn(|| pack(job, &old, chunks));
        let mut body = Incoming::new(incoming);
        let sent = target.send(&upload, &mut body);
        let digest = body.digest();
        (packing.join().unwrap_or_else(|_| Err(io::Error::other("packing failed"))), sent.map(|at| (at, digest)))
    });
    // The one that ended first is the reason for the other.
    let packed = match packed {
        Ok(packed) => packed,
        Err(_) if job.is_cancelled() => return Err(Cancelled.into()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Err(sent.err().unwrap_or_else(|| failure("the registry did not take the layer")));
        }
        Err(error) => return Err(failure(error.to_string())),
    };
    let (upload, (digest, size)) = sent?;
    target.complete(&upload, &digest)?;
    listings.replace(packed.listing);
    let uncompressed_size = packed.uncompressed_size;
    Ok(Layer { digest, diff_id: packed.diff_id, size, uncompressed_size, entries: packed.entries })
}

struct Packed {
    listing: Listing,
    diff_id: String,
    uncompressed_size: u64,
    entries: u64,
}

fn pack(job: &Job, old: &Listing, chunks: SyncSender<Vec<u8>>) -> io::Result<Packed> {
    let own_job = job.clone();
    let members = Members::new(Chunks { chunks, chunk: Vec::with_capacity(CHUNK_BYTES) });
    let writer = Hashing { writer: members, hasher: Sha256::new(), bytes: 0 };
    let mut layer = LayerWriter::new(io::BufWriter::with_capacity(CHUNK_BYTES, writer), move || own_job.is_cancelled());
    let mut listing = walk::walk(&open_root()?, &Mounts::now()?, Some(old), &mut layer)?;
    listing.shrink();
    let (writer, entries) = layer.finish()?;
    let Hashing { writer, hasher, bytes } = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    // Without it, the end of the stream would look like the end of the layer.
    writer.finish()?.finish()?;
    Ok(Packed { listing, diff_id: text(hasher), uncompressed_size: bytes, entries })
}

fn text(hasher: Sha256) -> String {
    use std::fmt::Write as _;

    hasher.finalize().iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

struct Hashing<W> {
    writer: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.writer.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Hands chunks to the sender; an empty one says that the layer is complete.
struct Chunks {
    chunks: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
}

impl Chunks {
    fn finish(mut self) -> io::Result<()> {
        let last = std::mem::take(&mut self.chunk);
        if !last.is_empty() {
            self.send(last)?;
        }
        self.send(Vec::new())
    }

    fn send(&self, chunk: Vec<u8>) -> io::Result<()> {
        self.chunks.send(chunk).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK_BYTES {
            let full = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
            self.send(full)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is sent. Ends with an error if the packing ended before the layer was complete.
struct Incoming {
    chunks: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    taken: usize,
    is_complete: bool,
    hasher: Sha256,
    bytes: u64,
}

impl Incoming {
    fn new(chunks: Receiver<Vec<u8>>) -> Self {
        Self { chunks, chunk: Vec::new(), taken: 0, is_complete: false, hasher: Sha256::new(), bytes: 0 }
    }

    fn digest(self) -> (String, u64) {
        (text(self.hasher), self.bytes)
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.chunk.len() && !self.is_complete {
            self.chunk = self.chunks.recv().map_err(|_| io::Error::other("the layer could not be packed"))?;
            self.taken = 0;
            self.is_complete = self.chunk.is_empty();
            self.hasher.update(&self.chunk);
            self.bytes += self.chunk.len() as u64;
        }
        let count = self.chunk.get(self.taken..).unwrap_or_default().read(buffer)?;
        self.taken += count;
        Ok(count)
    }
}

/// A repository that is pushed to.
struct Target<'a> {
    registry: &'a Registry,
    /// `https://host:port`
    origin: &'a str,
    agent: ureq::Agent,
}

impl<'a> Target<'a> {
    fn new(registry: &'a Registry) -> Result<Self, Failure> {
        let repository = registry.repository.as_str();
        if !registry.insecure && !repository.starts_with("https://") {
            return Err(failure(format!("`{repository}` does not begin with `https://`")));
        }
        let host = repository.find("://").map_or(0, |at| at + 3);
        let end = repository.get(host..).and_then(|rest| rest.find('/')).map_or(repository.len(), |at| host + at);
        let mut tls = TlsConfig::builder();
        if let Some(trusted) = &registry.trusted {
            tls = tls.root_certs(RootCerts::Specific(Arc::new(certificates(trusted)?)));
        }
        let config = ureq::Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            // The image's variables name proxies for steps.
            .proxy(None)
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_recv_response(Some(ANSWER_WITHIN))
            .user_agent("pipelens-agent")
            .build();
        let origin = repository.get(..end).unwrap_or(repository);
        Ok(Self { registry, origin, agent: config.new_agent() })
    }

    /// Begins an upload; returns where it goes.
    fn begin(&self) -> Result<String, Failure> {
        let url = format!("{}/blobs/uploads/", self.registry.repository.trim_end_matches('/'));
        let request = self.authorized(self.agent.post(&url), &url);
        let answer = request.send_empty().map_err(|error| self.unreachable(&error))?;
        self.next_place(answer, &url, 202)
    }

    /// Sends everything; returns where the upload is completed.
    fn send(&self, upload: &str, body: &mut impl Read) -> Result<String, Failure> {
        let request = self.authorized(self.agent.patch(upload), upload);
        let request = request.header(header::CONTENT_TYPE, "application/octet-stream");
        let answer = request.send(SendBody::from_reader(body)).map_err(|error| self.unreachable(&error))?;
        // The specification says 202; some registries, 204.
        self.next_place(answer, upload, 202)
    }

    fn complete(&self, upload: &str, digest: &str) -> Result<(), Failure> {
        let separator = if upload.contains('?') { '&' } else { '?' };
        let url = format!("{upload}{separator}digest={digest}");
        let request = self.authorized(self.agent.put(&url), &url);
        let answer = request.send_empty().map_err(|error| self.unreachable(&error))?;
        self.expect(answer, 201).map(drop)
    }

    /// Credentials are for the registry, not for the storage to which it may send us.
    fn authorized(&self, request: RequestBuilder<WithBody>, url: &str) -> RequestBuilder<WithBody> {
        let is_registry = url.strip_prefix(self.origin).is_some_and(|rest| rest.starts_with('/'));
        match &self.registry.authorization {
            Some(value) if is_registry => request.header(header::AUTHORIZATION, value),
            Some(_) | None => request,
        }
    }

    fn next_place(&self, answer: Response<Body>, url: &str, status: u16) -> Result<String, Failure> {
        let answer = self.expect(answer, status)?;
        let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| failure("the registry did not say where to upload the layer"))?;
        Ok(resolve(url, location))
    }

    fn expect(&self, mut answer: Response<Body>, status: u16) -> Result<Response<Body>, Failure> {
        let code = answer.status();
        if code.as_u16() == status || (status == 202 && code.as_u16() == 204) {
            return Ok(answer);
        }
        let challenge = answer.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let reason = match code.as_u16() {
            401 => Reason::Unauthorized { challenge: challenge.map(str::to_owned) },
            429 | 500.. => Reason::Away,
            _ => Reason::Other,
        };
        let said = answer.body_mut().with_config().limit(64 * 1024).read_to_string().unwrap_or_default();
        let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_REASON).collect();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        let sentence = format!("the registry at {} answered {code}{said}", self.origin);
        Err(Failure { reason, sentence })
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let sentence = format!("the layer could not be pushed to {}: {error}", self.origin);
        Failure { reason: Reason::Away, sentence }
    }
}

fn certificates(pem: &str) -> Result<Vec<Certificate<'static>>, Failure> {
    let bad = |error: ureq::Error| failure(format!("the registry's certificates cannot be read: {error}"));
    let items: Result<Vec<PemItem<'static>>, _> = parse_pem(pem.as_bytes()).collect();
    let certificates = items.map_err(bad)?.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    Ok(certificates.collect())
}

/// Returns where a `Location` leads, which may be relative to the address that answered.
fn resolve(url: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    let end = match location.starts_with('/') {
        true => path,
        false => url.split('?').next().and_then(|path| path.rfind('/')).map_or(url.len(), |at| at + 1),
    };
    format!("{}{location}", url.get(..end).unwrap_or(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_may_be_relative() {
        let url = "https://host:5000/v2/a/b/blobs/uploads/?x=/y";
        assert_eq!(resolve(url, "https://other/z?d=1"), "https://other/z?d=1");
        assert_eq!(resolve(url, "/v2/z"), "https://host:5000/v2/z");
        assert_eq!(resolve(url, "z"), "https://host:5000/v2/a/b/blobs/uploads/z");
    }

    #[test]
    fn a_layer_that_was_not_packed_to_its_end_is_not_sent_to_its_end() {
        let (chunks, incoming) = sync_channel(4);
        let mut chunks = Chunks { chunks, chunk: Vec::new() };
        chunks.write_all(&vec![1; CHUNK_BYTES]).unwrap();
        drop(chunks);
        let error = Incoming::new(incoming).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "the layer could not be packed");
    }
}

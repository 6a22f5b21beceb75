//! A stand-in for an API server, its nodes and a registry: it says what they say, does nothing, and counts what it is asked.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use pipelens_agent::protocol::VERSION;
use pipelens_agent::protocol::frame::{self, Frame, Welcome};
use pipelens_agent::protocol::message::{
    Answer, Control, FromAgent, Identity, Layer, Listing, Notice, Request, RunReport, State, ToAgent,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// The channels of an exec's streams.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
/// The layer that every pod pushes.
const LAYER: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
/// A command that contains this ends when it is told to.
pub(super) const WAITS: &str = "wait until told";

pub(super) struct StandIn {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    asked: Mutex<BTreeMap<&'static str, usize>>,
    pods: Mutex<HashMap<String, Value>>,
    events: broadcast::Sender<String>,
    manifests: Mutex<HashMap<String, Bytes>>,
    /// By digest.
    blobs: Mutex<HashMap<String, Bytes>>,
    /// What is being uploaded, by the number of the upload.
    uploads: Mutex<HashMap<String, BytesMut>>,
    /// Heartbeats of clients while a command waits, and whether such a command may end.
    beats: watch::Sender<usize>,
    may_end: watch::Sender<bool>,
}

struct Asked {
    method: String,
    target: String,
    headers: HashMap<String, String>,
}

impl StandIn {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            asked: Mutex::default(),
            pods: Mutex::default(),
            events: broadcast::channel(100_000).0,
            manifests: Mutex::default(),
            blobs: Mutex::default(),
            uploads: Mutex::default(),
            beats: watch::channel(0).0,
            may_end: watch::channel(false).0,
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { address, shared }
    }

    /// How often it was asked for what so far.
    pub(super) fn asked(&self) -> BTreeMap<&'static str, usize> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Waits for this many more heartbeats of clients whose commands wait.
    pub(super) async fn hear(&self, count: usize) {
        let mut beats = self.shared.beats.subscribe();
        let wanted = *beats.borrow() + count;
        beats.wait_for(|heard| *heard >= wanted).await.unwrap();
    }

    pub(super) fn let_all_end(&self) {
        self.shared.may_end.send_replace(true);
    }
}

impl Shared {
    fn count(&self, what: &'static str) {
        *self.asked.lock().unwrap().entry(what).or_default() += 1;
    }

    fn announce(&self, kind: &str, pod: &Value) {
        self.events.send(format!("{}\n", json!({ "type": kind, "object": pod }))).ok();
    }
}

/// Answers what comes over a connection.
async fn serve(stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let asked = read_head(&mut stream).await?;
        let path = asked.target.split('?').next().unwrap_or_default().to_owned();
        if path.ends_with("/exec") {
            shared.count("exec");
            return exec(stream.into_inner(), &asked, &shared).await;
        }
        let body = read_body(&mut stream, &asked).await?;
        if path.starts_with("/v2/") {
            let answer = registry(&shared, &asked, &path, body);
            stream.write_all(&answer).await.ok()?;
        } else if asked.target.contains("watch=true") {
            shared.count("watch");
            return watch_pods(stream.into_inner(), &shared).await;
        } else {
            let answer = pods(&shared, &asked, &path, &body);
            stream.write_all(&answer).await.ok()?;
        }
    }
}

async fn read_head(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Some(Asked { method: words.next()?.to_owned(), target: words.next()?.to_owned(), headers })
}

async fn read_body(stream: &mut BufReader<TcpStream>, asked: &Asked) -> Option<Bytes> {
    let mut body = BytesMut::new();
    if asked.headers.get("transfer-encoding").is_some_and(|it| it == "chunked") {
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(stream.read_u8().await.ok()?);
            }
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).await.ok()?;
            if size == 0 {
                return Some(body.freeze());
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    let length = asked.headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    body.resize(length, 0);
    stream.read_exact(&mut body).await.ok()?;
    Some(body.freeze())
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn json_answer(status: &str, body: &Value) -> Vec<u8> {
    answer(status, "Content-Type: application/json\r\n", body.to_string().as_bytes())
}

fn pods(shared: &Shared, asked: &Asked, path: &str, body: &[u8]) -> Vec<u8> {
    let list = |items: Vec<Value>| json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items });
    match asked.method.as_str() {
        "POST" => {
            shared.count("create a pod");
            let mut pod: Value = serde_json::from_slice(body).unwrap();
            pod["metadata"]["resourceVersion"] = json!("2");
            pod["metadata"]["uid"] = json!(uuid::Uuid::new_v4());
            let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
            shared.announce("ADDED", &pod);
            let created = pod.clone();
            pod["spec"]["nodeName"] = json!(format!("node{}", shared.pods.lock().unwrap().len() % 100));
            let state = json!({ "running": {} });
            pod["status"] = json!({
                "phase": "Running",
                "containerStatuses": [{
                    "name": "step", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state,
                }],
            });
            shared.announce("MODIFIED", &pod);
            shared.pods.lock().unwrap().insert(name, pod);
            json_answer("201 Created", &created)
        }
        "DELETE" => {
            shared.count("delete a pod");
            let name = path.rsplit('/').next().unwrap_or_default();
            let Some(pod) = shared.pods.lock().unwrap().remove(name) else {
                return json_answer(
                    "404 Not Found",
                    &json!({ "kind": "Status", "code": 404, "reason": "NotFound", "message": "" }),
                );
            };
            shared.announce("DELETED", &pod);
            json_answer("200 OK", &pod)
        }
        _ => {
            shared.count("list pods");
            json_answer("200 OK", &list(shared.pods.lock().unwrap().values().cloned().collect()))
        }
    }
}

async fn watch_pods(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut events = shared.events.subscribe();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.ok()?;
    // What happened between the list and this.
    let now: Vec<String> = {
        let pods = shared.pods.lock().unwrap();
        pods.values().map(|pod| format!("{}\n", json!({ "type": "MODIFIED", "object": pod }))).collect()
    };
    for event in now {
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.ok()?;
    }
    while let Ok(event) = events.recv().await {
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.ok()?;
    }
    None
}

/// The image that every step starts from, and what is pushed.
fn registry(shared: &Shared, asked: &Asked, path: &str, body: Bytes) -> Vec<u8> {
    let config =
        json!({ "architecture": "amd64", "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": [] } });
    let config = config.to_string();
    let digest = |bytes: &[u8]| format!("sha256:{}", hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes)));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config.as_bytes()), "size": config.len() },
        "layers": [],
    });
    let manifest = Bytes::from(manifest.to_string());
    let last = path.rsplit('/').next().unwrap_or_default();
    let of_manifest = |bytes: &Bytes| {
        let headers = format!(
            "Content-Type: application/vnd.oci.image.manifest.v1+json\r\nDocker-Content-Digest: {}\r\n",
            digest(bytes)
        );
        answer("200 OK", &headers, if asked.method == "HEAD" { &[] } else { bytes })
    };
    match (asked.method.as_str(), path) {
        (_, "/v2/") => answer("200 OK", "", b"{}"),
        ("PUT", _) if path.contains("/manifests/") => {
            shared.count("push a manifest");
            let name = digest(&body);
            let mut manifests = shared.manifests.lock().unwrap();
            manifests.insert(last.to_owned(), body.clone());
            manifests.insert(name.clone(), body);
            answer("201 Created", &format!("Docker-Content-Digest: {name}\r\nLocation: /v2/x\r\n"), &[])
        }
        (_, _) if path.contains("/manifests/") => {
            shared.count("read a manifest");
            let manifests = shared.manifests.lock().unwrap();
            of_manifest(manifests.get(last).unwrap_or(&manifest))
        }
        ("HEAD", _) => {
            shared.count("look for a blob");
            let is_there = last == LAYER || shared.blobs.lock().unwrap().contains_key(last);
            answer(if is_there { "200 OK" } else { "404 Not Found" }, "", &[])
        }
        ("GET", _) => {
            shared.count("read a blob");
            let blobs = shared.blobs.lock().unwrap();
            answer("200 OK", "", blobs.get(last).map_or(config.as_bytes(), |blob| blob))
        }
        ("POST", _) => {
            shared.count("push a blob");
            let id = uuid::Uuid::new_v4();
            answer(
                "202 Accepted",
                &format!("Location: /v2/sim/blobs/uploads/{id}\r\nDocker-Upload-UUID: {id}\r\n"),
                &[],
            )
        }
        ("PATCH", _) => {
            let mut uploads = shared.uploads.lock().unwrap();
            let upload = uploads.entry(last.to_owned()).or_default();
            upload.extend_from_slice(&body);
            let range = format!("Range: 0-{}\r\n", upload.len().saturating_sub(1));
            answer("202 Accepted", &format!("Location: /v2/sim/blobs/uploads/{last}\r\n{range}"), &[])
        }
        _ => {
            let mut blob = shared.uploads.lock().unwrap().remove(last).unwrap_or_default();
            blob.extend_from_slice(&body);
            shared.blobs.lock().unwrap().insert(digest(&blob), blob.freeze());
            answer("201 Created", "Location: /v2/sim/blobs/x\r\n", &[])
        }
    }
}

/// An agent in a pod.
async fn exec(mut stream: TcpStream, asked: &Asked, shared: &Shared) -> Option<()> {
    let key = derive_accept_key(asked.headers["sec-websocket-key"].as_bytes());
    let protocol = asked.headers["sec-websocket-protocol"].split(',').next().unwrap_or_default().trim().to_owned();
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let mut incoming = BytesMut::new();
    let mut said = 0;
    let mut waiting = None;
    let mut may_end = shared.may_end.subscribe();
    loop {
        tokio::select! {
            message = socket.next() => {
                let Message::Binary(bytes) = message?.ok()? else { continue };
                if bytes.first() == Some(&STDIN) {
                    incoming.extend_from_slice(&bytes[1..]);
                }
            }
            () = async { drop(may_end.wait_for(|may| *may).await) }, if waiting.is_some() => {
                let request = waiting.take()?;
                send(&mut socket, &[say(&mut said, request, ran())]).await?;
            }
        }
        let mut answers = Vec::new();
        while let Some(frame) = frame::decode(&mut incoming).unwrap() {
            match frame {
                Frame::Hello(_) => answers.push(Frame::Welcome(Welcome { version: VERSION, received: 0 })),
                Frame::Beat => {
                    if waiting.is_some() {
                        shared.beats.send_modify(|count| *count += 1);
                    }
                    answers.push(Frame::Beat);
                }
                Frame::Goodbye => return None,
                Frame::Message { number, body } => {
                    answers.push(Frame::Ack(number));
                    let ToAgent::Control(request, Control::Start(what)) = ToAgent::decode(body).unwrap() else {
                        continue;
                    };
                    let answer = match what {
                        Request::Run(run) => {
                            answers.push(message(&mut said, &FromAgent::Notice(request, Notice::Started)));
                            if run.script.is_some_and(|script| script.contains(WAITS)) && !*shared.may_end.borrow() {
                                waiting = Some(request);
                                continue;
                            }
                            ran()
                        }
                        Request::PushLayer(_) => {
                            shared.count("a pod pushes a layer");
                            let layer = LAYER.to_owned();
                            Answer::Pushed(Layer {
                                digest: layer.clone(),
                                diff_id: layer,
                                size: 1,
                                uncompressed_size: 1,
                                entries: 1,
                            })
                        }
                        Request::Identity => Answer::Identity(Identity {
                            uid: 0,
                            gid: 0,
                            home: "/".into(),
                            architecture: "amd64".into(),
                            variables: vec![],
                            now_seconds: 0,
                        }),
                        Request::AwaitListing | Request::List => {
                            Answer::Listed(Listing { entries: 0, bytes: 0, milliseconds: 0 })
                        }
                        _ => Answer::Done,
                    };
                    answers.push(say(&mut said, request, answer));
                }
                _ => {}
            }
        }
        send(&mut socket, &answers).await?;
    }
}

fn ran() -> Answer {
    Answer::Ran(RunReport { exit_code: 0, state: State::Clean, was_short_of_memory: false })
}

fn say(said: &mut u64, request: u32, answer: Answer) -> Frame {
    message(said, &FromAgent::Notice(request, Notice::Answer(Ok(answer))))
}

fn message(said: &mut u64, message: &FromAgent) -> Frame {
    *said += 1;
    Frame::Message { number: *said, body: message.encode() }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, frames: &[Frame]) -> Option<()> {
    if frames.is_empty() {
        return Some(());
    }
    let mut bytes = BytesMut::from([STDOUT].as_slice());
    frames.iter().for_each(|frame| frame::encode(frame, &mut bytes));
    socket.send(Message::Binary(bytes.freeze())).await.ok()
}

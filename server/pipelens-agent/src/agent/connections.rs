//! The connections of the client: one at a time, the newest counts.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::peer;
use super::requests::Requests;
use super::session::Session;
use crate::protocol::BEAT;
use crate::protocol::frame::{self, Frame, Hello};
use crate::protocol::link::Link;
use crate::protocol::message::ToAgent;

/// How long a connection may be silent until another one is better. The client speaks every second.
const SILENCE: Duration = Duration::from_secs(5);

/// How much is written at once.
const BATCH_BYTES: usize = 256 * 1024;

/// Accepts connections for as long as the agent lives.
pub(super) fn accept(listener: &UnixListener, requests: &Arc<Requests>) {
    for socket in listener.incoming() {
        let requests = Arc::clone(requests);
        let talk = move || {
            if let Ok(socket) = socket {
                // Whatever ends it, the client makes another one.
                talk(&socket, &requests).ok();
            }
        };
        // There may be too many processes for another thread: the client comes again.
        if thread::Builder::new().name("connection".into()).spawn(talk).is_err() {
            thread::sleep(BEAT);
        }
    }
}

fn talk(socket: &UnixStream, requests: &Arc<Requests>) -> io::Result<()> {
    socket.set_read_timeout(Some(SILENCE))?;
    if let Err(sentence) = peer::check(socket) {
        return refuse(socket, sentence);
    }
    let mut buffer = BytesMut::new();
    let Some(Frame::Hello(hello)) = next_frame(socket, &mut buffer)? else {
        return refuse(socket, "the client did not greet".into());
    };
    let session = &requests.session;
    let connection = match greet(socket, session, hello) {
        Ok(connection) => connection,
        Err(sentence) => return refuse(socket, sentence),
    };
    let (writing, own_session) = (socket.try_clone()?, Arc::clone(session));
    let write = move || {
        write_all(&writing, &own_session, connection).ok();
        // Its reader ends, so the client notices.
        writing.shutdown(std::net::Shutdown::Both).ok();
    };
    thread::Builder::new().name("writer".into()).spawn(write)?;
    let ended = read_all(socket, buffer, requests, connection);
    socket.shutdown(std::net::Shutdown::Both).ok();
    ended
}

fn greet(socket: &UnixStream, session: &Session, hello: Hello) -> Result<u64, String> {
    let other = socket.try_clone().map_err(|error| error.to_string())?;
    let (connection, welcome) = session.welcome(hello, other)?;
    // No other thread writes yet.
    write_frame(socket, &Frame::Welcome(welcome)).map_err(|error| error.to_string())?;
    Ok(connection)
}

fn refuse(socket: &UnixStream, sentence: String) -> io::Result<()> {
    write_frame(socket, &Frame::Refused(sentence))
}

fn write_frame(mut socket: &UnixStream, frame: &Frame) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    frame::encode(frame, &mut bytes);
    socket.write_all(&bytes)
}

fn next_frame(mut socket: &UnixStream, buffer: &mut BytesMut) -> io::Result<Option<Frame>> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        if let Some(frame) = frame::decode(buffer)? {
            return Ok(Some(frame));
        }
        let count = match socket.read(&mut piece) {
            Ok(0) => return Ok(None),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
}

fn read_all(socket: &UnixStream, mut buffer: BytesMut, requests: &Arc<Requests>, connection: u64) -> io::Result<()> {
    let session = &requests.session;
    while let Some(frame) = next_frame(socket, &mut buffer)? {
        let mut state = session.state();
        if !state.hears(connection) {
            return Ok(());
        }
        match frame {
            Frame::Message { number, body } => {
                let is_new = state.link.receive(number).map_err(io::Error::other)?;
                drop(state);
                if is_new {
                    requests.take(ToAgent::decode(body)?);
                }
                session.notify();
            }
            Frame::Ack(number) => {
                state.link.acknowledge(number).map_err(io::Error::other)?;
                drop(state);
                session.notify();
            }
            Frame::Beat => {}
            // Everything in the container ends with its first process.
            Frame::Goodbye => std::process::exit(0),
            Frame::Hello(_) | Frame::Welcome(_) | Frame::Refused(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Writes what there is, and a beat when there is nothing, until another connection takes over.
fn write_all(mut socket: &UnixStream, session: &Session, connection: u64) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    let mut last_written = Instant::now();
    loop {
        let mut state = session.state();
        loop {
            if state.connection != connection {
                return Ok(());
            }
            collect(&mut state.link, &mut bytes);
            let until_beat = BEAT.saturating_sub(last_written.elapsed());
            if !bytes.is_empty() {
                break;
            }
            if until_beat.is_zero() {
                frame::encode(&Frame::Beat, &mut bytes);
                break;
            }
            state = session.wait(state, until_beat);
        }
        drop(state);
        socket.write_all(&bytes)?;
        bytes.clear();
        last_written = Instant::now();
    }
}

fn collect(link: &mut Link, bytes: &mut BytesMut) {
    if let Some(number) = link.ack() {
        frame::encode(&Frame::Ack(number), bytes);
    }
    while bytes.len() < BATCH_BYTES
        && let Some((number, body)) = link.next_to_send()
    {
        frame::encode(&Frame::Message { number, body }, bytes);
    }
}

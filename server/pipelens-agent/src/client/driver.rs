//! Keeps a connection: makes it, notices when it is dead, and makes it again. It alone reads and writes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout};

use super::shared::Shared;
use super::{AgentError, Connection, DialError, Dialer, Options};
use crate::protocol::frame::{self, Frame, Hello, Token};
use crate::protocol::{BEAT, VERSION};

/// How long a goodbye may take.
pub(super) const GOODBYE: Duration = Duration::from_secs(3);

/// The first pause between two attempts; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How much is written at once.
const BATCH_BYTES: usize = 256 * 1024;

/// Why a connection ended.
enum End {
    /// Another one may do better; with the cause.
    Broken(String),
    /// None will.
    Final(AgentError),
    /// The goodbye was sent.
    Dismissed,
}

/// Talks until the agent is dismissed or the connection is lost for good.
pub(super) async fn drive(shared: Arc<Shared>, dialer: Arc<dyn Dialer>, options: Options) {
    let token = new_token();
    let mut may_last_until = Instant::now() + options.first_connection;
    let mut pause = FIRST_PAUSE;
    let end = loop {
        let mut was_connected = false;
        let end = attempt(&shared, &*dialer, options, token, &mut was_connected).await;
        shared.set_connected(false);
        if was_connected {
            may_last_until = Instant::now() + options.patience;
            pause = FIRST_PAUSE;
        }
        let cause = match end {
            End::Dismissed => break AgentError::Dismissed,
            End::Final(error) => break error,
            End::Broken(cause) => cause,
        };
        if shared.state().is_dismissed {
            break AgentError::Dismissed;
        }
        if Instant::now() + pause >= may_last_until {
            break AgentError::ConnectionLost { cause };
        }
        sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    };
    shared.end(end);
}

/// Makes one connection and uses it until it ends.
async fn attempt(
    shared: &Shared,
    dialer: &dyn Dialer,
    options: Options,
    token: Token,
    was_connected: &mut bool,
) -> End {
    let greeted = async {
        let mut connection = dialer.dial().await.map_err(|error| match error {
            DialError::Retry(cause) => End::Broken(cause),
            DialError::Final(cause) => End::Final(AgentError::ConnectionLost { cause }),
        })?;
        let mut buffer = BytesMut::new();
        greet(shared, &mut connection, &mut buffer, token).await?;
        Ok((connection, buffer))
    };
    let (connection, buffer) = match timeout(options.silence, greeted).await {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(end)) => return end,
        Err(_) => return End::Broken("no connection was made in time".into()),
    };
    *was_connected = true;
    shared.set_connected(true);
    let Connection { reader, writer } = connection;
    tokio::select! {
        end = receive(shared, reader, buffer, options.silence) => end,
        end = send(shared, writer) => end,
    }
}

/// Says hello and waits for the answer.
async fn greet(shared: &Shared, connection: &mut Connection, buffer: &mut BytesMut, token: Token) -> Result<(), End> {
    let received = shared.state().link.received();
    let mut bytes = BytesMut::new();
    frame::encode(&Frame::Hello(Hello { version: VERSION, token, received }), &mut bytes);
    let broken = |error: io::Error| End::Broken(error.to_string());
    connection.writer.write_all(&bytes).await.map_err(broken)?;
    connection.writer.flush().await.map_err(broken)?;
    loop {
        if let Some(frame) = frame::decode(buffer).map_err(|error| End::Broken(error.to_string()))? {
            return match frame {
                Frame::Welcome(welcome) => {
                    let resumed = shared.state().link.resume(welcome.received);
                    resumed.map_err(|error| End::Final(AgentError::Refused(error.to_string())))
                }
                Frame::Refused(sentence) => Err(End::Final(AgentError::Refused(sentence))),
                Frame::Hello(_) | Frame::Beat | Frame::Ack(_) | Frame::Goodbye | Frame::Message { .. } => {
                    Err(End::Broken("the connection does not lead to an agent".into()))
                }
            };
        }
        if connection.reader.read_buf(buffer).await.map_err(broken)? == 0 {
            return Err(End::Broken("it was closed before the agent answered".into()));
        }
    }
}

/// Hands on what arrives.
async fn receive(
    shared: &Shared,
    mut reader: Box<dyn tokio::io::AsyncRead + Send + Unpin>,
    mut buffer: BytesMut,
    silence: Duration,
) -> End {
    loop {
        loop {
            let frame = match frame::decode(&mut buffer) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return End::Broken(error.to_string()),
            };
            if let Err(cause) = take(shared, frame) {
                return End::Broken(cause);
            }
        }
        buffer.reserve(BATCH_BYTES);
        match timeout(silence, reader.read_buf(&mut buffer)).await {
            Ok(Ok(0)) => return End::Broken("it was closed".into()),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return End::Broken(error.to_string()),
            Err(_) => return End::Broken(format!("the agent was silent for {} s", silence.as_secs())),
        }
    }
}

fn take(shared: &Shared, frame: Frame) -> Result<(), String> {
    match frame {
        Frame::Message { number, body } => {
            let is_new = shared.state().link.receive(number).map_err(|error| error.to_string())?;
            if is_new {
                shared.deliver(body).map_err(|error| error.to_string())?;
            }
            shared.to_send.notify_one();
            Ok(())
        }
        Frame::Ack(number) => shared.state().link.acknowledge(number).map_err(|error| error.to_string()),
        Frame::Beat => Ok(()),
        Frame::Refused(sentence) => Err(sentence),
        Frame::Hello(_) | Frame::Welcome(_) | Frame::Goodbye => Err("the agent greeted twice".into()),
    }
}

/// Sends what there is, and a beat when there is nothing.
async fn send(shared: &Shared, mut writer: Box<dyn tokio::io::AsyncWrite + Send + Unpin>) -> End {
    loop {
        let mut bytes = BytesMut::new();
        let is_over = collect(shared, &mut bytes);
        if bytes.is_empty() {
            if timeout(BEAT, shared.to_send.notified()).await.is_ok() {
                continue;
            }
            frame::encode(&Frame::Beat, &mut bytes);
        }
        let batch = Bytes::from(bytes);
        let written = async {
            writer.write_all(&batch).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            return End::Broken(error.to_string());
        }
        if is_over {
            // The bytes have to get through the bridge before it is closed.
            writer.shutdown().await.ok();
            return End::Dismissed;
        }
    }
}

/// Collects what can be written at once; returns whether it ends with the goodbye.
fn collect(shared: &Shared, bytes: &mut BytesMut) -> bool {
    let mut state = shared.state();
    if let Some(number) = state.link.ack() {
        frame::encode(&Frame::Ack(number), bytes);
    }
    if state.is_dismissed {
        frame::encode(&Frame::Goodbye, bytes);
        return true;
    }
    while bytes.len() < BATCH_BYTES
        && let Some((number, body)) = state.link.next_to_send()
    {
        frame::encode(&Frame::Message { number, body }, bytes);
    }
    false
}

fn new_token() -> Token {
    let mut token = [0; 32];
    let (first, second) = token.split_at_mut(16);
    first.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    second.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    Token(token)
}

//! Length-prefixed frames on a connection.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::MAX_FRAME_BYTES;

/// The session's random secret. The first client sets it; whoever comes later must know it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(pub [u8; 32]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// One frame, in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The client's first frame.
    Hello(Hello),
    /// The agent's answer to it; from here on, messages may be sent.
    Welcome(Welcome),
    /// The agent's other answer, with a sentence; the connection ends.
    Refused(String),
    /// The connection works.
    Beat,
    /// Everything up to this message has arrived.
    Ack(u64),
    /// The client is done: the agent kills everything and exits.
    Goodbye,
    /// A numbered message, as [`message`](super::message) encodes it.
    Message { number: u64, body: Bytes },
}

/// What the client says first on each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub version: u32,
    pub token: Token,
    /// The number of the last message that has arrived; 0: none.
    pub received: u64,
}

/// What the agent answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    pub version: u32,
    /// The number of the last message that has arrived; 0: none.
    pub received: u64,
}

/// Bytes that are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {0} bytes is larger than allowed")]
    TooLarge(usize),
    #[error("the bytes on the connection are not the agent's protocol")]
    Malformed,
}

impl From<FrameError> for std::io::Error {
    fn from(error: FrameError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const REFUSED: u8 = 3;
const BEAT: u8 = 4;
const ACK: u8 = 5;
const GOODBYE: u8 = 6;
const MESSAGE: u8 = 7;

/// The bytes before a message's body: the length, the kind and the number.
pub const MESSAGE_HEAD_BYTES: usize = 4 + 1 + 8;

/// Appends a frame to a buffer.
pub fn encode(frame: &Frame, out: &mut BytesMut) {
    match frame {
        Frame::Hello(hello) => put_value(HELLO, hello, out),
        Frame::Welcome(welcome) => put_value(WELCOME, welcome, out),
        Frame::Refused(sentence) => put(REFUSED, sentence.as_bytes(), out),
        Frame::Beat => put(BEAT, &[], out),
        Frame::Ack(number) => put(ACK, &number.to_be_bytes(), out),
        Frame::Goodbye => put(GOODBYE, &[], out),
        Frame::Message { number, body } => {
            out.put_slice(&message_head(*number, body.len()));
            out.put_slice(body);
        }
    }
}

/// Returns the bytes before a message's body, so that a sender need not copy the body.
pub fn message_head(number: u64, body_bytes: usize) -> [u8; MESSAGE_HEAD_BYTES] {
    let mut head = [0; MESSAGE_HEAD_BYTES];
    let mut rest = head.as_mut_slice();
    // The limit is far below the range of the length.
    rest.put_u32(u32::try_from(1 + 8 + body_bytes).unwrap_or(u32::MAX));
    rest.put_u8(MESSAGE);
    rest.put_u64(number);
    head
}

/// Takes the next frame from a buffer; `None`: it has not arrived completely.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(length) = buffer.get(..4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()) else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_FRAME_BYTES {
        return Err(FrameError::TooLarge(length));
    }
    if buffer.len() < 4 + length {
        buffer.reserve(4 + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(4);
    let mut frame = buffer.split_to(length).freeze();
    if frame.is_empty() {
        return Err(FrameError::Malformed);
    }
    let kind = frame.get_u8();
    let number = |frame: &mut Bytes| frame.try_get_u64().map_err(|_| FrameError::Malformed);
    Ok(Some(match kind {
        HELLO => Frame::Hello(value(&frame)?),
        WELCOME => Frame::Welcome(value(&frame)?),
        REFUSED => Frame::Refused(String::from_utf8_lossy(&frame).into_owned()),
        BEAT => Frame::Beat,
        ACK => Frame::Ack(number(&mut frame)?),
        GOODBYE => Frame::Goodbye,
        MESSAGE => Frame::Message { number: number(&mut frame)?, body: frame },
        _ => return Err(FrameError::Malformed),
    }))
}

fn put(kind: u8, content: &[u8], out: &mut BytesMut) {
    out.put_u32(u32::try_from(1 + content.len()).unwrap_or(u32::MAX));
    out.put_u8(kind);
    out.put_slice(content);
}

fn put_value(kind: u8, content: &impl Serialize, out: &mut BytesMut) {
    // Numbers and arrays can always be serialized.
    put(kind, &postcard::to_allocvec(content).unwrap_or_default(), out);
}

fn value<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, FrameError> {
    postcard::from_bytes(bytes).map_err(|_| FrameError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Frame> {
        prop_oneof![
            (any::<u32>(), any::<[u8; 32]>(), any::<u64>())
                .prop_map(|(version, token, received)| Frame::Hello(Hello { version, token: Token(token), received })),
            (any::<u32>(), any::<u64>()).prop_map(|(version, received)| Frame::Welcome(Welcome { version, received })),
            "[a-z `]{0,20}".prop_map(Frame::Refused),
            Just(Frame::Beat),
            any::<u64>().prop_map(Frame::Ack),
            Just(Frame::Goodbye),
            (any::<u64>(), proptest::collection::vec(any::<u8>(), 0..300))
                .prop_map(|(number, body)| Frame::Message { number, body: body.into() }),
        ]
    }

    proptest! {
        #[test]
        fn frames_arrive_however_the_bytes_are_split(
            frames in proptest::collection::vec(frames(), 0..20),
            sizes in proptest::collection::vec(1usize..100, 1..50),
        ) {
            let mut bytes = BytesMut::new();
            frames.iter().for_each(|frame| encode(frame, &mut bytes));
            let (mut buffer, mut arrived) = (BytesMut::new(), Vec::new());
            for size in sizes.iter().cycle() {
                buffer.extend_from_slice(&bytes.split_to((*size).min(bytes.len())));
                while let Some(frame) = decode(&mut buffer).unwrap() {
                    arrived.push(frame);
                }
                if bytes.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(arrived, frames);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(bytes.as_slice());
            while let Ok(Some(_)) = decode(&mut buffer) {}
        }
    }

    #[test]
    fn a_frame_that_claims_to_be_huge_is_refused_before_memory_is_reserved() {
        let mut buffer = BytesMut::from(u32::MAX.to_be_bytes().as_slice());
        assert_eq!(decode(&mut buffer), Err(FrameError::TooLarge(u32::MAX as usize)));
    }
}

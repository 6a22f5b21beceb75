//! Frames from standard input: where a message begins and ends, and what is not a frame.

use std::io::{self, BufRead, Read};

use tokio::sync::mpsc;

/// A header line longer than this is garbage.
const MAX_HEADER_BYTES: usize = 8 * 1024;
/// No editor sends a longer message than its longest document; documents above 16 MiB are not read.
const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;
/// A longer message is not even skipped.
const MAX_SKIPPED_BYTES: u64 = 1024 * 1024 * 1024;
/// Frames read ahead of the message loop.
const FRAME_QUEUE: usize = 64;

/// One message body, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Body(Vec<u8>),
    Bad(String),
}

/// Reads standard input on a thread of its own: a read cannot be cancelled, and nothing else may wait for it.
pub(super) fn spawn_reader() -> mpsc::Receiver<Frame> {
    let (tx, rx) = mpsc::channel(FRAME_QUEUE);
    let read = move || {
        let mut frames = Frames { input: io::BufReader::with_capacity(64 * 1024, io::stdin()), to_skip: 0 };
        while let Ok(Some(frame)) = frames.read() {
            if tx.blocking_send(frame).is_err() {
                return;
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("stdin".to_owned()).spawn(read) {
        tracing::error!("cannot start the reader: {error}");
    }
    rx
}

/// Frames of an input.
struct Frames<R> {
    input: R,
    /// The rest of a body that is too long. Its error is answered first, because the bytes may never arrive.
    to_skip: u64,
}

impl<R: BufRead> Frames<R> {
    /// Reads up to the end of the next body. `None` at the end of input.
    fn read(&mut self) -> io::Result<Option<Frame>> {
        io::copy(&mut self.input.by_ref().take(self.to_skip), &mut io::sink())?;
        self.to_skip = 0;
        let mut length: Option<Result<u64, String>> = None;
        let mut seen = false;
        loop {
            let Some(line) = read_header(&mut self.input)? else { return Ok(None) };
            let Ok(line) = line else {
                return Ok(Some(Frame::Bad(format!("a header line is longer than {MAX_HEADER_BYTES} bytes"))));
            };
            if line.is_empty() {
                match length {
                    Some(Ok(length)) => return self.read_body(length).map(Some),
                    Some(Err(why)) => return Ok(Some(Frame::Bad(why))),
                    None if seen => return Ok(Some(Frame::Bad("the header has no Content-Length".to_owned()))),
                    // Empty lines between messages do no harm.
                    None => continue,
                }
            }
            seen = true;
            if let Some(value) = content_length(&line) {
                length = Some(match (parse_length(value), &length) {
                    (Ok(new), Some(Ok(old))) if new != *old => {
                        Err(format!("the header has two lengths, {old} and {new}"))
                    }
                    (Ok(_), Some(Err(why))) => Err(why.clone()),
                    (parsed, _) => parsed,
                });
            }
        }
    }

    fn read_body(&mut self, length: u64) -> io::Result<Frame> {
        if length > MAX_BODY_BYTES {
            self.to_skip = length;
            return Ok(Frame::Bad(format!(
                "a message of {length} bytes is longer than {MAX_BODY_BYTES}; it is skipped"
            )));
        }
        let mut body = Vec::new();
        let read = self.input.by_ref().take(length).read_to_end(&mut body)?;
        if (read as u64) < length {
            return Ok(Frame::Bad(format!("the input ended {read} bytes into a message of {length}")));
        }
        Ok(Frame::Body(body))
    }
}

/// Parses a length that is small enough to be skipped. A longer message is not skipped, because its bytes may never arrive, and what arrives may be the
/// next frame.
fn parse_length(value: &str) -> Result<u64, String> {
    let shown: String = value.chars().take(40).collect();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse::<u64>() {
        Ok(length) if is_number && length <= MAX_SKIPPED_BYTES => Ok(length),
        _ if is_number => Err(format!("a message of {shown} bytes is longer than {MAX_BODY_BYTES}; it is not read")),
        _ => Err(format!("the Content-Length `{shown}` is not a number of bytes")),
    }
}

/// Finds the header anywhere in the line: after a body with a wrong length it does not start at the beginning.
fn content_length(line: &str) -> Option<&str> {
    const NAME: &str = "content-length:";
    let start = line.to_ascii_lowercase().rfind(NAME)?;
    line.get(start + NAME.len()..).map(str::trim)
}

/// Reads one header line without its end; `Err` for one that is too long, which is skipped.
fn read_header(input: &mut impl BufRead) -> io::Result<Option<Result<String, ()>>> {
    let mut line = Vec::new();
    let read = input.by_ref().take(MAX_HEADER_BYTES as u64).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') && read == MAX_HEADER_BYTES {
        skip_line(input)?;
        return Ok(Some(Err(())));
    }
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some(Ok(String::from_utf8_lossy(&line).into_owned())))
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, done) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    fn frames(input: &str) -> Vec<Frame> {
        let mut frames = Frames { input: io::BufReader::with_capacity(16, input.as_bytes()), to_skip: 0 };
        std::iter::from_fn(|| frames.read().unwrap()).collect()
    }

    fn body(text: &str) -> Frame {
        Frame::Body(text.as_bytes().to_vec())
    }

    #[test]
    fn headers_are_read_without_regard_to_case_or_order() {
        let input = "content-length: 2\r\n\r\n{}Content-Type: x\nCONTENT-LENGTH:2\n\n[]";
        assert_eq!(frames(input), [body("{}"), body("[]")]);
    }

    #[test]
    fn a_bad_header_costs_one_message() {
        let input = "garbage\r\n\r\nContent-Length: x\r\n\r\n{}Content-Length: 2\r\n\r\n{}";
        let expected = [
            Frame::Bad("the header has no Content-Length".to_owned()),
            Frame::Bad("the Content-Length `x` is not a number of bytes".to_owned()),
            body("{}"),
        ];
        assert_eq!(frames(input), expected);
    }

    #[test]
    fn a_header_without_end_is_skipped_to_its_line_end() {
        let input = format!("{}\nContent-Length: 2\r\n\r\n{{}}", "x".repeat(3 * MAX_HEADER_BYTES));
        assert_eq!(frames(&input).last(), Some(&body("{}")));
    }

    #[test]
    fn a_body_that_is_too_long_is_refused_before_it_arrives() {
        let length = MAX_BODY_BYTES + 1;
        let header = format!("Content-Length: {length}\r\n\r\n").into_bytes();
        let promised = io::repeat(b'x').take(length);
        let rest: &[u8] = b"Content-Length: 2\r\n\r\n{}";
        let mut frames =
            Frames { input: io::BufReader::new(header.as_slice().chain(promised).chain(rest)), to_skip: 0 };
        assert!(matches!(frames.read().unwrap(), Some(Frame::Bad(_))));
        assert_eq!(frames.read().unwrap(), Some(body("{}")));
    }

    #[test]
    fn a_body_that_ends_early_is_reported() {
        assert_eq!(
            frames("Content-Length: 9\r\n\r\n{}"),
            [Frame::Bad("the input ended 2 bytes into a message of 9".to_owned())]
        );
    }

    #[test]
    fn impossible_lengths_are_refused_and_the_next_frame_is_read() {
        for length in ["18446744073709551615", "99999999999999999999999999", "8589934592", "-1", "+2", "0x2", "2 2", ""]
        {
            let read = frames(&format!("Content-Length: {length}\r\n\r\nContent-Length: 2\r\n\r\n{{}}"));
            assert!(matches!(read.as_slice(), [Frame::Bad(_), Frame::Body(_)]), "{length}: {read:?}");
        }
        let read = frames("Content-Length: 2\r\nContent-Length: 3\r\n\r\nContent-Length: 2\r\n\r\n{}");
        assert!(matches!(read.as_slice(), [Frame::Bad(_), Frame::Body(_)]), "{read:?}");
        assert_eq!(frames("Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"), [body("{}")]);
    }
}

//! URIs with characters that a URI cannot contain, such as unescaped spaces: some clients send them. They are escaped on the way in, and on
//! the way out the client gets back its own spelling, by which it knows the document.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use memchr::memmem;
use parking_lot::RwLock;
use serde_json::Value;

/// More spellings than this are not remembered: an editor has a few hundred documents at most.
const MAX_SPELLINGS: usize = 10_000;
/// Deeper values have no URIs that mean anything to us.
const MAX_DEPTH: usize = 16;

/// The keys whose values are URIs.
const KEYS: &[&str] = &["uri", "rootUri", "targetUri", "oldUri", "newUri", "baseUri"];

/// The spellings that the client uses, by our own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spellings(Arc<RwLock<BTreeMap<String, String>>>);

impl Spellings {
    /// Escapes what a URI cannot contain, in every URI of a message.
    pub(super) fn escape(&self, message: &mut Value) {
        self.escape_inside(message, 0);
    }

    fn escape_inside(&self, value: &mut Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    match value {
                        Value::String(uri) if KEYS.contains(&key.as_str()) => self.escape_uri(uri),
                        other => self.escape_inside(other, depth + 1),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.escape_inside(item, depth + 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn escape_uri(&self, uri: &mut String) {
        let Some(escaped) = escaped(uri) else { return };
        let written = std::mem::replace(uri, escaped.clone());
        if self.0.read().get(&escaped) == Some(&written) {
            return;
        }
        let mut spellings = self.0.write();
        if spellings.len() < MAX_SPELLINGS || spellings.contains_key(&escaped) {
            spellings.insert(escaped, written);
        }
    }

    /// Returns a frame with the client's spellings.
    pub(super) fn restored<'frame>(&self, frame: &'frame [u8]) -> Cow<'frame, [u8]> {
        let spellings = self.0.read();
        if spellings.is_empty() {
            return Cow::Borrowed(frame);
        }
        let Some(header) = memmem::find(frame, b"\r\n\r\n") else { return Cow::Borrowed(frame) };
        let body = frame.get(header + 4..).unwrap_or_default();
        let mut restored = Cow::Borrowed(body);
        for (escaped, written) in spellings.iter() {
            // An escaped URI needs no escapes in JSON.
            let ours = format!("\"{escaped}\"");
            if memmem::find(&restored, ours.as_bytes()).is_some() {
                restored = Cow::Owned(replaced(
                    &restored,
                    ours.as_bytes(),
                    Value::from(written.as_str()).to_string().as_bytes(),
                ));
            }
        }
        match restored {
            Cow::Borrowed(_) => Cow::Borrowed(frame),
            Cow::Owned(body) => {
                let mut frame = format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes();
                frame.extend_from_slice(&body);
                Cow::Owned(frame)
            }
        }
    }
}

fn replaced(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = memmem::find(rest, old) {
        result.extend_from_slice(rest.get(..found).unwrap_or_default());
        result.extend_from_slice(new);
        rest = rest.get(found + old.len()..).unwrap_or_default();
    }
    result.extend_from_slice(rest);
    result
}

/// Escapes what a URI cannot contain. `None`: there is nothing to escape.
fn escaped(uri: &str) -> Option<String> {
    let bytes = uri.as_bytes();
    let is_escape = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    let is_allowed = |(at, byte): (usize, &u8)| match byte {
        b'%' => is_escape(at),
        byte => byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=".contains(byte),
    };
    if bytes.iter().enumerate().all(is_allowed) {
        return None;
    }
    let mut escaped = String::with_capacity(uri.len() + 8);
    for (at, byte) in bytes.iter().enumerate() {
        if is_allowed((at, byte)) {
            escaped.push(char::from(*byte));
        } else {
            // Writing to a string never fails.
            write!(escaped, "%{byte:02X}").ok();
        }
    }
    Some(escaped)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::writer::frame;
    use super::*;

    #[test]
    fn what_a_uri_cannot_contain_is_escaped() {
        assert_eq!(escaped("file:///a%20b/%C3%A9.yml?x=1#y"), None);
        assert_eq!(escaped("file:///a b/é[1]{}.yml").as_deref(), Some("file:///a%20b/%C3%A9%5B1%5D%7B%7D.yml"));
        assert_eq!(escaped("file:///100%/50%2").as_deref(), Some("file:///100%25/50%252"));
    }

    #[test]
    fn the_client_gets_its_own_spelling_back() {
        let spellings = Spellings::default();
        let same = frame(&json!({"uri": "file:///a%20b"}));
        assert_eq!(spellings.restored(&same), same);
        let mut message = json!({"params": {"textDocument": {"uri": "file:///a b", "text": "file:///a b"}}});
        spellings.escape(&mut message);
        assert_eq!(message["params"]["textDocument"], json!({"uri": "file:///a%20b", "text": "file:///a b"}));
        let answer = frame(&json!({"uri": "file:///a%20b", "changes": {"file:///a%20b": [], "file:///a%20b/c": []}}));
        let restored = frame(&json!({"uri": "file:///a b", "changes": {"file:///a b": [], "file:///a%20b/c": []}}));
        assert_eq!(spellings.restored(&answer), restored);
    }
}

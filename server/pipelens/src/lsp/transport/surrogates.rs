//! Text with unpaired surrogates. An editor whose strings are UTF-16 can send half of a character, and a message must not be lost because of
//! that: the half becomes U+FFFD, which has the same length in UTF-16, so that all positions stay right.

use std::borrow::Cow;

/// Returns a message with U+FFFD for halves of characters and for bytes that are not UTF-8. `None`: there are none.
pub(super) fn replaced(body: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(body);
    let is_lossy = matches!(text, Cow::Owned(_));
    let mut bytes = text.into_owned().into_bytes();
    let mut is_replaced = is_lossy;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found;
        at += match (unit(&bytes, at), unit(&bytes, at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                if let Some(escape) = bytes.get_mut(at..at + 6) {
                    escape.copy_from_slice(b"\\ufffd");
                }
                is_replaced = true;
                6
            }
            (Some(_), _) => 6,
            // Another escape: what it escapes may be a backslash.
            (None, _) => 2,
        };
    }
    is_replaced.then_some(bytes)
}

/// Returns the number of an escape `\uXXXX` that starts here.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_characters_are_replaced_and_whole_ones_stay() {
        let read = |body: &[u8]| replaced(body).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(read(br#"{"a":"\ud800"}"#).as_deref(), Some(r#"{"a":"\ufffd"}"#));
        assert_eq!(read(br#"["\uDC00x\ud83d\ude00\ud83d"]"#).as_deref(), Some(r#"["\ufffdx\ud83d\ude00\ufffd"]"#));
        assert_eq!(read(br#"["\ud83d\ud83d\ude00"]"#).as_deref(), Some(r#"["\ufffd\ud83d\ude00"]"#));
        // The backslash is escaped, so what follows is plain text.
        assert_eq!(read(br#"["\\ud800"]"#), None);
        assert_eq!(read(br#"["\u00e9", "\n"]"#), None);
        assert_eq!(read(b"[\"\xff\"]").as_deref(), Some("[\"\u{fffd}\"]"));
        assert_eq!(read(br#"["\ud8"#), None);
    }
}

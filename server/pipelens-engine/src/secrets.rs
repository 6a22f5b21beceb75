//! Masks secret values in a stream of bytes before anything else sees it. Knows no steps and no lines.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;

/// A shorter value would match everywhere and make the output unreadable.
pub(crate) const SHORTEST_VALUE_BYTES: usize = 6;

const MASK: &[u8] = b"***";

/// Everything that must not be visible: each value, its lines, and the forms in which tools print it.
///
/// One search per form: with one to three secrets, `aho-corasick` has a quarter to half of the speed, because its search for
/// overlapping matches has no prefilter.
#[derive(Debug, Clone, Default)]
pub(crate) struct SecretPatterns {
    all: Arc<Vec<memmem::Finder<'static>>>,
}

impl SecretPatterns {
    /// Returns the patterns, and the names of secrets whose values are too short to be masked.
    pub(crate) fn of(secrets: &BTreeMap<String, String>) -> (Self, Vec<String>) {
        let mut forms: Vec<Vec<u8>> = Vec::new();
        let mut too_short = Vec::new();
        for (name, value) in secrets {
            if value.trim().len() < SHORTEST_VALUE_BYTES {
                too_short.push(name.clone());
                continue;
            }
            for text in [value.as_str(), value.trim()].into_iter().chain(value.lines().map(str::trim)) {
                forms.push(text.as_bytes().to_vec());
                forms.extend(base64_forms(text));
                forms.extend(url_forms(text));
                forms.extend(quoted_forms(text));
            }
        }
        forms.retain(|form| form.len() >= SHORTEST_VALUE_BYTES);
        forms.sort();
        forms.dedup();
        let all = forms.iter().map(|form| memmem::Finder::new(form).into_owned()).collect();
        (Self { all: Arc::new(all) }, too_short)
    }

    /// Masks a complete string.
    pub(crate) fn mask(&self, text: &str) -> String {
        let mut masker = Masker::new(self.clone());
        let mut masked = masker.push(text.as_bytes());
        masked.extend(masker.finish());
        String::from_utf8_lossy(&masked).into_owned()
    }
}

/// Masks one stream, however it is split into chunks. Holds back only what may be the start of a pattern.
#[derive(Debug)]
pub(crate) struct Masker {
    patterns: SecretPatterns,
    held: Vec<u8>,
    /// How many bytes at the start of `held` belong to a match whose mask has already been written.
    covered: usize,
}

impl Masker {
    pub(crate) fn new(patterns: SecretPatterns) -> Self {
        Self { patterns, held: Vec::new(), covered: 0 }
    }

    /// Adds bytes and returns those that may be shown.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        if self.patterns.all.is_empty() {
            return chunk.to_vec();
        }
        self.held.extend_from_slice(chunk);
        let end = self.start_of_possible_match();
        self.release(end)
    }

    /// Ends the stream, and returns what was held back.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.release(self.held.len())
    }

    fn release(&mut self, end: usize) -> Vec<u8> {
        let mut seen = Vec::with_capacity(end);
        if end == 0 {
            return seen;
        }
        let mut at = 0;
        let mut covered = 0;
        for range in self.matches() {
            if range.start >= end {
                break;
            }
            seen.extend_from_slice(self.held.get(at..range.start).unwrap_or_default());
            let is_masked_already = range.start == 0 && self.covered > 0;
            if !is_masked_already {
                seen.extend_from_slice(MASK);
            }
            covered = range.end.saturating_sub(end);
            at = range.end.min(end);
        }
        seen.extend_from_slice(self.held.get(at..end).unwrap_or_default());
        self.held.drain(..end);
        self.covered = covered;
        seen
    }

    /// Returns where patterns match, in order, with overlapping matches as one range.
    fn matches(&self) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        if self.covered > 0 {
            found.push(0..self.covered);
        }
        for pattern in self.patterns.all.iter() {
            let mut from = 0;
            while let Some(at) = self.held.get(from..).and_then(|rest| pattern.find(rest)) {
                let start = from + at;
                found.push(start..start + pattern.needle().len());
                from = start + 1;
            }
        }
        found.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in found {
            match merged.last_mut() {
                // Adjacent matches do not overlap, except after a mask that was already written: nothing separates the two.
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                Some(_) | None => merged.push(range),
            }
        }
        merged
    }

    /// Returns where the longest tail starts that more bytes could complete to a pattern.
    fn start_of_possible_match(&self) -> usize {
        let longest = self.patterns.all.iter().map(|pattern| pattern.needle().len()).max().unwrap_or(0);
        let earliest = self.held.len().saturating_sub(longest.saturating_sub(1));
        (earliest..self.held.len())
            .find(|&start| {
                let tail = self.held.get(start..).unwrap_or_default();
                self.patterns.all.iter().any(|pattern| {
                    let pattern = pattern.needle();
                    pattern.len() > tail.len() && pattern.starts_with(tail)
                })
            })
            .unwrap_or(self.held.len())
    }
}

/// Base64 of the value alone, as part of a longer text (where its neighbours affect the first and last characters), and in wrapped lines.
fn base64_forms(text: &str) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        let alone = engine.encode(text).into_bytes();
        // The line lengths of `base64` and of `openssl`.
        forms.extend([76, 64].iter().flat_map(|width| alone.chunks(*width).map(<[u8]>::to_vec)));
        forms.push(alone);
        for before in 0..3 {
            let encoded = engine.encode([vec![0; before], text.as_bytes().to_vec()].concat()).into_bytes();
            let (first, last) = ((before * 8).div_ceil(6), (before + text.len()) * 8 / 6);
            forms.extend(encoded.get(first..last).map(<[u8]>::to_vec));
        }
    }
    forms
}

/// As parts of URLs and forms, with uppercase and lowercase digits.
fn url_forms(text: &str) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for plain in [b"-_.~".as_slice(), b"-_.!~*'()", b"-_.~/", b"-_.*"] {
        let encoded = url_encoded(text, plain, |byte| format!("%{byte:02X}"));
        forms.push(encoded.replace("%20", "+"));
        forms.push(encoded);
        forms.push(url_encoded(text, plain, |byte| format!("%{byte:02x}")));
    }
    forms.into_iter().map(String::into_bytes).collect()
}

/// As quoted by JSON and by shells.
fn quoted_forms(text: &str) -> Vec<Vec<u8>> {
    let json = serde_json::to_string(text).unwrap_or_default();
    let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    vec![json.into(), text.replace('\'', "'\\''").into_bytes(), text.replace('\'', "'\"'\"'").into_bytes()]
}

/// Percent-encodes everything except letters, digits and `plain`.
fn url_encoded(text: &str, plain: &[u8], encode: fn(u8) -> String) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || plain.contains(&byte);
    text.bytes().map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { encode(byte) }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked_in_chunks(patterns: &SecretPatterns, chunks: &[&[u8]]) -> String {
        let mut masker = Masker::new(patterns.clone());
        let mut seen: Vec<u8> = chunks.iter().flat_map(|chunk| masker.push(chunk)).collect();
        seen.extend(masker.finish());
        String::from_utf8(seen).unwrap()
    }

    fn patterns(values: &[&str]) -> SecretPatterns {
        let secrets = values.iter().enumerate().map(|(index, value)| (index.to_string(), (*value).to_owned()));
        SecretPatterns::of(&secrets.collect()).0
    }

    #[test]
    fn a_value_is_masked_even_if_it_is_split_between_chunks() {
        let patterns = patterns(&["hunter22"]);
        assert_eq!(masked_in_chunks(&patterns, &[b"pass hun", b"ter2", b"2!"]), "pass ***!");
    }

    #[test]
    fn lines_and_encoded_forms_are_masked_too() {
        let patterns = patterns(&["first-line\nsecond line/+"]);
        assert_eq!(patterns.mask("[second line/+] [second%20line%2F%2B]"), "[***] [***]");
        assert_eq!(patterns.mask(&STANDARD_NO_PAD.encode("first-line\nsecond line/+")), "***");
    }

    #[test]
    fn a_value_is_masked_in_the_forms_that_tools_print() {
        let value = "p@ss'w/rd \"é\" Zk91";
        let patterns = patterns(&[value]);
        let basic = STANDARD_NO_PAD.encode(format!("user:{value}"));
        let masked = patterns.mask(&basic);
        assert!(masked.contains("***") && masked.len() < "dXNlcjp".len() + "***".len() + 2, "{masked}");
        for before in 0..7 {
            let masked = patterns.mask(&URL_SAFE_NO_PAD.encode(format!("{}{value} and more", "x".repeat(before))));
            assert!(masked.contains("***"), "{before}: {masked}");
        }
        for shown in [
            "p%40ss%27w%2Frd%20%22%C3%A9%22%20Zk91",
            "p%40ss%27w%2frd%20%22%c3%a9%22%20Zk91",
            "p%40ss%27w%2Frd+%22%C3%A9%22+Zk91",
            "p@ss'w/rd \\\"é\\\" Zk91",
            "p@ss'\\''w/rd \"é\" Zk91",
        ] {
            assert_eq!(patterns.mask(shown), "***", "{shown}");
        }
    }

    #[test]
    fn a_long_value_in_wrapped_lines_is_masked() {
        let value = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".repeat(3);
        let encoded = STANDARD_NO_PAD.encode(&value);
        for width in [64, 76] {
            let lines: Vec<&str> =
                encoded.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
            let masked = patterns(&[&value]).mask(&lines.join("\n"));
            assert!(masked.lines().all(|line| line == "***"), "{masked}");
        }
    }

    #[test]
    fn overlapping_values_leave_nothing_in_between() {
        assert_eq!(patterns(&["abcdefgh", "efghijkl"]).mask("-abcdefghijkl-"), "-***-");
    }

    #[test]
    fn a_short_value_is_refused() {
        let (patterns, short) = SecretPatterns::of(&BTreeMap::from([("PIN".into(), "1234".into())]));
        assert_eq!(short, ["PIN"]);
        assert_eq!(patterns.mask("1234"), "1234");
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(text in "[ab]{0,60}", value in "[ab]{6,9}", other in "[ab]{6,9}", cuts in proptest::collection::vec(0usize..60, 0..8)) {
            let patterns = patterns(&[&value, &other]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let seen = masked_in_chunks(&patterns, &chunks);
            prop_assert!(!seen.contains(&value) && !seen.contains(&other));
            prop_assert_eq!(seen, patterns.mask(&text));
        }
    }
}

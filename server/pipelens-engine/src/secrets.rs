//! Masks secret values in a stream of bytes before anything else sees it. Knows no steps and no lines.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;

/// A shorter value would match everywhere and make the output unreadable.
pub(crate) const SHORTEST_VALUE_BYTES: usize = 6;

const MASK: &[u8] = b"***";

/// With more forms than this, one automaton looks for all of them: a private key has more than a thousand. With fewer, one search per form is
/// two to four times as fast, because the automaton's search for overlapping matches has no prefilter.
const FEW_FORMS: usize = 48;
/// Longer secrets are data and no keys; an automaton takes some ten times as much memory as its patterns.
const MAX_AUTOMATON_BYTES: usize = 4 * 1024 * 1024;

/// Everything that must not be visible: each value, its lines, and the forms in which tools print it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SecretPatterns {
    all: Arc<Vec<memmem::Finder<'static>>>,
    automaton: Option<Arc<PatternAutomaton>>,
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
        let automaton = (forms.len() > FEW_FORMS).then(|| PatternAutomaton::of(&forms)).flatten().map(Arc::new);
        let all = forms.iter().map(|form| memmem::Finder::new(form).into_owned()).collect();
        (Self { all: Arc::new(all), automaton }, too_short)
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
    /// Where the automaton is, and what it has found in `held`, in order and without overlap.
    state: Option<StateID>,
    found: Vec<Range<usize>>,
}

impl Masker {
    pub(crate) fn new(patterns: SecretPatterns) -> Self {
        Self { patterns, held: Vec::new(), covered: 0, state: None, found: Vec::new() }
    }

    /// Adds bytes and returns those that may be shown.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        if self.patterns.all.is_empty() {
            return chunk.to_vec();
        }
        if let Some(automaton) = self.patterns.automaton.clone() {
            let end = self.follow(&automaton, chunk);
            return self.release(end);
        }
        self.held.extend_from_slice(chunk);
        let end = self.start_of_possible_match();
        self.release(end)
    }

    /// Adds bytes, each of which the automaton sees once, and returns where the longest tail starts that more bytes could complete.
    fn follow(&mut self, automaton: &PatternAutomaton, chunk: &[u8]) -> usize {
        let before = self.held.len();
        self.held.extend_from_slice(chunk);
        let mut state = self.state.unwrap_or(automaton.start);
        for (index, byte) in chunk.iter().enumerate() {
            state = automaton.nfa.next_state(Anchored::No, state, *byte);
            if automaton.nfa.is_special(state) && automaton.nfa.is_match(state) {
                let end = before + index + 1;
                self.found(end.saturating_sub(automaton.longest(state))..end);
            }
        }
        self.state = Some(state);
        self.held.len() - automaton.held_back(state).min(self.held.len())
    }

    /// Adds a match. It ends after all others, and is joined with those that it overlaps.
    fn found(&mut self, mut range: Range<usize>) {
        while let Some(last) = self.found.pop_if(|last| range.start < last.end) {
            range.start = range.start.min(last.start);
        }
        self.found.push(range);
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
        self.found.retain(|range| range.end > end);
        for range in &mut self.found {
            *range = range.start.saturating_sub(end)..range.end - end;
        }
        seen
    }

    /// Returns where patterns match, in order, with overlapping matches as one range.
    fn matches(&self) -> Vec<Range<usize>> {
        if self.patterns.automaton.is_some() {
            return self.found.clone();
        }
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

/// Looks for many patterns at once, and remembers between chunks how far it has come.
#[derive(Debug)]
struct PatternAutomaton {
    nfa: NFA,
    start: StateID,
    /// The length of the longest tail in each state that is the beginning of a pattern, where there is one.
    held_back: HashMap<StateID, usize>,
}

impl PatternAutomaton {
    /// `None`: there are too many patterns for it.
    fn of(forms: &[Vec<u8>]) -> Option<Self> {
        if forms.iter().map(Vec::len).sum::<usize>() > MAX_AUTOMATON_BYTES {
            return None;
        }
        let nfa = NFA::builder().match_kind(MatchKind::Standard).dense_depth(3).build(forms).ok()?;
        let start = nfa.start_state(Anchored::No).ok()?;
        let mut held_back = HashMap::new();
        let mut ends = Vec::new();
        for form in forms {
            let mut state = start;
            for (index, byte) in form.iter().enumerate() {
                state = nfa.next_state(Anchored::No, state, *byte);
                if index + 1 < form.len() {
                    held_back.insert(state, index + 1);
                }
            }
            ends.push((state, form));
        }
        // A whole pattern is no beginning of another one, but its end may be.
        for (end, form) in ends {
            if held_back.contains_key(&end) {
                continue;
            }
            let rest = form.get(1..).unwrap_or_default();
            let state = rest.iter().fold(start, |state, byte| nfa.next_state(Anchored::No, state, *byte));
            let mut tail = held_back.get(&state).copied().unwrap_or_default();
            // The rest may be a whole pattern as well.
            if tail == 0 && state != start {
                tail = longest_beginning(forms, rest);
            }
            held_back.insert(end, tail);
        }
        Some(Self { nfa, start, held_back })
    }

    fn held_back(&self, state: StateID) -> usize {
        self.held_back.get(&state).copied().unwrap_or_default()
    }

    /// Returns the length of the longest pattern that ends in a state.
    fn longest(&self, state: StateID) -> usize {
        let patterns = (0..self.nfa.match_len(state)).map(|index| self.nfa.match_pattern(state, index));
        patterns.map(|pattern| self.nfa.pattern_len(pattern)).max().unwrap_or_default()
    }
}

/// Returns the length of the longest tail of some text that is the beginning of a longer pattern.
fn longest_beginning(forms: &[Vec<u8>], text: &[u8]) -> usize {
    let tails = (0..text.len()).filter_map(|start| text.get(start..));
    tails
        .into_iter()
        .find(|tail| forms.iter().any(|form| form.len() > tail.len() && form.starts_with(tail)))
        .map_or(0, <[u8]>::len)
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

    /// What one search per form makes of the text.
    fn searched(values: &[&str], chunks: &[&[u8]]) -> String {
        masked_in_chunks(&SecretPatterns { automaton: None, ..patterns(values) }, chunks)
    }

    #[test]
    fn a_private_key_is_masked_line_by_line() {
        let line = |number: usize| STANDARD_NO_PAD.encode(format!("{number:048}"));
        let key: Vec<String> = (0..40).map(line).collect();
        let key = format!("-----BEGIN KEY-----\n{}\n-----END KEY-----\n", key.join("\n"));
        let patterns = patterns(&[&key]);
        assert!(patterns.automaton.is_some());
        let masked = patterns.mask(&format!("a\n{key}b\n{}\n", line(7)));
        assert_eq!(masked, format!("a\n***b\n***\n"));
        let chunks: Vec<&[u8]> = key.as_bytes().chunks(7).collect();
        assert_eq!(masked_in_chunks(&patterns, &chunks), searched(&[&key], &chunks));
    }

    proptest! {
        #[test]
        fn the_automaton_masks_what_searches_mask(
            text in "[ab]{0,80}",
            values in proptest::collection::vec("[ab]{6,12}", 1..6),
            cuts in proptest::collection::vec(0usize..80, 0..8),
        ) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let few = patterns(&values);
            let forms: Vec<Vec<u8>> = few.all.iter().map(|form| form.needle().to_vec()).collect();
            let many = SecretPatterns { automaton: PatternAutomaton::of(&forms).map(Arc::new), ..few };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(masked_in_chunks(&many, &chunks), searched(&values, &chunks));
        }

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

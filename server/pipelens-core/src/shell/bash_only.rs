//! Notes what bash reads and the `sh` of many images does not.

use super::feature::{BashOnly, Feature};
use super::reader::Reader;
use super::variables::is_name;
use crate::text::{TextEdit, TextRange};

/// Commands that only bash has.
const BUILTINS: [&str; 7] = ["declare", "typeset", "shopt", "pushd", "popd", "mapfile", "readarray"];
/// Longer ranges are better written another way.
const MAX_WRITTEN_OUT: i64 = 20;

/// Words that make a line of nothing but words worth a closer look. `+=` inside of one does so too.
pub(super) fn is_telling(word: &str) -> bool {
    matches!(word, "source" | "let" | "pipefail" | "==") || BUILTINS.contains(&word)
}

impl Reader<'_> {
    pub(super) fn note(&mut self, feature: Feature, range: TextRange, edits: Vec<TextEdit>) {
        if self.shell.is_bash() {
            self.bash_only.push(BashOnly { feature, range, edits });
        }
    }

    /// Notes what the words of a simple command mean only to bash.
    pub(super) fn note_words(&mut self, words: &[TextRange]) {
        if !self.shell.is_bash() {
            return;
        }
        let text = self.text;
        let mut rest = words;
        while let Some((word, after)) = rest.split_first()
            && let Some((name, value)) = word.of(text).split_once('=')
        {
            let Some(plain) = name.strip_suffix('+') else {
                if is_name(name.split('[').next().unwrap_or_default()) {
                    rest = after;
                    continue;
                }
                break;
            };
            if !is_name(plain) {
                break;
            }
            if !value.starts_with('(') {
                let operator = word.start + plain.len();
                let edit =
                    TextEdit { range: TextRange::new(operator, operator + 2), new_text: format!("=${{{plain}}}") };
                self.note(Feature::Append, TextRange::new(word.start, operator + 2), vec![edit]);
            }
            rest = after;
        }
        let Some((first, arguments)) = rest.split_first() else { return };
        match first.of(text) {
            "source" if !arguments.is_empty() => self.note_source(*first, arguments),
            "[" | "test" => {
                for word in arguments.iter().filter(|word| word.of(text) == "==") {
                    let edit = TextEdit { range: *word, new_text: "=".to_owned() };
                    self.note(Feature::DoubleEquals, *word, vec![edit]);
                }
            }
            "set" => {
                let pipefail = arguments.iter().find(|word| word.of(text) == "pipefail");
                if let Some(word) = pipefail {
                    self.note(Feature::Pipefail, *word, Vec::new());
                }
            }
            "let" => self.note(Feature::Let, *first, Vec::new()),
            name if BUILTINS.contains(&name) && !self.is_defined(name) => {
                self.note(Feature::Builtin, *first, Vec::new());
            }
            _ => {}
        }
    }

    /// Tells whether the text defines a function with the name of a command of bash.
    fn is_defined(&self, name: &str) -> bool {
        let is_in_text = |name: &&str| self.text.contains(&format!("{name}("));
        self.defined.get_or_init(|| BUILTINS.into_iter().filter(is_in_text).collect()).contains(&name)
    }

    /// `.` looks in `PATH` for a name without a slash, and takes no arguments.
    fn note_source(&mut self, word: TextRange, arguments: &[TextRange]) {
        let mut edits = Vec::new();
        if let [file] = arguments {
            let written = file.of(self.text);
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            let prefix = if written.contains('/') {
                Some("")
            } else if written.bytes().all(is_plain) {
                Some("./")
            } else {
                None
            };
            if let Some(prefix) = prefix {
                edits.push(TextEdit { range: word, new_text: ".".to_owned() });
                if !prefix.is_empty() {
                    edits.push(TextEdit { range: TextRange::at(file.start), new_text: prefix.to_owned() });
                }
            }
        }
        self.note(Feature::Source, word, edits);
    }

    /// Notes `${…}` if it is none of the forms that every shell has.
    pub(super) fn note_parameter(&mut self, range: TextRange) {
        if !self.shell.is_bash() {
            return;
        }
        let inner = range.of(self.text).get(2..).unwrap_or_default();
        let (is_indirect, inner) = match inner.strip_prefix('!') {
            Some(rest) => (rest.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_'), rest),
            None => (false, inner.strip_prefix('#').unwrap_or(inner)),
        };
        let after = inner.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
        let after = if after.len() == inner.len() { after.strip_prefix(['@', '*']).unwrap_or("}") } else { after };
        let mut next = after.chars();
        let feature = match (next.next(), next.next()) {
            _ if is_indirect => Feature::OtherExpansion,
            (Some('['), _) => Feature::Subscript,
            (Some(':'), Some('-' | '=' | '?' | '+')) => return,
            (Some(':' | '/'), _) => Feature::Substring,
            (Some('^' | ','), _) | (Some('@'), Some('A'..='Z' | 'a'..='z')) => Feature::OtherExpansion,
            _ => return,
        };
        self.note(feature, range, Vec::new());
    }

    /// Notes `{1..5}` and `{a,b}`, and skips the bracket.
    pub(super) fn brace(&mut self, word_start: usize) {
        let (text, start) = (self.text, self.at);
        self.at += 1;
        if !self.shell.is_bash() {
            return;
        }
        let rest = text.get(start + 1..).unwrap_or_default();
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_./*?+@%:~,-".contains(letter);
        let Some(length) = rest.find(|letter| !is_part(letter)) else { return };
        let (inner, after) = rest.split_at(length);
        if !after.starts_with('}') {
            return;
        }
        let before = text.get(word_start..start).unwrap_or_default();
        let is_assignment = before.split_once('=').is_some_and(|(name, _)| is_name(name));
        if is_assignment || before.contains("://") {
            return;
        }
        let range = TextRange::new(start, start + length + 2);
        if let Some(written) = sequence(inner) {
            let is_alone = before.is_empty()
                && after.get(1..).is_some_and(|next| next.is_empty() || next.starts_with([' ', '\t', '\n', ';']));
            let edit = written.filter(|_| is_alone).map(|new_text| TextEdit { range, new_text });
            self.note(Feature::Braces, range, edit.into_iter().collect());
        } else if inner.contains(',') {
            // `a{1,3}` is more likely a pattern for another program.
            let is_count = inner.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
            if before.is_empty() || !is_count {
                self.note(Feature::Braces, range, Vec::new());
            }
        }
    }

    pub(super) fn note_test(&mut self, place: TextRange) -> usize {
        self.note(Feature::Test, place, Vec::new());
        self.bash_only.len() - 1
    }

    /// Adds the edits for a `[[` that has just been read, if it is one simple condition.
    pub(super) fn finish_test(&mut self, noted: usize) {
        let text = self.text;
        let end = self.at;
        let Some(place) = self.bash_only.get(noted).map(|noted| noted.range) else { return };
        let inner = TextRange::new(place.end, end - 2);
        let edits = condition(text, inner).map(|mut edits| {
            edits.insert(0, TextEdit { range: place, new_text: "[".to_owned() });
            edits.push(TextEdit { range: TextRange::new(end - 2, end), new_text: "]".to_owned() });
            edits
        });
        if let Some(noted) = self.bash_only.get_mut(noted) {
            noted.edits = edits.unwrap_or_default();
        }
    }
}

/// Reads `1..5`, `a..f` or `1..9..2`. Some: it is a sequence; with its words if they are few numbers.
#[expect(clippy::option_option, reason = "whether it is one, and whether it can be written out")]
fn sequence(inner: &str) -> Option<Option<String>> {
    let parts: Vec<&str> = inner.split("..").collect();
    let is_end = |part: &str| {
        part.parse::<i64>().is_ok() || (part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_alphabetic()))
    };
    match parts.as_slice() {
        [first, last] if is_end(first) && is_end(last) => {
            let (Ok(from), Ok(to)) = (first.parse::<i64>(), last.parse::<i64>()) else { return Some(None) };
            let is_padded = [first, last].iter().any(|part| part.len() > 1 && part.starts_with(['0', '-', '+']));
            let is_short = from <= to && to.saturating_sub(from) < MAX_WRITTEN_OUT && !is_padded;
            let words = || (from..=to).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
            Some(is_short.then(words))
        }
        [first, last, step] if is_end(first) && is_end(last) && step.parse::<i64>().is_ok() => Some(None),
        _ => None,
    }
}

/// Returns the edits that make the inside of `[[ … ]]` fit for `[ … ]`.
fn condition(text: &str, inner: TextRange) -> Option<Vec<TextEdit>> {
    let mut words: Vec<TextRange> = Vec::new();
    let mut at = inner.start;
    for word in inner.of(text).split(' ') {
        if !word.is_empty() {
            words.push(TextRange::new(at, at + word.len()));
        }
        at += word.len() + 1;
    }
    let words = match words.split_first() {
        Some((first, rest)) if first.of(text) == "!" => rest,
        _ => words.as_slice(),
    };
    match words {
        [operator, operand] if is_unary(operator.of(text)) => quoted(text, *operand),
        [left, operator, right] if is_literal(right.of(text)) => {
            let mut edits = quoted(text, *left)?;
            match operator.of(text) {
                "==" => edits.push(TextEdit { range: *operator, new_text: "=".to_owned() }),
                "=" | "!=" | "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" => {}
                _ => return None,
            }
            Some(edits)
        }
        _ => None,
    }
}

fn is_unary(word: &str) -> bool {
    matches!(word, "-n" | "-z" | "-e" | "-f" | "-d" | "-s" | "-r" | "-w" | "-x" | "-L" | "-h")
}

/// A word without expansions or pattern characters, or in double quotes.
fn is_literal(word: &str) -> bool {
    let inner = word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./-:%+@,".contains(&byte);
    !word.is_empty() && inner.map_or_else(|| word.bytes().all(is_plain), |inner| !inner.contains(['"', '\\', '`', '(']))
}

/// Returns the edits that put a variable in quotes; none if it is a literal.
fn quoted(text: &str, word: TextRange) -> Option<Vec<TextEdit>> {
    let written = word.of(text);
    if is_literal(written) {
        return Some(Vec::new());
    }
    let name = written.strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(name);
    let quote = |at| TextEdit { range: TextRange::at(at), new_text: "\"".to_owned() };
    is_name(name).then(|| vec![quote(word.start), quote(word.end)])
}

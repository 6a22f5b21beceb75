//! Translates git's patterns to those of the `ignore` crate, whose globs have alternatives (`{a,b}`), which are ordinary characters to
//! git, and lack git's named classes (`[[:digit:]]`), escapes in classes, and some rules about stars and spaces.

/// The named classes of ASCII characters.
type Named = (&'static [u8], fn(&u8) -> bool);
const CLASSES: [Named; 12] = [
    (b"alnum", u8::is_ascii_alphanumeric),
    (b"alpha", u8::is_ascii_alphabetic),
    (b"blank", |byte| matches!(byte, b' ' | b'\t')),
    (b"cntrl", u8::is_ascii_control),
    (b"digit", u8::is_ascii_digit),
    (b"graph", u8::is_ascii_graphic),
    (b"lower", u8::is_ascii_lowercase),
    (b"print", |byte| byte.is_ascii_graphic() || *byte == b' '),
    (b"punct", u8::is_ascii_punctuation),
    (b"space", |byte| byte.is_ascii_whitespace() || *byte == 0x0b),
    (b"upper", u8::is_ascii_uppercase),
    (b"xdigit", u8::is_ascii_hexdigit),
];

/// Returns the lines with which `ignore` matches what git matches with a line of an ignore file; none if it matches nothing.
pub(super) fn translated(line: &[u8]) -> Vec<String> {
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    if line.starts_with(b"#") {
        return Vec::new();
    }
    let line = without_trailing_spaces(line);
    let (is_negated, line) = line.strip_prefix(b"!").map_or((false, line), |rest| (true, rest));
    let (is_for_folders, line) = line.strip_suffix(b"/").map_or((false, line), |rest| (true, rest));
    let is_anchored = line.contains(&b'/');
    let line = line.strip_prefix(b"/").unwrap_or(line);
    if line.is_empty() {
        return Vec::new();
    }
    // Every pattern is marked as anchored or not, so that a slash in a class has no influence.
    let start = format!("{}{}", if is_negated { "!" } else { "" }, if is_anchored { "/" } else { "**/" });
    let end = if is_for_folders { "/" } else { "" };
    let written = |pattern: &[u8]| Some(format!("{start}{}{end}", written(pattern, is_anchored, is_negated)?));
    match late_stars(line).filter(|_| is_anchored) {
        Some((before, after)) => {
            let deep = if after.is_empty() { b"**".as_slice() } else { after };
            let all = [
                [before, after.strip_prefix(b"/").unwrap_or(b"*")].concat(),
                [before, b"*/**/", deep.strip_prefix(b"/").unwrap_or(deep)].concat(),
            ];
            all.iter().filter_map(|pattern| written(pattern)).collect()
        }
        None => written(line).into_iter().collect(),
    }
}

/// Git compares the part before the first wildcard separately, so a `**` right after it is at the start of the rest, and stands for any
/// directories. Returns the parts before and after the stars.
fn late_stars(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, rest) = line.split_at(line.iter().position(|byte| b"*?[\\".contains(byte))?);
    let after = rest.get(rest.iter().take_while(|byte| **byte == b'*').count()..)?;
    let is_late = before.last().is_some_and(|byte| *byte != b'/');
    let are_stars = rest.len() - after.len() >= 2 && (after.is_empty() || after.starts_with(b"/"));
    (is_late && are_stars).then_some((before, after))
}

fn written(line: &[u8], is_anchored: bool, is_negated: bool) -> Option<String> {
    let mut text = String::new();
    let mut rest = line;
    while let Some((first, after)) = rest.split_first() {
        let is_start = rest.len() == line.len() || line.get(line.len() - rest.len() - 1) == Some(&b'/');
        rest = match first {
            b'*' => {
                let after = rest.get(rest.iter().take_while(|byte| **byte == b'*').count()..).unwrap_or_default();
                let are_many = rest.len() - after.len() >= 2;
                let is_part = is_anchored && are_many && is_start && (after.is_empty() || after.starts_with(b"/"));
                text.push_str(if is_part { "**" } else { "*" });
                after
            }
            b'?' => {
                text.push('?');
                after
            }
            b'[' => {
                let (class, after) = Class::read(after)?;
                text.push_str(&class.written(is_negated)?);
                after
            }
            b'\\' => {
                let (escaped, after) = after.split_first()?;
                push_letter(&mut text, *escaped, after, is_negated)?
            }
            letter => push_letter(&mut text, *letter, after, is_negated)?,
        };
    }
    Some(text)
}

/// Removes trailing spaces that are not escaped.
fn without_trailing_spaces(line: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        at += if *byte == b'\\' { 2 } else { 1 };
        if *byte != b' ' {
            end = at;
        }
    }
    line.get(..end).unwrap_or(line)
}

/// Adds a literal byte, with the rest of its UTF-8 character, and returns what comes after it.
fn push_letter<'a>(text: &mut String, first: u8, after: &'a [u8], is_negated: bool) -> Option<&'a [u8]> {
    match first {
        b'\\' | b'{' | b'}' | b'*' | b'?' | b'[' | b']' | b'#' | b'!' => {
            text.push('\\');
            text.push(first.into());
        }
        // Trailing spaces would be removed.
        _ if first.is_ascii_whitespace() => text.push_str(&format!("[{}]", char::from(first))),
        _ if first.is_ascii() => text.push(first.into()),
        _ => {
            let length = match first {
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            let mut letter = vec![first];
            letter.extend(after.iter().take(length - 1));
            return match std::str::from_utf8(&letter) {
                // Other whitespace is an ordinary character to git.
                Ok(letter) if letter.trim().is_empty() => {
                    text.push_str(&format!("{{{letter}}}"));
                    after.get(length - 1..)
                }
                Ok(letter) => {
                    text.push_str(letter);
                    after.get(length - 1..)
                }
                // A string cannot contain it. An ignore rule may match too much, since that sends less; a negated rule may not, since that
                // would send more.
                Err(_) if !is_negated => {
                    text.push('?');
                    Some(after)
                }
                Err(_) => None,
            };
        }
    }
    Some(after)
}

/// The set of bytes in a bracketed class.
struct Class {
    has: [bool; 256],
}

#[expect(clippy::indexing_slicing, reason = "a byte is always one of 256")]
impl Class {
    /// Reads a class after its opening bracket, and returns what comes after it; `None` if it is not closed.
    fn read(text: &[u8]) -> Option<(Self, &[u8])> {
        let (is_inverted, mut rest) = match text.split_first()? {
            (b'!' | b'^', rest) => (true, rest),
            _ => (false, text),
        };
        let mut class = Self { has: [false; 256] };
        let mut before: Option<u8> = None;
        let mut is_first = true;
        loop {
            let (byte, after) = rest.split_first()?;
            match byte {
                b']' if !is_first => {
                    rest = after;
                    break;
                }
                b'-' if before.is_some() && after.first().is_some_and(|next| *next != b']') => {
                    let (last, after) = escaped(after)?;
                    class.add(before.unwrap_or(last)..=last);
                    (before, rest) = (None, after);
                }
                b'[' if after.first() == Some(&b':') => {
                    let name = after.get(1..)?;
                    let end = name.iter().position(|byte| *byte == b']')?;
                    match name.get(..end)?.strip_suffix(b":") {
                        Some(name) => {
                            let (_, is_in) = CLASSES.iter().find(|(known, _)| *known == name)?;
                            (0..=u8::MAX).filter(is_in).for_each(|byte| class.add(byte..=byte));
                            (before, rest) = (None, after.get(end + 2..)?);
                        }
                        // An ordinary bracket.
                        None => {
                            class.add(b'['..=b'[');
                            (before, rest) = (Some(b'['), after);
                        }
                    }
                }
                _ => {
                    let (byte, after) = escaped(rest)?;
                    class.add(byte..=byte);
                    (before, rest) = (Some(byte), after);
                }
            }
            is_first = false;
        }
        if is_inverted {
            class.has.iter_mut().for_each(|has| *has = !*has);
        }
        // Never a slash, which separates names.
        class.has[usize::from(b'/')] = false;
        Some((class, rest))
    }

    fn add(&mut self, bytes: std::ops::RangeInclusive<u8>) {
        bytes.for_each(|byte| self.has[usize::from(byte)] = true);
    }

    /// Writes the class; `None` if it is empty or cannot be written.
    fn written(&self, is_negated: bool) -> Option<String> {
        let (ascii, beyond) = self.has.split_at(128);
        if !ascii.contains(&true) && !beyond.contains(&true) {
            return None;
        }
        if beyond.contains(&true) {
            if beyond.contains(&false) {
                return (!is_negated).then(|| "?".to_owned());
            }
            return Some(Self::listed("!", |byte| byte == b'/' || !self.has[usize::from(byte)]));
        }
        Some(Self::listed("", |byte| self.has[usize::from(byte)]))
    }

    /// Lists ASCII bytes, with special characters at positions where they are literal.
    fn listed(mark: &str, is_in: impl Fn(u8) -> bool) -> String {
        let mut text = String::from("[") + mark;
        let later = [b'!', b'^', b'-'];
        text.push_str(if is_in(b']') { "]" } else { "" });
        (0..128).filter(|byte| *byte != b']' && !later.contains(byte) && is_in(*byte)).for_each(|byte| {
            text.push(byte.into());
        });
        let later: String = later.into_iter().filter(|byte| is_in(*byte)).map(char::from).collect();
        // A single special character stands for itself.
        if mark.is_empty() && text.len() == 1 && later.chars().count() == 1 {
            return format!("\\{later}");
        }
        if mark.is_empty() && text.len() == 1 {
            // `-` comes first, because neither of the others may.
            text.extend(later.chars().rev());
        } else {
            text.push_str(&later);
        }
        text.push(']');
        text
    }
}

/// Returns the next byte of a class, and what comes after it.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let (byte, rest) = text.split_first()?;
    let (byte, rest) = if *byte == b'\\' { rest.split_first()? } else { (byte, rest) };
    Some((*byte, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_the_same_as_in_git() {
        for (pattern, expected) in [
            ("*.log", Some("**/*.log")),
            ("/build/", Some("/build/")),
            ("a/b", Some("/a/b")),
            ("**/x", Some("/**/x")),
            ("?**/b", Some("/?*/b")),
            ("***", Some("**/*")),
            ("*.{key,pem}", Some("**/*.\\{key,pem\\}")),
            ("[[:digit:]]x", Some("**/[0123456789]x")),
            ("[\\]a]", Some("**/[]a]")),
            ("[!a]", Some("**/[!/a]")),
            ("[z-]", Some("**/[z-]")),
            ("[-]", Some("**/\\-")),
            ("[^-]", Some("**/[!/-]")),
            ("a  ", Some("**/a")),
            ("a\\ ", Some("**/a[ ]")),
            ("a\t", Some("**/a[\t]")),
            ("\\#a", Some("**/\\#a")),
            ("!\\!a", Some("!**/\\!a")),
            ("# a", None),
            ("", None),
            ("/", None),
            ("[a", None),
            ("a\\", None),
            ("[[:no:]]", None),
        ] {
            assert_eq!(translated(pattern.as_bytes()).first().map(String::as_str), expected, "{pattern:?}");
        }
        assert_eq!(translated(b"caf\xe9"), ["**/caf?"]);
        assert_eq!(translated(b"a**/b"), ["/ab", "/a*/**/b"]);
        assert!(translated(b"!caf\xe9").is_empty());
    }
}

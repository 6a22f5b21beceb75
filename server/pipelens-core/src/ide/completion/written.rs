//! How strings are written in YAML and JSON, and snippets in the protocol.

use crate::syntax::written::{self, in_quotes, in_single_quotes, quoted};

/// Returns a string as it is written inside an open quote, or with the quotes it needs.
pub(super) fn text(text: &str, quote: Option<char>, is_json: bool) -> String {
    match quote {
        Some('\'') => in_single_quotes(text),
        Some(_) => in_quotes(text),
        None if !is_json && is_plain(text) => text.to_owned(),
        None => quoted(text),
    }
}

/// Tells whether a string needs no quotes, in block and in flow style.
fn is_plain(text: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || "_-./:@+".contains(character);
    written::is_plain(text) && text.chars().all(is_part)
}

/// Returns text with everything escaped that means something in a snippet.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('$', "\\$").replace('}', "\\}")
}

/// Returns the text a snippet inserts if nothing is typed: `${1:name}` is `name`, and `$0` is nothing.
pub(super) fn expanded(snippet: &str) -> String {
    let mut text = String::with_capacity(snippet.len());
    let mut rest = snippet.chars().peekable();
    let mut is_default = false;
    while let Some(character) = rest.next() {
        match character {
            '\\' => text.extend(rest.next()),
            '$' if rest.next_if_eq(&'{').is_some() => {
                while rest.next_if(char::is_ascii_digit).is_some() {}
                is_default = rest.next_if_eq(&':').is_some();
                if !is_default {
                    rest.next_if_eq(&'}');
                }
            }
            '$' => while rest.next_if(char::is_ascii_digit).is_some() {},
            '}' if std::mem::take(&mut is_default) => {}
            other => text.push(other),
        }
    }
    text
}

/// Returns text of several lines for a place in a line: further lines are indented as that line is.
pub(super) fn indented(text: &str, indentation: &str) -> String {
    text.replace('\n', &format!("\n{indentation}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_get_the_quotes_they_need() {
        for (value, expected) in [
            ("rust:1.95", "rust:1.95"),
            ("a b", "\"a b\""),
            ("true", "\"true\""),
            ("0", "\"0\""),
            ("-a", "\"-a\""),
            ("a: b", "\"a: b\""),
            ("a:", "\"a:\""),
            // Parsers for YAML 1.1 read these as something else.
            ("on", "\"on\""),
            ("yes", "\"yes\""),
            ("1:30", "\"1:30\""),
            ("...", "\"...\""),
            ("a\u{7f}", "\"a\\u007f\""),
            ("it's \"x\"\n", "\"it's \\\"x\\\"\\n\""),
            ("", "\"\""),
        ] {
            assert_eq!(text(value, None, false), expected);
        }
        assert_eq!(text("it's", Some('\''), false), "it''s");
        assert_eq!(text("a\"b", Some('"'), true), "a\\\"b");
        assert_eq!(text("a", None, true), "\"a\"");
    }

    #[test]
    fn a_snippet_is_expanded() {
        assert_eq!(expanded("key: ${1:name}\n  cmd: $0"), "key: name\n  cmd: ");
        assert_eq!(expanded("{\"a\": \"$0\"\\}${2}"), "{\"a\": \"\"}");
        assert_eq!(expanded(&escaped("a$b{c}\\")), "a$b{c}\\");
    }
}

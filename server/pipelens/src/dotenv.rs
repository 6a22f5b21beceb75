//! Reads a file of secrets by the rules of `.env` files, as most tools have them: comments, `export`, quotes, values of several lines.
//!
//! Unlike in a shell, and in libraries such as `dotenvy`, `$` has no meaning: a password that contains one stays what it is.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

const BLANKS: [char; 2] = [' ', '\t'];

/// Returns the values by name; of two lines with one name, the last counts. An error names the line.
pub(crate) fn parse(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    while !rest.is_empty() {
        let (entry, after) = divided(rest);
        let mut next = after;
        let is_comment = entry.trim().is_empty() || entry.trim_start().starts_with('#');
        if !is_comment {
            let (name, _) = entry.split_once('=').with_context(|| format!("line {line} has no `=`"))?;
            // The value may go on in the lines after this one.
            let written = rest.get(name.len() + 1..).unwrap_or_default().trim_start_matches(BLANKS);
            let name = name.trim_start();
            let name = name.strip_prefix("export ").unwrap_or(name).trim();
            if name.is_empty() {
                bail!("line {line} has no name before its `=`");
            }
            let value = match written.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let (value, tail) = quoted(written, quote)
                        .with_context(|| format!("line {line} begins with a quote that is not closed"))?;
                    let (remaining, after) = divided(tail);
                    if !unquoted(remaining).is_empty() {
                        bail!("line {line} has text after the closing quote");
                    }
                    next = after;
                    value
                }
                _ => unquoted(divided(written).0),
            };
            values.insert(name.to_owned(), value);
        }
        line += rest.get(..rest.len() - next.len()).unwrap_or_default().matches('\n').count();
        rest = next;
    }
    Ok(values)
}

/// Divides text after its first line.
fn divided(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// Returns a value without quotes: up to a comment, without blanks around it.
fn unquoted(written: &str) -> String {
    let is_comment = |at: usize| written.get(..at).is_some_and(|before| before.is_empty() || before.ends_with(BLANKS));
    let end = written.match_indices('#').map(|(at, _)| at).find(|at| is_comment(*at)).unwrap_or(written.len());
    written.get(..end).unwrap_or_default().trim().to_owned()
}

/// Returns the value of text that begins with a quote, and what follows the closing one. Only double quotes have escapes.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    characters.next();
    while let Some(character) = characters.next() {
        match character {
            _ if character == quote => return Some((value, characters.as_str())),
            '\\' if quote == '"' => match characters.next()? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\' | '$' | '`') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            _ => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().collect()
    }

    fn one(line: &str) -> String {
        parse(line).unwrap().remove("A").unwrap()
    }

    #[test]
    fn values_are_read_as_in_other_env_files() {
        for (line, value) in [
            ("A=b", "b"),
            ("export A=b", "b"),
            ("  A = b c  ", "b c"),
            ("A=", ""),
            ("A=a=b==", "a=b=="),
            ("A=pa$$word${x}`y`", "pa$$word${x}`y`"),
            ("A=b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=# comment", ""),
            ("A='b # $c \\n' # comment", "b # $c \\n"),
            ("A=\"b\\n\\\"c\\\" \\$d \\x\"", "b\n\"c\" $d \\x"),
            ("A=\"\"", ""),
            ("A=it's", "it's"),
            ("A='b'   ", "b"),
            ("\u{feff}A=b\r", "b"),
        ] {
            assert_eq!(one(line), value, "{line}");
        }
    }

    #[test]
    fn a_key_of_several_lines_is_one_value() {
        let text = "A=\"-----BEGIN\n# not a comment\n-----END\"\n\nexport B='x\ny'  # end\n#C=c\nD=d";
        let expected = [("A", "-----BEGIN\n# not a comment\n-----END"), ("B", "x\ny"), ("D", "d")];
        assert_eq!(read(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        let why = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(why("A=b\n\nhunter2"), "line 3 has no `=`");
        assert_eq!(why("=b"), "line 1 has no name before its `=`");
        assert_eq!(why("A='a\nb'\nB=\"c"), "line 3 begins with a quote that is not closed");
        assert_eq!(why("A='b'c"), "line 1 has text after the closing quote");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[A\"'\\\\=# \nx$é]{0,40}") {
            drop(parse(&text));
        }

        #[test]
        fn any_value_can_be_written(value in "[^\0]{0,30}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            assert_eq!(one(&format!("X=1\nA=\"{escaped}\" # end\nB=2")), value);
        }
    }
}

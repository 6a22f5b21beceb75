//! Characters that are invisible, control a terminal or reorder text: what is shown must not contain them.

use std::borrow::Cow;

/// Tells whether a character is not what it appears to be: control characters (C0, DEL, C1), marks that turn the direction of
/// text, line separators, invisible fillers and tags. Joiners and variation selectors stay: emoji and some scripts need them.
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e00ff}'
                | '\u{e01f0}'..='\u{e0fff}'
        )
}

/// Tells whether all of a text is what people type most: no control characters, nothing but ASCII.
pub(crate) fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Returns text with its deceptive characters written out, as `\u{1b}` or `\n`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if is_printable(text) || !text.contains(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_deceptive(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Returns text as Markdown that shows just that text: no links, images, HTML or emphasis.
pub fn markdown(text: &str) -> String {
    let shown = printable(text);
    let mut escaped = String::with_capacity(shown.len() + 16);
    let mut characters = shown.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // Some editors turn bare addresses into links; after this the text is no longer an address.
            ':' if characters.peek() == Some(&'/') => escaped.push_str("&#58;"),
            ':' => escaped.push(':'),
            '@' => escaped.push_str("&#64;"),
            _ if character.is_ascii_punctuation()
                && !matches!(character, '.' | ',' | '/' | '-' | '=' | '%' | '"' | '\'' | '?' | ';') =>
            {
                escaped.push('\\');
                escaped.push(character);
            }
            '-' | '=' if escaped.is_empty() => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Returns text as a span of code, whatever backticks are in it.
pub fn code(text: &str) -> String {
    let shown = printable(text);
    let fence = "`".repeat(longest_run(&shown) + 1);
    // A span that begins or ends with a backtick needs a space, which is not part of it.
    let space = if shown.starts_with('`') || shown.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{shown}{space}{fence}")
}

/// Returns lines as a block of code in a language, whatever fences are in them.
pub fn code_block(language: &str, lines: &[String]) -> String {
    let shown: Vec<Cow<'_, str>> = lines.iter().map(|line| printable(line)).collect();
    let longest = shown.iter().map(|line| longest_run(line)).max().unwrap_or_default();
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}", shown.join("\n"))
}

fn longest_run(text: &str) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_escaped() {
        assert_eq!(printable("a\u{1b}[31m\nb\u{9b}\u{202e}\u{e0041}"), r"a\u{1b}[31m\nb\u{9b}\u{202e}\u{e0041}");
        assert_eq!(printable("é 👩\u{200d}💻 ❤\u{fe0f} ﷽"), "é 👩\u{200d}💻 ❤\u{fe0f} ﷽");
    }

    #[test]
    fn code_spans_and_blocks_can_contain_any_backticks() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code_block("sh", &["A=```".to_owned()]), "````sh\nA=```\n````");
    }

    #[test]
    fn markdown_in_a_text_is_shown_literally() {
        assert_eq!(markdown("[x](command:y)"), r"\[x\]\(command:y\)");
        assert_eq!(markdown("![i](https://h/i.png)"), r"\!\[i\]\(https&#58;//h/i.png\)");
        assert_eq!(markdown("<img src=x>"), "&lt;img src=x&gt;");
        assert_eq!(markdown("**a** `b` # c"), r"\*\*a\*\* \`b\` \# c");
        assert_eq!(markdown("--- a"), r"\--- a");
    }
}

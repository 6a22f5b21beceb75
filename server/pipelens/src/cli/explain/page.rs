//! Shows the page of a code in a terminal: headings, indented paragraphs and examples, without the marks of Markdown.

use owo_colors::OwoColorize;
use pipelens_core::diagnostic::Code;

use crate::present::severity_name;

/// How far what belongs to a heading is indented.
const INDENT: &str = "  ";

/// In a narrower terminal, a line is one word.
const MIN_COLUMNS: usize = 20;

/// Returns the page for a terminal of this width. Styles are removed later, if the output is not a terminal.
pub(super) fn render(code: Code, columns: usize) -> String {
    let mut text = String::new();
    let mut lines = code.explanation().lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("# ") {
            heading(&mut text, title, columns);
            let default = format!("{}, {} by default", code.as_str(), severity_name(code.severity()));
            text.push_str(&format!("{}\n", default.dimmed()));
        } else if let Some(title) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            heading(&mut text, title, columns);
            // Indentation separates it from its text.
            while lines.next_if(|line| line.trim().is_empty()).is_some() {}
        } else if is_fence(line) {
            for line in lines.by_ref().take_while(|line| !is_fence(line)) {
                text.push_str(format!("{INDENT}{INDENT}{line}").trim_end());
                text.push('\n');
            }
        } else if line.trim().is_empty() {
            text.push('\n');
        } else {
            let mut paragraph = line.trim().to_owned();
            while let Some(next) = lines.next_if(|next| continues(next)) {
                paragraph.push(' ');
                paragraph.push_str(next.trim());
            }
            let hanging = format!("{INDENT}{}", " ".repeat(mark_length(&paragraph)));
            wrap(&mut text, &plain(&paragraph), INDENT, &hanging, columns);
        }
    }
    text
}

/// Returns the first paragraph below the title, as plain text.
pub(in crate::cli) fn summary(code: Code) -> String {
    let mut paragraphs = code.explanation().split("\n\n").filter(|paragraph| !paragraph.starts_with('#'));
    plain(&paragraphs.next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Appends words in lines of at most so many columns, unless a word is longer.
pub(super) fn wrap(text: &mut String, words: &str, first: &str, hanging: &str, columns: usize) {
    let columns = columns.max(MIN_COLUMNS);
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in words.split_whitespace() {
        let length = line.chars().count() + word.chars().count() + usize::from(!is_empty);
        if length > columns && !is_empty {
            text.push_str(line.trim_end());
            text.push('\n');
            line = hanging.to_owned();
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn heading(text: &mut String, title: &str, columns: usize) {
    let mut lines = String::new();
    wrap(&mut lines, &plain(title), "", "", columns);
    lines.lines().for_each(|line| text.push_str(&format!("{}\n", line.bold())));
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

/// Whether a line belongs to the paragraph or the item before it.
fn continues(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with('#') && !is_fence(line) && mark_length(line.trim_start()) == 0
}

/// Returns the length of what begins an item of a list: `- `, `1. `.
fn mark_length(line: &str) -> usize {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let marks = [("- ", 0), ("* ", 0), (". ", digits)];
    let mark = marks.iter().find(|(mark, before)| {
        (*before > 0 || digits == 0)
            && line.get(*before..).is_some_and(|rest| rest.starts_with(mark))
            && (*mark != ". " || digits > 0)
    });
    mark.map_or(0, |(_, before)| before + 2)
}

/// Returns a paragraph without the marks of Markdown: links, emphasis and escapes. Code keeps its backticks, as in every message.
fn plain(paragraph: &str) -> String {
    let mut text = String::with_capacity(paragraph.len());
    let mut rest = paragraph;
    while let Some(first) = rest.chars().next() {
        let length = if first == '`' {
            let ticks = rest.bytes().take_while(|byte| *byte == b'`').count();
            let (mark, after) = rest.split_at(ticks);
            let length = after.find(mark).map_or(ticks, |end| end + 2 * ticks);
            text.push_str(rest.get(..length).unwrap_or_default());
            length
        } else if let Some((title, target, length)) = link(rest) {
            text.push_str(&plain(title));
            if target.contains("://") {
                text.push_str(&format!(" ({target})"));
            }
            length
        } else if first == '\\' && rest.chars().nth(1).is_some_and(|next| next.is_ascii_punctuation()) {
            text.extend(rest.chars().nth(1));
            2
        } else if rest.starts_with("**") {
            2
        } else if first == '*' && (!rest.starts_with("* ") || text.ends_with(char::is_alphanumeric)) {
            1
        } else {
            text.push(first);
            first.len_utf8()
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    text
}

/// Returns the title and the target of a link at the start, and its length.
fn link(text: &str) -> Option<(&str, &str, usize)> {
    let (title, after) = text.strip_prefix('[')?.split_once("](")?;
    let (target, _) = after.split_once(')')?;
    (!title.contains(['[', ']'])).then_some((title, target, title.len() + target.len() + "[]()".len()))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn shown(code: Code, columns: usize) -> String {
        anstream::adapter::strip_str(&render(code, columns)).to_string()
    }

    #[test]
    fn a_page_has_headings_and_indented_examples() {
        expect![[r#"
            A working directory that does not exist in the sources
            missing-folder, warning by default

              The sources are placed in `/workspace`, so a step that starts from an
              image and works in a directory below it finds what the project has
              there. If the project has no such directory, the engine creates an
              empty one, and the command fails later, far from the actual mistake.
              Steps with `builds_in` are not checked, because the step before them
              may have created the directory.

            Wrong
                steps:
                  - key: test
                    cmd: npm test
                    image: node:22
                    workdir: /workspace/fronted

            Right
                steps:
                  - key: test
                    cmd: npm test
                    image: node:22
                    workdir: /workspace/frontend

            How to fix it
              Correct the name. If the command itself fills the directory, create it
              in the command and remove `workdir`.
        "#]]
        .assert_eq(&shown(Code::MissingFolder, 72));
    }

    #[test]
    fn every_page_fits_the_terminal_and_has_no_markdown() {
        for code in Code::ALL {
            for columns in [50, 100] {
                let page = shown(*code, columns);
                let mut lines = page.lines().filter(|line| !line.starts_with("    "));
                let long = lines.find(|line| line.chars().count() > columns && line.trim().contains(' '));
                assert_eq!(long, None, "{page}");
                assert!(!page.contains("```") && !page.contains("\n#") && !page.contains("**"), "{page}");
                assert!(page.starts_with(code.title().split(' ').next().unwrap()), "{page}");
                assert!(!page.contains("\n\n\n"), "{page}");
            }
        }
    }

    #[test]
    fn marks_are_removed_and_code_is_kept() {
        assert_eq!(
            plain(r"a \*b\* **c** *d* `\u{1b} *` [e](https://f.example) [g](h.md)"),
            r"a *b* c d `\u{1b} *` e (https://f.example) g"
        );
        assert_eq!(plain("5 * 3, ``a`b``, [x] and `open"), "5 * 3, ``a`b``, [x] and `open");
        let mut text = String::new();
        wrap(&mut text, "- one two three", "  ", "    ", 20);
        assert_eq!(
            (mark_length("- one"), mark_length("12. one"), mark_length("12 one"), mark_length("one")),
            (2, 4, 0, 0)
        );
        assert_eq!(text, "  - one two three\n");
        text.clear();
        wrap(&mut text, "- one two three four", "  ", "    ", 20);
        assert_eq!(text, "  - one two three\n    four\n");
    }
}

//! The source lines with marks below them that tools print after a message.

/// A line of marks: `  |     ^^^^ expected u32`, or `    ^~~~`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks<'a> {
    /// The column of the first mark in the line that is quoted, from 1.
    pub(super) column: u32,
    /// How many columns are marked.
    pub(super) length: u32,
    /// What is written next to the marks.
    pub(super) label: &'a str,
}

/// Reads a line of marks.
pub(super) fn marks(line: &str) -> Option<Marks<'_>> {
    let content = after_gutter(line);
    let first = content.find(|character: char| !matches!(character, ' ' | '\t' | '|' | '-' | '_' | '~'));
    // tsc marks with nothing but tildes.
    let begin = match first {
        Some(at) if content[at..].starts_with('^') => at,
        Some(_) => return None,
        None => content.find('~')?,
    };
    let marked = content.get(begin..)?;
    let length = marked.find(|character| !matches!(character, '^' | '~')).unwrap_or(marked.len());
    let label = marked.get(length..)?;
    if label.starts_with(|character: char| character.is_alphanumeric()) {
        return None;
    }
    let to_u32 = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Some(Marks { column: to_u32(begin + 1), length: to_u32(length), label: label.trim() })
}

/// Whether a line quotes source code: `6 |     println!()`, or `  |`.
pub(super) fn is_quoted(line: &str) -> bool {
    let line = line.trim_start();
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    line.get(digits..)
        .is_some_and(|rest| rest.trim_start().starts_with('|') && rest.len() - rest.trim_start().len() <= 8)
}

/// Returns the part of a line to the right of its gutter.
fn after_gutter(line: &str) -> &str {
    if is_quoted(line)
        && let Some(bar) = line.find('|')
    {
        let start = bar + if line.get(bar + 1..).is_some_and(|rest| rest.starts_with(' ')) { 2 } else { 1 };
        return line.get(start..).unwrap_or_default();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_have_a_column_a_length_and_a_label() {
        let read = |line| marks(line).map(|marks| (marks.column, marks.length, marks.label));
        assert_eq!(read("  |                 ---   ^^^^^^^ expected `u32`"), Some((23, 7, "expected `u32`")));
        assert_eq!(read("   10 |     printf"), None);
        assert_eq!(read("      |             ~^     ~"), Some((14, 1, "~")));
        assert_eq!(read("                   ^~~"), Some((20, 3, "")));
        assert_eq!(read("                        ~"), Some((25, 1, "")));
        assert_eq!(read("plain text"), None);
        assert_eq!(read(""), None);
        assert!(is_quoted("6 |  x") && is_quoted("  |") && !is_quoted("a | b"));
    }
}

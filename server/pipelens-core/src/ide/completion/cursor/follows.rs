//! What follows the word at the cursor: it decides what an entry may add.

/// What follows the word at the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follows {
    /// The end of the line or of the entry.
    Nothing,
    /// The colon of a key.
    Colon,
    /// The next entry in brackets, without a comma before it.
    Entry,
    /// Other text, which an entry would become a part of.
    Something,
}

impl Follows {
    pub(super) fn of(text: &str, word_end: usize, is_flow: bool, may_span_lines: bool) -> Self {
        let rest = text.get(word_end..).unwrap_or_default();
        let line = rest.split(['\n', '\r']).next().unwrap_or_default();
        let trimmed = line.trim_start_matches([' ', '\t']);
        let ends_key = |after: &str| after.is_empty() || after.starts_with([' ', '\t']) || is_flow;
        if trimmed.strip_prefix(':').is_some_and(ends_key) {
            return Self::Colon;
        }
        let is_comment = trimmed.starts_with('#') && (trimmed.len() < line.len() || word_end == 0);
        if !is_flow {
            return if trimmed.is_empty() || is_comment { Self::Nothing } else { Self::Something };
        }
        let next = if may_span_lines { after_comments(rest) } else { trimmed };
        match next.chars().next() {
            None | Some(',' | '}' | ']' | '#') => Self::Nothing,
            Some(_) => Self::Entry,
        }
    }
}

fn after_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    while rest.starts_with('#') {
        rest = rest.split_once('\n').map_or("", |(_, after)| after.trim_start());
    }
    rest
}

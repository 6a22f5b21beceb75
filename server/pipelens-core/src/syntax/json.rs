//! The strict extra check of JSON files: YAML reads more than JSON allows.

use serde::de::IgnoredAny;
use serde_json::error::Category;

use super::parse::floor_char_border;
use crate::diagnostic::{Code, Diagnostic};
use crate::text::{LineIndex, TextRange};

/// Returns what is not JSON in text that is YAML.
pub(crate) fn check(text: &str, lines: &LineIndex) -> Option<Diagnostic> {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let error = serde_json::from_str::<IgnoredAny>(text.get(mark..)?).err()?;
    // Its columns count bytes from one; the first line has lost its byte order mark.
    let column = error.column().saturating_sub(1) + if error.line() == 1 { mark } else { 0 };
    let offset = floor_char_border(text, lines.line_start(error.line().saturating_sub(1)) + column);
    let rest = text.get(offset..).unwrap_or_default();
    let found = rest.chars().next();
    let word: usize = rest.chars().take_while(|next| next.is_alphanumeric()).map(char::len_utf8).sum();
    let range = TextRange::new(offset, offset + word.max(found.map_or(0, char::len_utf8)));
    let (range, message) = match (error.classify(), found) {
        (Category::Eof, _) => (range, "The JSON is incomplete. Close what is still open."),
        (_, Some('}' | ']')) => return Some(trailing_comma(text, range)),
        (_, Some('#' | '/')) => (range, "JSON has no comments. Remove this, or name the file `.yaml`."),
        (_, Some('\'')) => (range, "JSON allows only double quotes. Write `\"`."),
        (_, Some('*' | '&' | '!')) => {
            (range, "JSON has no anchors, aliases or tags. Write the value out, or name the file `.yaml`.")
        }
        (_, Some(_) | None) => (
            range,
            "This is YAML, but not JSON: names and strings need double quotes. Correct it, or name the file `.yaml`.",
        ),
    };
    Some(Diagnostic::new(Code::Syntax, range, message))
}

fn trailing_comma(text: &str, bracket: TextRange) -> Diagnostic {
    let before = text.get(..bracket.start).unwrap_or_default().trim_end();
    if !before.ends_with(',') {
        return Diagnostic::new(
            Code::Syntax,
            bracket,
            "Something is missing before this bracket. JSON needs a value here.",
        );
    }
    let comma = TextRange::new(before.len() - 1, before.len());
    let message = "JSON does not allow a comma before a closing bracket. Remove it.";
    Diagnostic::new(Code::Syntax, comma, message).with_safe_fix("Remove the comma", comma, "")
}

//! How strings are written in YAML, with quotes only where they are needed.

use super::scalar::{ScalarType, resolve, yaml_1_1_reading};

/// Writes a string as a value of a block mapping.
pub(crate) fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Writes a string as an item or value in brackets.
pub(crate) fn flow_scalar(text: &str) -> String {
    if is_plain(text) && !text.contains([',', '[', ']', '{', '}', ':']) { text.to_owned() } else { quoted(text) }
}

/// JSON's quotes and escapes are also valid in YAML.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", in_quotes(text))
}

/// Writes a string as it stands between double quotes.
pub(crate) fn in_quotes(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut written = String::with_capacity(json.len());
    for character in json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or(&json).chars() {
        match character {
            // JSON allows some control characters that YAML does not.
            control if control.is_control() => written.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => written.push(other),
        }
    }
    written
}

/// Writes a string in single quotes.
pub(crate) fn single_quoted(text: &str) -> String {
    format!("'{}'", in_single_quotes(text))
}

/// Writes a string as it stands between single quotes.
pub(crate) fn in_single_quotes(text: &str) -> String {
    text.replace('\'', "''")
}

/// Tells whether a string needs no quotes, even for YAML 1.1 parsers.
pub(crate) fn is_plain(text: &str) -> bool {
    let is_start = |first: char| first.is_alphanumeric() || matches!(first, '_' | '.' | '/' | '$' | '(');
    text.starts_with(is_start)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text
            .chars()
            .any(|character| character.is_control() || matches!(character, '\u{feff}' | '\u{2028}' | '\u{2029}'))
        && !text.starts_with("...")
        && resolve(text) == ScalarType::Text
        && yaml_1_1_reading(text).is_none()
}

/// Tells whether text has several lines that a block scalar can contain without an indentation indicator.
pub(crate) fn is_block(text: &str) -> bool {
    let is_printable = |character: char| character == '\n' || character == '\t' || !character.is_control();
    text.trim_end_matches('\n').contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && text.chars().all(is_printable)
        && !text.contains(['\u{feff}', '\u{2028}', '\u{2029}', '\u{85}'])
        && text.lines().all(|line| !line.trim().is_empty() || line.is_empty())
}

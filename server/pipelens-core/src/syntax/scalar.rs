//! What a plain scalar means: the YAML 1.2 core schema, in one place. Knows no pipeline.

/// The type of a scalar under the core schema.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ScalarType {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text,
}

/// Resolves the text of a plain scalar.
pub(crate) fn resolve(text: &str) -> ScalarType {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ScalarType::Null,
        "true" | "True" | "TRUE" => return ScalarType::Bool(true),
        "false" | "False" | "FALSE" => return ScalarType::Bool(false),
        _ => {}
    }
    let starts_like_number = text.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte));
    if !starts_like_number {
        return ScalarType::Text;
    }
    integer(text).map(ScalarType::Integer).or_else(|| float(text).map(ScalarType::Float)).unwrap_or(ScalarType::Text)
}

/// Returns what a YAML 1.1 parser would read a plain scalar as, if that differs.
pub(crate) fn yaml_1_1_reading(text: &str) -> Option<&'static str> {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Some("`true`"),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Some("`false`"),
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let is_octal =
        digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    if is_octal {
        return Some("an octal number");
    }
    if digits.contains('_') && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
        return Some("a number without the `_`");
    }
    let mut parts = digits.split(':');
    let has_leading = parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let mut rest = parts.peekable();
    let is_sexagesimal = has_leading && rest.peek().is_some() && rest.all(is_base_sixty_digit);
    is_sexagesimal.then_some("a number in base 60")
}

fn is_base_sixty_digit(part: &str) -> bool {
    matches!(part.len(), 1 | 2) && part.parse::<u8>().is_ok_and(|value| value < 60)
}

fn integer(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok();
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return i64::from_str_radix(digits, 8).ok();
    }
    text.parse().ok()
}

fn float(text: &str) -> Option<f64> {
    match text.strip_prefix(['+', '-']).unwrap_or(text) {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    // Rust also reads `inf` and `nan` without a dot; the core schema does not.
    let is_numeric = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if is_numeric { text.parse().ok() } else { None }
}

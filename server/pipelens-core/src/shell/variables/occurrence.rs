//! One place in a command that names a variable.

use crate::text::TextRange;

/// What a command does with a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Expanded,
    Assigned,
}

/// One place in a command that names a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Occurrence<'a> {
    pub(crate) name: &'a str,
    /// The name, without `$` and braces.
    pub(crate) range: TextRange,
    pub(crate) role: Role,
    /// The command has set it itself, so it is not what was set outside.
    pub(crate) is_local: bool,
}

/// Tells whether a shell can have a variable with this name.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

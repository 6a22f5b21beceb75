//! Dashes and keys at the start of a line or an entry.

use crate::keys;

/// Returns the length of the dashes a line starts with, and of the space after them.
pub(crate) fn dashes(content: &str) -> usize {
    let mut rest = content;
    while let Some(after) = rest.strip_prefix('-').filter(|after| after.is_empty() || after.starts_with([' ', '\t'])) {
        rest = after.trim_start_matches([' ', '\t']);
    }
    content.len() - rest.len()
}

/// Tells whether what comes after a colon makes it the end of a key.
pub(super) fn ends_key(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r'])
}

/// Returns the key at the start of an entry, and where its value starts.
pub(super) fn key_of(bare: &str) -> Option<(&str, usize)> {
    if let Some(quote) = bare.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        let end = bare.get(1..)?.find(quote)? + 1;
        let blank = bare.get(end + 1..)?;
        let colon = end + 1 + (blank.len() - blank.trim_start_matches([' ', '\t']).len());
        return bare.get(colon..)?.starts_with(':').then_some((bare.get(1..end)?, colon + 1));
    }
    let mut colons = bare.match_indices(':').map(|(colon, _)| colon);
    let is_known = |key: &str| key == "<<" || keys::homes(key).next().is_some();
    let colon = colons.find(|colon| {
        let (key, rest) = (bare.get(..*colon).unwrap_or_default(), bare.get(colon + 1..).unwrap_or_default());
        // The space may be what is still missing.
        ends_key(rest) || rest.starts_with(['[', '{', ',']) || is_known(key)
    })?;
    Some((bare.get(..colon)?.trim_end_matches([' ', '\t']), colon + 1))
}

//! Text for a terminal.

/// Returns text without characters that control the terminal: names come from files, which can be hostile.
pub(crate) fn printable(text: &str) -> String {
    text.split('\n').map(pipelens_core::printable::printable).collect::<Vec<_>>().join("\n")
}

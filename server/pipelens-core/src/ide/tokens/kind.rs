//! The kinds of tokens in a command.

/// What a token of a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Keyword,
    /// The name of a program or a function.
    Function,
    Variable,
    String,
    Comment,
    Operator,
    /// `-x`, `--long`.
    Parameter,
}

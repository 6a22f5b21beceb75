pub(crate) mod lexer;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Keyword,
    Function,
    Variable,
    String,
    Comment,
    Operator,
    Parameter,
}

//! Colours for the shell inside `cmd`: the rest of the file is YAML or JSON, which every editor colours by itself.

mod kind;
mod lexer;

use crate::analysis::Analysis;
use crate::syntax::offsets::Offsets;
use crate::text::{Spanned, TextRange};

pub use kind::TokenKind;

/// A token within one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub range: TextRange,
    pub kind: TokenKind,
}

/// Returns the tokens of every command that touches a part of the text, in text order.
pub fn tokens(analysis: &Analysis, within: TextRange) -> Vec<Token> {
    let steps = analysis.all_steps();
    let commands = steps.filter(|step| step.dialect().is_some()).filter_map(|step| step.cmd.as_ref());
    let wanted = commands.filter(|cmd| cmd.range.start <= within.end && within.start <= cmd.range.end);
    let mut tokens: Vec<Token> = wanted.flat_map(|cmd| command_tokens(&analysis.text, cmd)).collect();
    tokens.sort_by_key(|token| token.range);
    // An alias makes one value the command of several steps.
    tokens.dedup();
    tokens
}

fn command_tokens(text: &str, cmd: &Spanned<String>) -> Vec<Token> {
    let Some(offsets) = Offsets::of(text, cmd) else { return Vec::new() };
    let shell = lexer::lex(&cmd.value);
    let stretches = shell.iter().flat_map(|token| {
        let ranges = offsets.stretches(TextRange::new(token.start, token.end));
        ranges.into_iter().map(|range| Token { range, kind: token.kind })
    });
    stretches.collect()
}

//! Colours for the shell inside `cmd`: the rest of the file is YAML or JSON, which every editor colours by itself.

mod lexer;

use crate::Analysis;
use crate::text::{Spanned, TextRange};

/// What a stretch of a command is.
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

/// A stretch of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub range: TextRange,
    pub kind: TokenKind,
}

/// Returns the coloured stretches of every command that touches a part of the text, in text order.
///
/// A command whose text differs from what stands in the file letter by letter (folded, or with escapes) has none.
pub fn tokens(analysis: &Analysis, within: TextRange) -> Vec<Token> {
    let steps = analysis.pipelines.iter().flat_map(|pipeline| pipeline.steps.iter().chain(&pipeline.unnamed_steps));
    let commands = steps.filter_map(|step| step.cmd.as_ref());
    let wanted = commands.filter(|cmd| cmd.range.start <= within.end && within.start <= cmd.range.end);
    let mut tokens: Vec<Token> = wanted.flat_map(|cmd| command_tokens(&analysis.text, cmd)).collect();
    tokens.sort_by_key(|token| token.range);
    // An alias makes one text the command of several steps.
    tokens.dedup();
    tokens
}

fn command_tokens(text: &str, cmd: &Spanned<String>) -> Vec<Token> {
    let Some(lines) = text.get(cmd.range.start..cmd.range.end).and_then(|source| lines(source, &cmd.value)) else {
        return Vec::new();
    };
    let shell = lexer::lex(&cmd.value);
    let mut tokens = Vec::with_capacity(shell.len());
    let mut first = 0;
    for token in shell {
        // Both are in order, so a line that ends before this token ends before all that follow.
        first += lines.iter().skip(first).take_while(|line| line.value.end <= token.start).count();
        for line in lines.iter().skip(first).take_while(|line| line.value.start < token.end) {
            let (start, end) = (token.start.max(line.value.start), token.end.min(line.value.end));
            if start < end {
                let place = |offset: usize| cmd.range.start + line.source + offset - line.value.start;
                tokens.push(Token { range: TextRange::new(place(start), place(end)), kind: token.kind });
            }
        }
    }
    tokens
}

/// One line of a command: where it is in its value, and where that begins in the source.
#[derive(Debug, Clone, Copy)]
struct Line {
    value: TextRange,
    source: usize,
}

/// Finds every line of a value in its source, where they are the same but for indentation and quotes.
fn lines(source: &str, value: &str) -> Option<Vec<Line>> {
    if let Some(start) = [0, 1].into_iter().find(|quote| source.get(*quote..source.len() - quote) == Some(value)) {
        return Some(vec![Line { value: TextRange::new(0, value.len()), source: start }]);
    }
    let mut lines = Vec::new();
    let mut source_lines = source.split_inclusive('\n');
    let (mut source_start, mut value_start) = (0, 0);
    for value_line in value.split_inclusive('\n') {
        let content = value_line.trim_end_matches('\n');
        // Behind the last letter a block may go on with empty lines that its range leaves out.
        let source_line = source_lines.next().unwrap_or_default();
        let indent = source_line.trim_end_matches(['\r', '\n']).strip_suffix(content)?;
        if !indent.bytes().all(|byte| byte == b' ') {
            return None;
        }
        let range = TextRange::new(value_start, value_start + content.len());
        lines.push(Line { value: range, source: source_start + indent.len() });
        source_start += source_line.len();
        value_start += value_line.len();
    }
    Some(lines)
}

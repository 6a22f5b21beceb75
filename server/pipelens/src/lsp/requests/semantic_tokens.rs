//! Semantic tokens, each encoded relative to the one before, as the protocol requires.

use lsp_types::{
    SemanticToken, SemanticTokenType, SemanticTokens, SemanticTokensParams, SemanticTokensRangeParams,
    SemanticTokensRangeResult, SemanticTokensResult,
};
use pipelens_core::ide::{self, TokenKind};
use pipelens_core::text::TextRange;

use crate::lsp::server::Server;
use crate::lsp::session::documents::{Document, Documents};

/// The token types, by number.
pub(crate) const LEGEND: [SemanticTokenType; 7] = [
    SemanticTokenType::KEYWORD,
    SemanticTokenType::FUNCTION,
    SemanticTokenType::VARIABLE,
    SemanticTokenType::STRING,
    SemanticTokenType::COMMENT,
    SemanticTokenType::OPERATOR,
    SemanticTokenType::PARAMETER,
];

pub(crate) fn full(_: &Server, documents: &Documents, params: SemanticTokensParams) -> Option<SemanticTokensResult> {
    let document = documents.written_pipeline(&params.text_document.uri)?;
    let whole = TextRange::new(0, document.text.len());
    Some(SemanticTokensResult::Tokens(tokens(&document, whole)))
}

pub(crate) fn range(
    _: &Server,
    documents: &Documents,
    params: SemanticTokensRangeParams,
) -> Option<SemanticTokensRangeResult> {
    let document = documents.written_pipeline(&params.text_document.uri)?;
    let within = document.map().offsets(params.range);
    Some(SemanticTokensRangeResult::Tokens(tokens(&document, within)))
}

fn tokens(document: &Document, within: TextRange) -> SemanticTokens {
    let map = document.map();
    let (mut line, mut start) = (0, 0);
    let data = ide::tokens(&document.analysis, within).into_iter().map(|token| {
        let range = map.range(token.range);
        let delta_line = range.start.line - line;
        let delta_start = if delta_line == 0 { range.start.character - start } else { range.start.character };
        (line, start) = (range.start.line, range.start.character);
        SemanticToken {
            delta_line,
            delta_start,
            length: range.end.character - range.start.character,
            token_type: number(token.kind),
            token_modifiers_bitset: 0,
        }
    });
    SemanticTokens { result_id: None, data: data.collect() }
}

fn number(kind: TokenKind) -> u32 {
    match kind {
        TokenKind::Keyword => 0,
        TokenKind::Function => 1,
        TokenKind::Variable => 2,
        TokenKind::String => 3,
        TokenKind::Comment => 4,
        TokenKind::Operator => 5,
        TokenKind::Parameter => 6,
    }
}

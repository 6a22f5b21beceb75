//! The only place that knows the parser library: text in, events with byte ranges and the first error out.

use std::borrow::Cow;

use granit_parser::{ErrorKind, Event as ParserEvent, Parser, ScalarStyle, Tag, options};

use crate::text::TextRange;

/// How deep collections may be nested. People stay under ten; deeper text is made to exhaust a stack.
pub(crate) const MAX_DEPTH: usize = 128;

/// What the parser saw. Collections end with `End`; an `Anchor` follows the start of the node it names.
#[derive(Debug)]
pub(crate) enum Event<'text> {
    DocumentStart,
    DocumentEnd,
    Scalar {
        text: Cow<'text, str>,
        style: Style,
        is_tagged_text: bool,
    },
    ListStart {
        is_flow: bool,
    },
    MapStart {
        is_flow: bool,
    },
    End,
    Anchor(usize),
    /// With the anchor it refers to, if there is one before it.
    Alias(Option<usize>),
    Comment,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Block,
}

/// Why the parser had to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParseError {
    pub(crate) offset: usize,
    pub(crate) reason: Reason,
}

/// The causes that deserve words of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Tab,
    UnclosedQuote,
    AfterQuote,
    UnclosedBracket,
    MissingComma,
    BadEscape,
    ReservedCharacter(char),
    NestedColon,
    BareWord,
    Indentation,
    DashAmongKeys,
    DashOnKeyLine,
    BlockHeader,
    MissingAliasName,
    TooDeep,
    Directive,
    Tag,
    CommentNeedsSpace,
    StrayBracket,
    Other,
}

/// Parses a text up to its end or its first error, handing every event with its range to `sink`.
pub(crate) fn parse<'text>(text: &'text str, mut sink: impl FnMut(Event<'text>, TextRange)) -> Option<ParseError> {
    let options = options! {
        emit_anchor_events: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        // A licence text above a key is no attack; the text's own size bounds this.
        max_buffered_comment_events: 100_000,
    };
    for item in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match item {
            Ok(item) => item,
            Err(error) => {
                let offset = error.marker().byte_offset().unwrap_or(text.len());
                return Some(ParseError { offset: floor_char_border(text, offset), reason: reason(error.kind()) });
            }
        };
        let range = span.byte_range().map_or(TextRange::at(0), |range| TextRange::new(range.start, range.end));
        if let Some(event) = translate(event) {
            sink(event, range);
        }
    }
    None
}

/// Moves an offset back to the nearest character border inside the text.
pub(crate) fn floor_char_border(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

fn translate(event: ParserEvent<'_>) -> Option<Event<'_>> {
    use granit_parser::StructureStyle;
    Some(match event {
        ParserEvent::DocumentStart(..) => Event::DocumentStart,
        ParserEvent::DocumentEnd => Event::DocumentEnd,
        ParserEvent::Scalar(text, style, _, tag) => Event::Scalar {
            text,
            style: match style {
                ScalarStyle::Plain => Style::Plain,
                ScalarStyle::SingleQuoted => Style::SingleQuoted,
                ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
            },
            is_tagged_text: tag.as_deref().is_some_and(is_text_tag),
        },
        ParserEvent::SequenceStart(style, ..) => Event::ListStart { is_flow: style == StructureStyle::Flow },
        ParserEvent::MappingStart(style, ..) => Event::MapStart { is_flow: style == StructureStyle::Flow },
        ParserEvent::SequenceEnd | ParserEvent::MappingEnd => Event::End,
        ParserEvent::Anchor(id, _) => Event::Anchor(id),
        ParserEvent::Alias(id) => Event::Alias(Some(id)),
        ParserEvent::UnresolvedAlias(_) => Event::Alias(None),
        ParserEvent::Comment(..) => Event::Comment,
        _ => return None,
    })
}

fn is_text_tag(tag: &Tag) -> bool {
    tag.is_yaml_core_schema_tag("str") || tag.is_custom()
}

fn reason(kind: &ErrorKind) -> Reason {
    use ErrorKind as Kind;
    match kind {
        Kind::TabNotAllowed
        | Kind::TabInBlockIndentation
        | Kind::TabAtBlockScalarStart
        | Kind::TabInIndentation
        | Kind::TabInPlainScalar => Reason::Tab,
        Kind::UnclosedQuotedScalar | Kind::DocumentIndicatorInQuotedScalar | Kind::InvalidQuotedScalarIndent => {
            Reason::UnclosedQuote
        }
        Kind::InvalidTrailingSingleQuotedScalar | Kind::InvalidTrailingDoubleQuotedScalar => Reason::AfterQuote,
        Kind::UnclosedFlowCollection { .. }
        | Kind::MismatchedFlowCollectionEnd { .. }
        | Kind::UnexpectedEofFlowSequence
        | Kind::UnexpectedEofFlowMapping
        | Kind::UnexpectedEofImplicitFlowMapping
        | Kind::BlockEntryInFlowCollection
        | Kind::InvalidFlowScalarIndent => Reason::UnclosedBracket,
        Kind::ExpectedFlowMappingSeparator | Kind::ExpectedFlowSequenceSeparator => Reason::MissingComma,
        Kind::UnknownQuotedScalarEscape
        | Kind::InvalidQuotedScalarHexEscape
        | Kind::InvalidLowSurrogateHexEscape
        | Kind::InvalidLowSurrogate
        | Kind::MissingLowSurrogate
        | Kind::UnpairedLowSurrogate
        | Kind::InvalidUnicodeEscape => Reason::BadEscape,
        Kind::UnexpectedCharacter { character } => Reason::ReservedCharacter(*character),
        Kind::MappingValueNotAllowed | Kind::InvalidColonPlacement | Kind::FlowMappingValueAdjacentCollection => {
            Reason::NestedColon
        }
        Kind::SimpleKeyExpected | Kind::InvalidSimpleKey | Kind::UnexpectedEndOfPlainScalar => Reason::BareWord,
        Kind::InvalidIndentation | Kind::ExpectedBlockSequenceEntry | Kind::MappingKeyNotAllowed => Reason::Indentation,
        Kind::ExpectedBlockMappingKey => Reason::DashAmongKeys,
        Kind::BlockSequenceEntryNotAllowed | Kind::InvalidBlockEntryWhitespace => Reason::DashOnKeyLine,
        Kind::InvalidBlockScalarHeader | Kind::ZeroBlockScalarIndent | Kind::InvalidBlockScalarIndent => {
            Reason::BlockHeader
        }
        Kind::MissingAnchorOrAliasName => Reason::MissingAliasName,
        Kind::RecursionLimitExceeded => Reason::TooDeep,
        Kind::CommentNotSeparated | Kind::CommentInterceptedScalar => Reason::CommentNeedsSpace,
        Kind::MisplacedFlowCollectionEnd => Reason::StrayBracket,
        Kind::DuplicateVersionDirective
        | Kind::UnsupportedYamlMajorVersion
        | Kind::DuplicateTagDirective
        | Kind::MissingDocumentEndBeforeDirective
        | Kind::InvalidDirectiveTerminator
        | Kind::DirectiveDisallowed
        | Kind::MissingYamlVersionSeparator
        | Kind::MissingDirectiveName
        | Kind::InvalidDirectiveName
        | Kind::YamlVersionTooLong
        | Kind::MissingYamlVersion => Reason::Directive,
        Kind::UndeclaredTagHandle
        | Kind::ExpectedTagBang
        | Kind::InvalidGlobalTagCharacter
        | Kind::InvalidTagTerminator
        | Kind::MissingTagUri
        | Kind::UnclosedVerbatimTag
        | Kind::InvalidTagEscape => Reason::Tag,
        _ => Reason::Other,
    }
}

/// Returns what is wrong in one sentence, and what to do about it.
pub(crate) fn explain(reason: Reason) -> String {
    match reason {
        Reason::Tab => "A tab stands where YAML wants spaces. Indent with spaces.".into(),
        Reason::UnclosedQuote => "This quote is never closed. Add the closing quote.".into(),
        Reason::AfterQuote => "Something follows a closing quote. Check whether a quote is missing before it.".into(),
        Reason::UnclosedBracket => "A bracket that was opened before this place is never closed. Close it.".into(),
        Reason::MissingComma => "A `,` or a closing bracket is missing before this.".into(),
        Reason::BadEscape => {
            "This escape is unknown between double quotes. Write `\\\\` for a backslash, or use single quotes.".into()
        }
        Reason::ReservedCharacter(character) => {
            format!("A value cannot start with `{character}`. Put the value in quotes.")
        }
        Reason::NestedColon => {
            "A second `: ` stands in one line, so it is unclear what the key is. Put the value in quotes.".into()
        }
        Reason::BareWord => "This stands where a key is expected, but no `:` follows it.".into(),
        Reason::Indentation => "The indentation fits no line above. Align it with its neighbours.".into(),
        Reason::DashAmongKeys => {
            "This does not belong among the keys above it: its indentation or its `-` is wrong.".into()
        }
        Reason::DashOnKeyLine => "A list cannot start on its key's line. Put `-` on a line of its own.".into(),
        Reason::BlockHeader => {
            "Only `+`, `-` or one digit may follow `|` or `>`. Start the text on the next line.".into()
        }
        Reason::MissingAliasName => "A name is missing after `*` or `&`. In quotes they are ordinary text.".into(),
        Reason::TooDeep => format!("This is nested deeper than {MAX_DEPTH} levels, which is not supported."),
        Reason::Directive => "This `%` line is no directive that YAML knows. Remove it.".into(),
        Reason::Tag => "This `!` tag is malformed. In quotes it is ordinary text.".into(),
        Reason::CommentNeedsSpace => "A comment needs a space before its `#`, and cannot split a value.".into(),
        Reason::StrayBracket => "This closing bracket was never opened. Remove it.".into(),
        Reason::Other => "The text cannot be read from here on. Check quotes, brackets and indentation.".into(),
    }
}

//! The only place that knows the parser library: text in, events with byte ranges and the first error out.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use oneyaml_core::{Code, Limits, Settings, code};
use oneyaml_syntax::event::{CollectionStyle, EventKind, ScalarStyle, Tag, TriviaKind};
use oneyaml_syntax::events_with;

use crate::text::TextRange;

/// How deep collections may be nested. People stay under ten; deeper text is only written to exhaust a stack.
pub(crate) const MAX_DEPTH: usize = 128;

/// What the parser saw. Collections end with `End`; an `Anchor` follows the start of the node it names.
#[derive(Debug)]
pub(crate) enum Event<'text> {
    DocumentStart,
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
    Anchor(&'text str),
    /// With the name of the anchor it refers to.
    Alias(&'text str),
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

/// The causes that get a message of their own.
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

/// Parses text up to its end or its first error, handing every event with its range to `sink`.
pub(crate) fn parse<'text>(text: &'text str, sink: impl FnMut(Event<'text>, TextRange)) -> Option<ParseError> {
    parse_within(MAX_DEPTH, text, sink)
}

/// Like `parse`, with another limit for how deep collections may be nested.
pub(crate) fn parse_within<'text>(
    max_depth: usize,
    text: &'text str,
    mut sink: impl FnMut(Event<'text>, TextRange),
) -> Option<ParseError> {
    let limits = Limits::unlimited().max_depth(max_depth);
    // Whether each open collection is in brackets.
    let mut open: Vec<bool> = Vec::new();
    for item in events_with(text, &Settings::new().limits(limits)) {
        let range = TextRange::new(item.span().start, item.span().end);
        let properties = item.properties().filter(|properties| properties.anchor.is_some() || properties.tag.is_some());
        let event = match item.kind() {
            EventKind::Error(error) => {
                let offset = floor_char_border(text, error.primary.span.start.max(range.start));
                return Some(ParseError {
                    offset,
                    reason: reason(error.code, text, offset, open.last() == Some(&true)),
                });
            }
            EventKind::Scalar { style, .. } => {
                let is_tagged_text = properties.is_some() && item.tag().is_some_and(|tag| is_text_tag(&tag));
                Event::Scalar { text: item.value().unwrap_or_default(), style: style_of(*style), is_tagged_text }
            }
            EventKind::MappingStart { style, .. } => {
                open.push(*style != CollectionStyle::Block);
                Event::MapStart { is_flow: *style != CollectionStyle::Block }
            }
            EventKind::SequenceStart { style, .. } => {
                open.push(*style != CollectionStyle::Block);
                Event::ListStart { is_flow: *style != CollectionStyle::Block }
            }
            EventKind::MappingEnd | EventKind::SequenceEnd => {
                open.pop();
                Event::End
            }
            EventKind::Alias => Event::Alias(item.alias_name().unwrap_or_default()),
            EventKind::Trivia(TriviaKind::Comment) => Event::Comment,
            EventKind::DocumentStart { .. } => Event::DocumentStart,
            _ => continue,
        };
        sink(event, range);
        if let Some(anchor) = properties.and_then(|properties| properties.anchor)
            && let Some(name) = item.anchor()
        {
            sink(Event::Anchor(name.name), TextRange::new(anchor, anchor + 1 + name.name.len()));
        }
    }
    None
}

/// Moves an offset back to the nearest character boundary inside the text.
pub(crate) fn floor_char_border(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        _ => Style::Plain,
    }
}

fn is_text_tag(tag: &Tag<'_>) -> bool {
    // `!` alone, `!!str` and every custom tag make a scalar a string.
    tag.resolved == "tag:yaml.org,2002:str" || !tag.resolved.starts_with("tag:yaml.org,2002:")
}

fn reason(code: Code, text: &str, offset: usize, is_flow: bool) -> Reason {
    let rest = text.get(offset..).unwrap_or_default();
    let next = rest.chars().next().unwrap_or(' ');
    match code {
        code::TAB_INDENTATION => Reason::Tab,
        code::UNTERMINATED_QUOTED_SCALAR | code::QUOTED_SCALAR_INDENTATION => Reason::UnclosedQuote,
        code::UNEXPECTED_CONTENT if next == '#' => Reason::CommentNeedsSpace,
        code::UNEXPECTED_CONTENT if matches!(next, ']' | '}') => Reason::StrayBracket,
        code::UNEXPECTED_CONTENT => Reason::AfterQuote,
        code::UNTERMINATED_FLOW_COLLECTION | code::UNEXPECTED_FLOW_INDICATOR => Reason::UnclosedBracket,
        code::INVALID_INDENTATION if is_flow => Reason::UnclosedBracket,
        code::INVALID_INDENTATION if rest.starts_with("- ") => Reason::DashAmongKeys,
        code::INVALID_INDENTATION => Reason::Indentation,
        code::MISSING_FLOW_SEPARATOR => Reason::MissingComma,
        code::INVALID_ESCAPE => Reason::BadEscape,
        code::INVALID_NODE_START if matches!(next, ']' | '}') => Reason::StrayBracket,
        code::INVALID_NODE_START => Reason::ReservedCharacter(next),
        code::INLINE_COLON_IN_PLAIN_VALUE => Reason::NestedColon,
        code::BLOCK_COLLECTION_NOT_ALLOWED if rest.starts_with('-') => Reason::DashOnKeyLine,
        code::BLOCK_COLLECTION_NOT_ALLOWED => Reason::NestedColon,
        code::MISSING_MAPPING_COLON | code::MULTILINE_IMPLICIT_KEY | code::IMPLICIT_KEY_TOO_LONG => Reason::BareWord,
        code::INVALID_BLOCK_HEADER | code::BLOCK_SCALAR_INDENTATION => Reason::BlockHeader,
        code::INVALID_ANCHOR => Reason::MissingAliasName,
        code::DEPTH_LIMIT_EXCEEDED => Reason::TooDeep,
        code::DIRECTIVE_WITHOUT_DOCUMENT
        | code::MALFORMED_DIRECTIVE
        | code::DIRECTIVE_IN_DOCUMENT
        | code::DUPLICATE_YAML_DIRECTIVE
        | code::DUPLICATE_DIRECTIVE
        | code::YAML_VERSION_UNSUPPORTED_MAJOR => Reason::Directive,
        code::INVALID_TAG | code::UNDECLARED_TAG_HANDLE => Reason::Tag,
        _ => Reason::Other,
    }
}

/// Returns what is wrong in one sentence, and what to do about it.
pub(crate) fn explain(reason: Reason) -> String {
    match reason {
        Reason::Tab => "YAML does not allow a tab here. Indent with spaces.".into(),
        Reason::UnclosedQuote => "This quote is never closed. Add the closing quote.".into(),
        Reason::AfterQuote => {
            "There is unexpected text after a closing quote. Check whether a quote is missing before it.".into()
        }
        Reason::UnclosedBracket => "A bracket that was opened earlier is never closed. Close it.".into(),
        Reason::MissingComma => "A `,` or a closing bracket is missing before this.".into(),
        Reason::BadEscape => {
            "This escape is not allowed in double quotes. Write `\\\\` for a backslash, or use single quotes.".into()
        }
        Reason::ReservedCharacter('`') => "A value cannot start with a backtick. Put the value in quotes.".into(),
        Reason::ReservedCharacter(character) => {
            format!("A value cannot start with `{character}`. Put the value in quotes.")
        }
        Reason::NestedColon => {
            "There is a second `: ` on this line, so it is unclear what the key is. Put the value in quotes.".into()
        }
        Reason::BareWord => "A key is expected here, but no `:` follows this.".into(),
        Reason::Indentation => "The indentation matches no line above. Align it with the lines around it.".into(),
        Reason::DashAmongKeys => {
            "This does not belong with the keys above it: its indentation or its `-` is wrong.".into()
        }
        Reason::DashOnKeyLine => {
            "A list cannot start on the same line as its key. Put `-` on a line of its own.".into()
        }
        Reason::BlockHeader => {
            "Only `+`, `-` or one digit may follow `|` or `>`. Start the text on the next line.".into()
        }
        Reason::MissingAliasName => {
            "A name is missing after `*` or `&`. If this is ordinary text, put it in quotes.".into()
        }
        Reason::TooDeep => format!("This is nested deeper than {MAX_DEPTH} levels, which is not supported."),
        Reason::Directive => "YAML has no such `%` directive. Remove this line.".into(),
        Reason::Tag => "This `!` tag is malformed. If this is ordinary text, put it in quotes.".into(),
        Reason::CommentNeedsSpace => "A comment needs a space before its `#`, and cannot split a value.".into(),
        Reason::StrayBracket => "This closing bracket was never opened. Remove it.".into(),
        Reason::Other => "The text cannot be parsed from here on. Check quotes, brackets and indentation.".into(),
    }
}

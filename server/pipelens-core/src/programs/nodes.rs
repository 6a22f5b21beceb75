//! The nodes of a program's syntax tree: their ranges, their texts, and what is wrong with them.

use tree_sitter::{InputEdit, Node, Parser, Point, Tree, TreeCursor};

use crate::diagnostic::{Code, Diagnostic};
use crate::files::Language;
use crate::findings::Findings;
use crate::text::{Change, Spanned, TextRange};

/// Syntax errors beyond this follow from the ones before.
const MAX_SYNTAX_ERRORS: usize = 20;

/// Returns the syntax tree of a program; `None` if the text is in no language whose grammar is known.
pub(super) fn parsed(text: &str, language: Language) -> Option<Tree> {
    parser(language)?.parse(text, None)
}

/// Returns the same tree in less time, with one of an earlier text. If there are errors, nothing is reused: what the parser makes of them could
/// depend on the earlier text.
pub(super) fn parsed_again(text: &str, language: Language, (before, tree): (&str, &Tree)) -> Option<Tree> {
    let change = Change::between(before, text);
    let (start, old_end, new_end) = (change.old.start, change.old.end, change.new_end());
    let mut edited = tree.clone();
    edited.edit(&InputEdit {
        start_byte: start,
        old_end_byte: old_end,
        new_end_byte: new_end,
        start_position: point(text, start),
        old_end_position: point(before, old_end),
        new_end_position: point(text, new_end),
    });
    let mut parser = parser(language)?;
    let tree = parser.parse(text, Some(&edited))?;
    if tree.root_node().has_error() { parser.parse(text, None) } else { Some(tree) }
}

/// Returns a line and the bytes before an offset in it, as the parser counts them: unlike in `LineIndex`, a lone `\r` ends no line.
fn point(text: &str, offset: usize) -> Point {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    Point::new(memchr::memchr_iter(b'\n', before).count(), offset - line_start)
}

fn parser(language: Language) -> Option<Parser> {
    let grammar = match language {
        Language::Python => tree_sitter_python::LANGUAGE,
        Language::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT,
        Language::Other => return None,
    };
    let mut parser = Parser::new();
    parser.set_language(&grammar.into()).ok()?;
    Some(parser)
}

/// Reports the errors and the missing parts of a syntax tree.
pub(super) fn report_syntax_errors(text: &str, tree: &Tree, language: Language, findings: &mut Findings) {
    if !tree.root_node().has_error() {
        return;
    }
    let mut cursor = tree.walk();
    let mut reported = 0;
    loop {
        let node = cursor.node();
        if node.is_error() || node.is_missing() {
            let range = range_of(node).first_line(text);
            let name = language.name();
            let message = match (node.is_missing(), range.of(text).trim()) {
                (true, _) => format!("This is not valid {name}: `{}` is missing here.", node.kind()),
                (false, "") => format!("This is not valid {name}."),
                (false, written) => format!("This is not valid {name}: `{}` does not belong here.", shortened(written)),
            };
            findings.push(Diagnostic::new(Code::Syntax, range, message));
            reported += 1;
        }
        let goes_on = node.has_error() && !node.is_error() && cursor.goto_first_child();
        if reported >= MAX_SYNTAX_ERRORS || !goes_on && !next(&mut cursor) {
            return;
        }
    }
}

/// Moves to the next node that is not below this one.
pub(super) fn next(cursor: &mut TreeCursor<'_>) -> bool {
    loop {
        if cursor.goto_next_sibling() {
            return true;
        }
        if !cursor.goto_parent() {
            return false;
        }
    }
}

pub(super) fn range_of(node: Node<'_>) -> TextRange {
    TextRange::new(node.start_byte(), node.end_byte())
}

pub(super) fn spanned(text: &str, node: Node<'_>) -> Spanned<String> {
    Spanned::new(range_of(node).of(text).to_owned(), range_of(node))
}

fn shortened(written: &str) -> String {
    const MOST: usize = 40;
    let short: String = written.chars().take(MOST).collect();
    if short.len() < written.len() { format!("{short}…") } else { short }
}

/// Returns the content of a string without escapes and replacements. What is computed is not known.
pub(super) fn literal(text: &str, node: Node<'_>) -> Option<Spanned<String>> {
    if node.kind() != "string" {
        return None;
    }
    let mut content: Option<TextRange> = None;
    for part in node.children(&mut node.walk()) {
        match part.kind() {
            "string_start" | "string_end" | "\"" | "'" => {}
            "string_content" | "string_fragment" if part.named_child_count() == 0 => {
                content = Some(content.map_or(range_of(part), |before| before.cover(range_of(part))));
            }
            _ => return None,
        }
    }
    let range = content.unwrap_or_else(|| TextRange::at(range_of(node).end.saturating_sub(1)));
    Some(Spanned::new(range.of(text).to_owned(), range))
}

//! The nodes of a program's syntax tree: their ranges, their texts, and what is wrong with them.

use crate::diagnostic::{Code, Diagnostic};
use crate::files::Language;
use crate::findings::Findings;
use crate::text::{Spanned, TextRange};

/// Syntax errors beyond this follow from the ones before.
const MAX_SYNTAX_ERRORS: usize = 20;

/// Reports the errors and the missing parts of a syntax tree.
pub(super) fn report_syntax_errors(text: &str, tree: &tree_sitter::Tree, language: Language, findings: &mut Findings) {
    if !tree.root_node().has_error() {
        return;
    }
    let mut cursor = tree.walk();
    let mut reported = 0;
    loop {
        let node = cursor.node();
        if node.is_error() || node.is_missing() {
            let range = first_line_of(text, range_of(node));
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
pub(super) fn next(cursor: &mut tree_sitter::TreeCursor<'_>) -> bool {
    loop {
        if cursor.goto_next_sibling() {
            return true;
        }
        if !cursor.goto_parent() {
            return false;
        }
    }
}

pub(super) fn range_of(node: tree_sitter::Node<'_>) -> TextRange {
    TextRange::new(node.start_byte(), node.end_byte())
}

pub(super) fn spanned(text: &str, node: tree_sitter::Node<'_>) -> Spanned<String> {
    Spanned::new(range_of(node).of(text).to_owned(), range_of(node))
}

pub(super) fn first_line_of(text: &str, range: TextRange) -> TextRange {
    let written = range.of(text);
    let skipped = written.len() - written.trim_start().len();
    let line = written.trim_start().lines().next().unwrap_or_default().trim_end();
    TextRange::new(range.start + skipped, range.start + skipped + line.len())
}

pub(super) fn shortened(written: &str) -> String {
    const MOST: usize = 40;
    let short: String = written.chars().take(MOST).collect();
    if short.len() < written.len() { format!("{short}…") } else { short }
}

/// Returns the content of a string without escapes and replacements. What is computed is not known.
pub(super) fn literal(text: &str, node: tree_sitter::Node<'_>) -> Option<Spanned<String>> {
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

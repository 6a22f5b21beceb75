//! What a TypeScript program declares: objects with `slug` and `pipeline`, wherever they are.

use tree_sitter::{Node, Tree};

use super::declared::Declared;
use super::nodes::{literal, next, range_of, spanned};
use crate::text::TextRange;

const PROPERTIES: [&str; 5] = ["slug", "name", "allowManual", "triggers", "pipeline"];

/// Returns the pipelines a program declares, in text order.
pub(super) fn declared(text: &str, tree: &Tree) -> Vec<Declared> {
    let mut declared = Vec::new();
    let mut cursor = tree.walk();
    loop {
        let node = cursor.node();
        let found = (node.kind() == "object").then(|| of_object(text, node)).flatten();
        let goes_on = found.is_none() && cursor.goto_first_child();
        declared.extend(found);
        if !goes_on && !next(&mut cursor) {
            return declared;
        }
    }
}

fn of_object(text: &str, node: Node<'_>) -> Option<Declared> {
    let mut names = Vec::new();
    let mut slug = None;
    for pair in node.named_children(&mut node.walk()) {
        let (key, value) = match pair.kind() {
            "pair" => (pair.child_by_field_name("key")?, pair.child_by_field_name("value")?),
            "shorthand_property_identifier" => (pair, pair),
            _ => continue,
        };
        let name = literal(text, key).unwrap_or_else(|| spanned(text, key));
        if name.value == "slug" {
            slug = literal(text, value);
        }
        names.push(name);
    }
    names.iter().any(|name| name.value == "pipeline").then_some(())?;
    let (slug, known_arguments) = (slug?, &PROPERTIES);
    let heading = slug.range.first_line(text);
    Some(Declared { range: range_of(node), heading, slug, arguments: names, known_arguments })
}

/// Returns the call whose callee, or whose name, starts at an offset: that is what the runtime says about a call.
pub(super) fn call_at(text: &str, tree: &Tree, offset: usize) -> TextRange {
    let mut node = tree.root_node().named_descendant_for_byte_range(offset, offset);
    while let Some(at) = node {
        if matches!(at.kind(), "call_expression" | "new_expression") {
            let called = at.child_by_field_name("function").or_else(|| at.child_by_field_name("constructor"));
            let name = called.map(|called| called.child_by_field_name("property").unwrap_or(called));
            if name.is_some_and(|name| name.start_byte() == offset) || at.start_byte() == offset {
                return range_of(at);
            }
        }
        node = at.parent();
    }
    TextRange::new(offset, text.len()).first_line(text)
}

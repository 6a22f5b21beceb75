//! Mermaid, which many forges draw in a Markdown file.

use super::parts::{EdgeKind, Graph, Node};

pub(super) fn draw(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    for (index, node) in graph.nodes.iter().enumerate() {
        let line = match node {
            Node::Step { key, image: Some(image), .. } => {
                format!("n{index}[\"{}<br><small>{}</small>\"]", escaped(key), escaped(image))
            }
            Node::Step { key, image: None, .. } => format!("n{index}[\"{}\"]", escaped(key)),
            Node::Barrier { continue_on_failure: false } => format!("n{index}{{{{\"wait\"}}}}"),
            Node::Barrier { continue_on_failure: true } => format!("n{index}{{{{\"wait, continue on failure\"}}}}"),
        };
        text.push_str(&format!("  {line}\n"));
    }
    for edge in &graph.edges {
        let arrow = match edge.kind {
            EdgeKind::Lineage => "==>",
            EdgeKind::Order => "-.->",
            EdgeKind::Barrier => "-->",
        };
        text.push_str(&format!("  n{} {arrow} n{}\n", edge.from, edge.to));
    }
    text
}

/// Mermaid reads its own entities inside quotes, and HTML.
fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '#' | '<' | '>' | '&' | '`' | ';' => {
                result.push_str(&format!("#{};", u32::from(character)));
            }
            _ if character.is_control() => result.push(' '),
            _ => result.push(character),
        }
    }
    result
}

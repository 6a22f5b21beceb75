//! DOT, for Graphviz.

use super::parts::{EdgeKind, Graph, Node};

pub(super) fn draw(graph: &Graph) -> String {
    let mut text = format!("digraph {} {{\n  rankdir=LR;\n", quoted(&graph.name));
    text.push_str("  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    for (index, node) in graph.nodes.iter().enumerate() {
        let attributes = match node {
            Node::Step { key, image: Some(image), .. } => format!("label={}", quoted(&format!("{key}\n{image}"))),
            Node::Step { key, image: None, .. } => format!("label={}", quoted(key)),
            Node::Barrier { continue_on_failure: false } => "label=\"wait\", shape=hexagon, style=\"\"".to_owned(),
            Node::Barrier { continue_on_failure: true } => {
                "label=\"wait, continue on failure\", shape=hexagon, style=\"\"".to_owned()
            }
        };
        text.push_str(&format!("  n{index} [{attributes}];\n"));
    }
    for edge in &graph.edges {
        let style = match edge.kind {
            EdgeKind::Lineage => "style=bold",
            EdgeKind::Order => "style=dashed",
            EdgeKind::Barrier => "color=gray50",
        };
        text.push_str(&format!("  n{} -> n{} [{style}];\n", edge.from, edge.to));
    }
    text.push_str("}\n");
    text
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    // In some CI systems two of them start a command, wherever they are in a log.
    let escaped = escaped.replace("##", "#&#35;");
    let printable: String =
        escaped.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    format!("\"{printable}\"")
}

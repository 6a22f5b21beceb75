//! What only generated plans can get wrong: edges by position.

use std::collections::HashMap;

use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;
use crate::lower::plan::edges;
use crate::syntax::tree::{NodeId, Tree};
use crate::text::TextRange;

pub(super) fn check_envelope(tree: &Tree, root: NodeId, findings: &mut Findings) {
    let entries = tree.get(root, "pipelines").and_then(|entry| tree.items(entry.value)).unwrap_or_default();
    for definition in entries.iter().filter_map(|entry| tree.get(*entry, "definition")) {
        check_graph(tree, definition.value, findings);
    }
}

pub(super) fn check_graph(tree: &Tree, root: NodeId, findings: &mut Findings) {
    let Some(graph) = tree.get(root, "graph") else { return };
    let nodes = tree.get(graph.value, "nodes").and_then(|entry| tree.items(entry.value)).unwrap_or_default();
    let mut parents: HashMap<usize, TextRange> = HashMap::new();
    let good = edges(tree, graph.value);
    for edge in &good {
        if edge.from >= nodes.len() || edge.to >= nodes.len() {
            let count = if nodes.len() == 1 { "1 node".to_owned() } else { format!("{} nodes", nodes.len()) };
            let message = format!(
                "This edge refers to a node that does not exist: the graph has {count}, numbered from 0. Correct the position."
            );
            findings.push(Diagnostic::new(Code::BadEdge, edge.range, message));
        } else if edge.is_lineage
            && let Some(first) = parents.insert(edge.to, edge.range)
        {
            let message = "A step can build in only one step, but this is the second `builds_in` edge to the same node. Remove one.";
            findings.push(
                Diagnostic::new(Code::SeveralParents, edge.range, message)
                    .with_related(first, "The first `builds_in` edge"),
            );
        }
    }
    let items = tree.get(graph.value, "edges").and_then(|entry| tree.items(entry.value)).unwrap_or_default();
    let ranges: std::collections::HashSet<TextRange> = good.iter().map(|edge| edge.range).collect();
    for item in items.iter().map(|item| tree.node(*item).range).filter(|range| !ranges.contains(range)) {
        let message = "An edge must be `[from, to, \"builds_in\"]` or `[from, to, \"depends_on\"]`, where `from` and `to` are node positions.";
        findings.push(Diagnostic::new(Code::BadEdge, item, message));
    }
}

//! What only generated plans can get wrong: versions, and edges by position.

use std::collections::HashMap;

use crate::diagnostic::{Code, Diagnostic};
use crate::lower::plan::edges;
use crate::syntax::tree::{NodeId, Tree};
use crate::text::TextRange;

pub(super) fn check_envelope(tree: &Tree, root: NodeId, findings: &mut Vec<Diagnostic>) {
    version(tree, root, "schema_version", "1", findings);
    let entries = tree.get(root, "pipelines").and_then(|entry| tree.items(entry.value)).unwrap_or_default();
    for definition in entries.iter().filter_map(|entry| tree.get(*entry, "definition")) {
        check_graph(tree, definition.value, findings);
    }
}

pub(super) fn check_graph(tree: &Tree, root: NodeId, findings: &mut Vec<Diagnostic>) {
    version(tree, root, "version", "0", findings);
    let Some(graph) = tree.get(root, "graph") else { return };
    let nodes = tree.get(graph.value, "nodes").and_then(|entry| tree.items(entry.value)).unwrap_or_default();
    let mut parents: HashMap<usize, TextRange> = HashMap::new();
    let good = edges(tree, graph.value);
    for edge in &good {
        if edge.from >= nodes.len() || edge.to >= nodes.len() {
            let message =
                format!("This edge names a node that does not exist: there are {}, counted from 0.", nodes.len());
            findings.push(Diagnostic::new(Code::BadEdge, edge.range, message));
        } else if edge.is_lineage
            && let Some(first) = parents.insert(edge.to, edge.range)
        {
            let message =
                "A step boots from one step only, and this is the second `builds_in` to the same node. Remove one.";
            findings
                .push(Diagnostic::new(Code::SeveralParents, edge.range, message).with_related(first, "The first one"));
        }
    }
    let items = tree.get(graph.value, "edges").and_then(|entry| tree.items(entry.value)).unwrap_or_default();
    let ranges: std::collections::HashSet<TextRange> = good.iter().map(|edge| edge.range).collect();
    for item in items.iter().map(|item| tree.node(*item).range).filter(|range| !ranges.contains(range)) {
        let message =
            "An edge is `[from, to, \"builds_in\"]` or `[from, to, \"depends_on\"]`, with positions of nodes.";
        findings.push(Diagnostic::new(Code::BadEdge, item, message));
    }
}

/// Finds a version of a format that does not exist; its type is checked elsewhere.
pub(super) fn version(tree: &Tree, root: NodeId, key: &str, known: &str, findings: &mut Vec<Diagnostic>) {
    let Some(entry) = tree.get(root, key) else { return };
    let Some(scalar) = tree.scalar(entry.value).filter(|scalar| !scalar.text.is_empty() && scalar.text != known) else {
        return;
    };
    let range = tree.node(entry.value).range;
    let message = format!("Version `{}` of this format does not exist. The only one is `\"{known}\"`.", scalar.text);
    let finding = Diagnostic::new(Code::UnsupportedVersion, range, message);
    findings.push(finding.with_fix(format!("Change to `\"{known}\"`"), range, format!("\"{known}\"")));
}

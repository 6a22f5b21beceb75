//! The spellings generators write: plan JSON (wire format v0), alone or in an envelope.

use super::authored::common_step;
use super::fields::Fields;
use crate::model::{Pipeline, Spelling, Step};
use crate::syntax::scalar::ScalarType;
use crate::syntax::tree::{NodeId, Tree};
use crate::text::{Spanned, TextRange};

/// One `[from, to, kind]`, as far as it has that shape.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub(crate) range: TextRange,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) is_lineage: bool,
}

pub(super) fn envelope(tree: &Tree, root: NodeId) -> Vec<Pipeline> {
    let Some(entries) = tree.get(root, "pipelines").and_then(|entry| tree.items(entry.value)) else {
        return Vec::new();
    };
    entries.iter().filter_map(|entry| envelope_entry(tree, *entry)).collect()
}

fn envelope_entry(tree: &Tree, entry: NodeId) -> Option<Pipeline> {
    let fields = Fields::new(tree, entry);
    let mut result = pipeline(tree, fields.node("definition")?, Spelling::Envelope);
    let first_key = tree.own_entries(entry).and_then(<[_]>::first).map(|first| tree.node(first.key).range);
    result.range = tree.node(entry).range;
    let heading = fields.key_range("slug").or(first_key);
    result.heading = heading.unwrap_or(TextRange::at(result.range.start));
    result.name = fields.name("slug").or_else(|| fields.name("name"));
    result.triggers = fields.triggers("triggers");
    Some(result)
}

pub(super) fn pipeline(tree: &Tree, root: NodeId, spelling: Spelling) -> Pipeline {
    let fields = Fields::new(tree, root);
    let range = tree.node(root).range;
    let first_key = tree.own_entries(root).and_then(<[_]>::first).map(|entry| tree.node(entry.key).range);
    Pipeline {
        spelling,
        range,
        heading: first_key.unwrap_or(TextRange::at(range.start)),
        name: fields.name("name"),
        default_image: fields.name("default_image"),
        timeout_seconds: fields.integer("timeout_seconds").filter(|seconds| seconds.value > 0),
        env: Vec::new(),
        fail_fast: None,
        triggers: Vec::new(),
        steps: fields.node("graph").map(|graph| steps(tree, graph)).unwrap_or_default(),
        unnamed_steps: Vec::new(),
        barriers: Vec::new(),
    }
}

/// Returns the well-formed edges of a graph.
pub(crate) fn edges(tree: &Tree, graph: NodeId) -> Vec<Edge> {
    let items = tree.get(graph, "edges").and_then(|entry| tree.items(entry.value)).unwrap_or_default();
    items.iter().filter_map(|item| edge(tree, *item)).collect()
}

fn edge(tree: &Tree, item: NodeId) -> Option<Edge> {
    let [from, to, kind] = tree.items(item)? else { return None };
    let is_lineage = match tree.scalar(*kind)?.text.as_str() {
        "builds_in" => true,
        "depends_on" => false,
        _ => return None,
    };
    Some(Edge { range: tree.node(item).range, from: position(tree, *from)?, to: position(tree, *to)?, is_lineage })
}

fn position(tree: &Tree, node: NodeId) -> Option<usize> {
    match tree.scalar(node)?.resolve() {
        ScalarType::Integer(value) => usize::try_from(value).ok(),
        ScalarType::Null | ScalarType::Bool(_) | ScalarType::Float(_) | ScalarType::Text => None,
    }
}

fn steps(tree: &Tree, graph: NodeId) -> Vec<Step> {
    let nodes = tree.get(graph, "nodes").and_then(|entry| tree.items(entry.value)).unwrap_or_default();
    let mut steps: Vec<Option<Step>> = nodes.iter().map(|node| step(tree, *node)).collect();
    for edge in edges(tree, graph) {
        let Some(parent) = steps.get(edge.from).and_then(Option::as_ref).map(|step| step.key.value.clone()) else {
            continue;
        };
        let Some(Some(child)) = steps.get_mut(edge.to) else { continue };
        let reference = Spanned::new(parent, edge.range);
        if edge.is_lineage {
            // If a plan has several parents for a step, the last one wins; a finding reports it.
            child.builds_in = Some(reference);
        } else {
            child.depends_on.push(reference);
        }
    }
    steps.into_iter().flatten().collect()
}

fn step(tree: &Tree, node: NodeId) -> Option<Step> {
    let fields = Fields::new(tree, node);
    let step_node = fields.node("step")?;
    let mut step = common_step(tree, step_node, &Fields::new(tree, step_node));
    step.range = tree.node(node).range;
    // The node's environment is final; a step's own is carried, and ignored by every executor.
    step.env = fields.env("env");
    (!step.key.value.is_empty()).then_some(step)
}

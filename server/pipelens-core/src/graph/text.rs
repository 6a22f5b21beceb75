//! Plain text: lineage as a tree, order in words, a rule for every barrier.

use std::collections::HashSet;

use super::parts::{Edge, EdgeKind, Graph, Node};

/// Deeper steps are drawn below each other: no terminal is wider.
const MAX_INDENT: usize = 120;

pub(super) fn draw(graph: &Graph) -> String {
    let mut text = format!("{}\n", graph.name);
    let index = Index::of(graph);
    let mut drawn = vec![false; graph.nodes.len()];
    let mut segment = Vec::new();
    for (position, node) in graph.nodes.iter().enumerate() {
        match node {
            Node::Step { .. } => segment.push(position),
            Node::Barrier { continue_on_failure } => {
                draw_segment(graph, &index, &std::mem::take(&mut segment), &mut drawn, &mut text);
                text.push_str(if *continue_on_failure {
                    "── wait, continue on failure ──\n"
                } else {
                    "── wait ──\n"
                });
            }
        }
    }
    draw_segment(graph, &index, &segment, &mut drawn, &mut text);
    text
}

/// Indexes of the graph, built once.
struct Index {
    /// The edges into each node.
    into: Vec<Vec<Edge>>,
    /// The nodes that build in each node.
    children: Vec<Vec<usize>>,
}

impl Index {
    fn of(graph: &Graph) -> Self {
        let count = graph.nodes.len();
        let mut index = Self { into: vec![Vec::new(); count], children: vec![Vec::new(); count] };
        for edge in &graph.edges {
            if let Some(into) = index.into.get_mut(edge.to) {
                into.push(*edge);
            }
            if let (EdgeKind::Lineage, Some(children)) = (edge.kind, index.children.get_mut(edge.from)) {
                children.push(edge.to);
            }
        }
        index
    }

    fn parent(&self, step: usize) -> Option<usize> {
        let edges = self.into.get(step)?;
        edges.iter().find(|edge| edge.kind == EdgeKind::Lineage).map(|edge| edge.from)
    }
}

/// Draws the steps between two barriers. A step whose parent comes before the barrier is a root here.
fn draw_segment(graph: &Graph, index: &Index, segment: &[usize], drawn: &mut [bool], text: &mut String) {
    let inside: HashSet<usize> = segment.iter().copied().collect();
    let is_root = |step: &&usize| index.parent(**step).is_none_or(|parent| !inside.contains(&parent));
    // What is left after the roots forms a cycle; it is shown all the same.
    for root in segment.iter().filter(is_root).chain(segment) {
        draw_tree(graph, index, &inside, *root, drawn, text);
    }
}

/// Draws a step and those that build in it, without recursion: a chain of steps may be as long as the file.
fn draw_tree(
    graph: &Graph,
    index: &Index,
    inside: &HashSet<usize>,
    root: usize,
    drawn: &mut [bool],
    text: &mut String,
) {
    let mut waiting = vec![(root, String::new(), "")];
    while let Some((step, indent, branch)) = waiting.pop() {
        let Some(flag) = drawn.get_mut(step).filter(|flag| !**flag) else { continue };
        *flag = true;
        text.push_str(&indent);
        text.push_str(branch);
        text.push_str(&line(graph, index, step, branch.is_empty()));
        text.push('\n');
        let below = match branch {
            _ if indent.chars().count() > MAX_INDENT => indent,
            "" => indent,
            "└─ " => indent + "   ",
            _ => indent + "│  ",
        };
        let children = index.children.get(step).into_iter().flatten().filter(|child| inside.contains(child));
        for (position, child) in children.rev().enumerate() {
            waiting.push((*child, below.clone(), if position == 0 { "└─ " } else { "├─ " }));
        }
    }
}

fn line(graph: &Graph, index: &Index, step: usize, is_root: bool) -> String {
    let Some(Node::Step { key, words, image }) = graph.nodes.get(step) else { return String::new() };
    let name = |node: usize| match graph.nodes.get(node) {
        Some(Node::Step { key, .. }) => Some(key.as_str()),
        Some(Node::Barrier { .. }) | None => None,
    };
    let edges = index.into.get(step).map(Vec::as_slice).unwrap_or_default();
    let into = |kind: EdgeKind| edges.iter().filter(move |edge| edge.kind == kind);
    let mut notes: Vec<String> = image.iter().map(|image| format!("[{image}]")).collect();
    if is_root {
        notes.extend(into(EdgeKind::Lineage).filter_map(|edge| Some(format!("in {}", name(edge.from)?))));
    }
    let after: Vec<&str> = into(EdgeKind::Order).filter_map(|edge| name(edge.from)).collect();
    if !after.is_empty() {
        notes.push(format!("after {}", after.join(", ")));
    }
    if !words.is_empty() {
        notes.push(words.clone());
    }
    let line = format!("{key}  {}", notes.join("  "));
    line.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect::<String>()
        .trim_end()
        .to_owned()
}

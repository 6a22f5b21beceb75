//! Plain text: lineage as a tree, order in words, a rule for every barrier.

use super::{EdgeKind, Graph, Node};

pub(super) fn draw(graph: &Graph) -> String {
    let mut text = format!("{}\n", graph.name);
    let mut segment = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        match node {
            Node::Step { .. } => segment.push(index),
            Node::Barrier { continue_on_failure } => {
                draw_segment(graph, &std::mem::take(&mut segment), &mut text);
                text.push_str(if *continue_on_failure {
                    "── wait, whatever happens ──\n"
                } else {
                    "── wait ──\n"
                });
            }
        }
    }
    draw_segment(graph, &segment, &mut text);
    text
}

/// Draws the steps between two barriers. A step whose parent stands before the barrier is a root here.
fn draw_segment(graph: &Graph, segment: &[usize], text: &mut String) {
    let parents: Vec<(usize, usize)> = graph
        .edges
        .iter()
        .filter(|edge| edge.kind == EdgeKind::Lineage && segment.contains(&edge.from) && segment.contains(&edge.to))
        .map(|edge| (edge.to, edge.from))
        .collect();
    let mut drawn = vec![false; graph.nodes.len()];
    let roots = segment.iter().filter(|step| parents.iter().all(|(child, _)| child != *step));
    for root in roots {
        draw_tree(graph, &parents, *root, &mut Vec::new(), &mut drawn, text);
    }
    // What is left boots from itself in a circle: shown all the same.
    for step in segment {
        if !drawn.get(*step).copied().unwrap_or(true) {
            draw_tree(graph, &parents, *step, &mut Vec::new(), &mut drawn, text);
        }
    }
}

fn draw_tree(
    graph: &Graph,
    parents: &[(usize, usize)],
    step: usize,
    last_flags: &mut Vec<bool>,
    drawn: &mut [bool],
    text: &mut String,
) {
    let Some(flag) = drawn.get_mut(step).filter(|flag| !**flag) else { return };
    *flag = true;
    for (depth, is_last) in last_flags.iter().enumerate() {
        let is_own = depth + 1 == last_flags.len();
        text.push_str(match (is_own, is_last) {
            (true, true) => "└─ ",
            (true, false) => "├─ ",
            (false, true) => "   ",
            (false, false) => "│  ",
        });
    }
    text.push_str(&line(graph, step, last_flags.is_empty()));
    text.push('\n');
    let children: Vec<usize> = parents.iter().filter(|(_, parent)| *parent == step).map(|(child, _)| *child).collect();
    for (position, child) in children.iter().enumerate() {
        last_flags.push(position + 1 == children.len());
        draw_tree(graph, parents, *child, last_flags, drawn, text);
        last_flags.pop();
    }
}

fn line(graph: &Graph, step: usize, is_root: bool) -> String {
    let Some(Node::Step { key, words, image }) = graph.nodes.get(step) else { return String::new() };
    let name = |node: usize| match graph.nodes.get(node) {
        Some(Node::Step { key, .. }) => Some(key.as_str()),
        Some(Node::Barrier { .. }) | None => None,
    };
    let into = |kind: EdgeKind| graph.edges.iter().filter(move |edge| edge.to == step && edge.kind == kind);
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

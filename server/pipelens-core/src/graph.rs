//! The graph of a pipeline as a picture: steps and barriers, with lineage and order told apart. There are four ways to draw it.

mod dot;
mod layout;
mod mermaid;
mod parts;
mod svg;
mod text;

use crate::expand::expand;
use crate::model::{Pipeline, Step};
use crate::plan::DEFAULT_IMAGE;
use crate::plan::links::Links;
use crate::printable::printable;

pub use parts::{Edge, EdgeKind, Graph, Node};

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawing {
    Mermaid,
    Dot,
    Svg,
    Text,
}

/// Returns the graph of a pipeline. `file_stem` is the name of a pipeline without one.
pub fn graph(pipeline: &Pipeline, file_stem: &str) -> Graph {
    let pipeline = &*expand(pipeline);
    let links = Links::new(pipeline);
    let mut places = Places::new(pipeline);
    let mut nodes = Vec::new();
    let mut barriers = pipeline.barriers.iter().filter(|barrier| barrier.after_steps > 0).peekable();
    for (position, step) in pipeline.steps.iter().enumerate() {
        let mut continues = None;
        while let Some(barrier) = barriers.next_if(|barrier| barrier.after_steps <= position) {
            // Two barriers with nothing between them are one.
            continues = Some(continues.unwrap_or_default() || barrier.continue_on_failure);
        }
        if let Some(continue_on_failure) = continues {
            places.barriers.push((nodes.len(), position));
            nodes.push(Node::Barrier { continue_on_failure });
        }
        places.steps.push(nodes.len());
        nodes.push(step_node(pipeline, &links, position, step));
    }
    let edges = edges(&links, &places);
    let name = pipeline.name.as_ref().map_or_else(|| file_stem.to_owned(), |name| name.value.clone());
    Graph { name: printable(&name).into_owned(), nodes, edges }
}

/// Draws a graph.
pub fn draw(graph: &Graph, drawing: Drawing) -> String {
    match drawing {
        Drawing::Mermaid => mermaid::draw(graph),
        Drawing::Dot => dot::draw(graph),
        Drawing::Svg => svg::draw(graph),
        Drawing::Text => text::draw(graph),
    }
}

/// Where steps and barriers became nodes.
struct Places {
    /// The node of each step.
    steps: Vec<usize>,
    /// The node of each barrier, and the step it comes before.
    barriers: Vec<(usize, usize)>,
}

impl Places {
    fn new(pipeline: &Pipeline) -> Self {
        Self { steps: Vec::with_capacity(pipeline.steps.len()), barriers: Vec::new() }
    }

    /// Returns the steps between this barrier and the next.
    fn after(&self, barrier: usize) -> std::ops::Range<usize> {
        let start = self.barriers.get(barrier).map_or(0, |(_, before)| *before);
        let end = self.barriers.get(barrier + 1).map_or(self.steps.len(), |(_, before)| *before);
        start..end
    }
}

fn step_node(pipeline: &Pipeline, links: &Links, position: usize, step: &Step) -> Node {
    let is_root = links.parents.get(position).copied().flatten().is_none();
    let image = step.image.as_ref().or(pipeline.default_image.as_ref());
    let image = image.map_or_else(|| DEFAULT_IMAGE.to_owned(), |image| image.value.clone());
    let shown = |text: &str| printable(text).into_owned();
    Node::Step {
        key: shown(&step.key.value),
        words: shown(&crate::ide::first_words(step)),
        image: is_root.then(|| shown(&image)),
    }
}

fn edges(links: &Links, places: &Places) -> Vec<Edge> {
    let mut edges = Vec::new();
    let node = |step: usize| places.steps.get(step).copied();
    for (position, to) in places.steps.iter().copied().enumerate() {
        let parent = links.parents.get(position).copied().flatten();
        edges.extend(parent.and_then(node).map(|from| Edge { from, to, kind: EdgeKind::Lineage }));
        let mut named: Vec<usize> = links.named.get(position).cloned().unwrap_or_default();
        named.sort_unstable();
        named.dedup();
        let order = named.into_iter().filter(|step| Some(*step) != parent).filter_map(node);
        edges.extend(order.map(|from| Edge { from, to, kind: EdgeKind::Order }));
    }
    edges.extend(barrier_edges(links, places));
    edges
}

/// Connects a barrier with the last steps before it and the first after it; the other connections follow from these.
fn barrier_edges(links: &Links, places: &Places) -> Vec<Edge> {
    let needs = |step: usize| {
        let parent = links.parents.get(step).copied().flatten();
        parent.into_iter().chain(links.named.get(step).into_iter().flatten().copied())
    };
    let mut edges = Vec::new();
    for (barrier, (node, before)) in places.barriers.iter().copied().enumerate() {
        let start = barrier.checked_sub(1).map_or(0, |earlier| places.after(earlier).start);
        let mut is_last = vec![true; before - start];
        for needed in (start..before).flat_map(needs).filter(|needed| (start..before).contains(needed)) {
            if let Some(flag) = is_last.get_mut(needed - start) {
                *flag = false;
            }
        }
        let ends = (start..before).zip(is_last).filter(|(_, is_last)| *is_last);
        let ends = ends.filter_map(|(step, _)| places.steps.get(step).copied());
        edges.extend(ends.map(|from| Edge { from, to: node, kind: EdgeKind::Barrier }));
        let after = places.after(barrier);
        let starts = after.clone().filter(|step| !needs(*step).any(|needed| after.contains(&needed)));
        let starts = starts.filter_map(|step| places.steps.get(step).copied());
        edges.extend(starts.map(|to| Edge { from: node, to, kind: EdgeKind::Barrier }));
    }
    edges
}
